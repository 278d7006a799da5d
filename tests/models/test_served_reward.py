"""A reward model behind vLLM's `/pooling`."""

import asyncio
import json
from math import tanh
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from ponderosa.core import CodeFormat, RefusedError, Scored
from ponderosa.models import load_reward
from ponderosa.models.served.reward import ServedReward

from .servers import Handler, Server

FORMAT = CodeFormat()
STEPS = ("<code>\nx = 1\n<end_of_step>", "\ny = 22\n<end_of_step>")


async def last_digit(request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
    """The logit of a text is its last digit. A character is a token; those of the question are known."""
    digits = [[float(c) for c in text if c.isdigit()][-1:] for text in body["input"]]
    data = [{"index": i, "data": logit} for i, logit in enumerate(digits)]
    usage = {"prompt_tokens": sum(map(len, body["input"])), "prompt_tokens_details": {"cached_tokens": 9}}
    return {"data": data[::-1], "usage": usage}


def score(
    handler: Handler, options: str = "", root: str = "", **more: Any
) -> tuple[list[Scored], list[dict[str, Any]]]:
    with Server(handler, root=root) as server:
        reward = load_reward(f"{server.url}{options}", FORMAT)
        assert isinstance(reward, ServedReward)
        try:
            return asyncio.run(reward.score([("What?", STEPS), ("And?", STEPS[:1])], **more)), server.bodies
        finally:
            reward.close()


def test_every_step_is_valued_by_the_text_up_to_its_end() -> None:
    scored, bodies = score(last_digit)
    assert [one.values for one in scored] == [(tanh(1), tanh(2)), (tanh(1),)]
    paths = [("What?", STEPS), ("What?", STEPS[:1]), ("And?", STEPS[:1])]
    assert {text for body in bodies for text in body["input"]} == {FORMAT.render(*path).text for path in paths}
    assert {"model": "m", "input": [FORMAT.render("What?", STEPS).text], "use_activation": False} in bodies


@pytest.mark.parametrize("last_only", [False, True])
def test_the_tokens_of_a_path_are_those_of_its_whole_text_once(last_only: bool) -> None:
    scored, _ = score(last_digit, last_only=last_only)
    assert [one.tokens for one in scored] == [
        len(FORMAT.render("What?", STEPS).text),
        len(FORMAT.render("And?", STEPS[:1]).text),
    ]
    assert [one.cached_tokens for one in scored] == [9, 9]


def test_a_path_without_steps_costs_nothing() -> None:
    with Server(last_digit) as server:
        reward = load_reward(server.url, FORMAT)
        assert asyncio.run(reward.score([("What?", ())])) == [Scored(())]
        assert server.bodies == []
        reward.close()


def test_the_last_step_alone_is_one_text_a_path() -> None:
    scored, bodies = score(last_digit, last_only=True)
    assert [one.values for one in scored] == [(tanh(2),), (tanh(1),)]
    assert [len(body["input"]) for body in bodies] == [1, 1]


def test_the_scale_is_an_option_or_the_checkpoints(tmp_path: Path) -> None:
    scored, _ = score(last_digit, "?scale=5")
    assert scored[0].values == (tanh(1 / 5), tanh(2 / 5))
    (tmp_path / "config.json").write_text(json.dumps({"reward_scale": 4}))
    scored, _ = score(last_digit, root=str(tmp_path))
    assert scored[0].values == (tanh(1 / 4), tanh(2 / 4))
    scored, _ = score(last_digit, root="no/folder")
    assert scored[0].values == (tanh(1), tanh(2))


@pytest.mark.parametrize("data", [[0.1, 0.2], [], "no"])
def test_a_model_that_gives_no_single_logit_is_refused(data: Any) -> None:
    async def handler(request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        return {"data": [{"index": i, "data": data} for i in range(len(body["input"]))]}

    with pytest.raises(RefusedError, match="serve a classifier with one label with --runner pooling"):
        score(handler)
