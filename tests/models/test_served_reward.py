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
from ponderosa.models.served_model import ServedModel
from ponderosa.models.served_reward import ServedReward, _scale

from .servers import Handler, Server

FORMAT = CodeFormat()
STEPS = ("<code>\nx = 1\n<end_of_step>", "\ny = 22\n<end_of_step>")


async def last_digit(request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
    """The logit of a text is its last digit."""
    digits = [[float(c) for c in text if c.isdigit()][-1:] for text in body["input"]]
    data = [{"index": i, "data": logit} for i, logit in enumerate(digits)]
    return {"data": data[::-1], "usage": {"prompt_tokens": 30}}


def score(handler: Handler, options: str = "", **more: Any) -> tuple[list[Scored], list[dict[str, Any]]]:
    with Server(handler) as server:
        reward = load_reward(f"{server.url}{options}", FORMAT)
        assert isinstance(reward, ServedReward)
        try:
            return asyncio.run(reward.score([("What?", STEPS), ("And?", STEPS[:1])], **more)), server.bodies
        finally:
            reward.close()


def test_every_step_is_valued_by_the_text_up_to_its_end() -> None:
    scored, bodies = score(last_digit)
    assert scored == [Scored((tanh(1), tanh(2)), 30), Scored((tanh(1),), 30)]
    texts = [FORMAT.render("What?", STEPS[:end]).text for end in (1, 2)]
    assert {"model": "m", "input": texts, "use_activation": False} in bodies


def test_the_last_step_alone_is_one_text_a_path() -> None:
    scored, bodies = score(last_digit, last_only=True)
    assert [one.values for one in scored] == [(tanh(2),), (tanh(1),)]
    assert [len(body["input"]) for body in bodies] == [1, 1]


def test_the_scale_is_an_option_or_the_checkpoints(tmp_path: Path) -> None:
    scored, _ = score(last_digit, "?scale=5")
    assert scored[0].values == (tanh(1 / 5), tanh(2 / 5))
    (tmp_path / "config.json").write_text(json.dumps({"reward_scale": 4}))
    assert _scale(ServedModel("m", "vllm", str(tmp_path))) == 4
    assert _scale(ServedModel("m", "vllm", "no/folder")) == 1


@pytest.mark.parametrize("data", [[0.1, 0.2], [], "no"])
def test_a_model_that_gives_no_single_logit_is_refused(data: Any) -> None:
    async def handler(request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        return {"data": [{"index": i, "data": data} for i in range(len(body["input"]))]}

    with pytest.raises(RefusedError, match="serve a classifier with one label with --runner pooling"):
        score(handler)
