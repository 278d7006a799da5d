"""Process reward models of other people behind servers that say what vLLM does; `tests/servers` asks a real one."""

import asyncio
from math import tanh
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from transformers import AutoTokenizer

from ponderosa.core import CodeFormat, PonderosaError, RefusedError, Scored
from ponderosa.models import load_reward

from .prm_checkpoints import MAKERS
from .servers import Handler, Server

FORMAT = CodeFormat()
STEPS = ("<code>\nx = 1\n<end_of_step>", "\ny = 22\n<end_of_step>")
USAGE = {"prompt_tokens": 30, "prompt_tokens_details": {"cached_tokens": 20}}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: make(tmp_path_factory.mktemp("prm") / kind) for kind, make in MAKERS.items()}


def score(handler: Handler, options: str, root: Path | str, **more: Any) -> tuple[Scored, list[dict[str, Any]]]:
    with Server(handler, root=str(root)) as server:
        reward = load_reward(f"{server.url}{options}", FORMAT)
        try:
            return asyncio.run(reward.score([("What?", STEPS)], **more))[0], server.bodies
        finally:
            reward.close()


async def pooled(request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
    """(wrong, right) at each of two tags."""
    assert request.path == "/pooling"
    return {"data": [{"index": 0, "data": [[0.5, 1.5], [2.0, -1.0]]}], "usage": USAGE}


def test_a_head_of_two_classes_gives_all_steps_of_a_path_at_once(folders: dict[str, Path]) -> None:
    """The tokens end with the last tag."""
    folder = folders["qwen2.5-math-prm"]
    scored, (body,) = score(pooled, "", folder)
    (tokens,) = body["input"]
    assert scored == Scored((tanh(0.5), tanh(-1.5)), len(tokens), min(20, len(tokens)))
    text = AutoTokenizer.from_pretrained(folder).decode(tokens)
    assert text.endswith("What?<|im_end|>\n<|im_start|>assistant\nx = 1<extra_0>y = 22<extra_0>")
    assert body["use_activation"] is False
    assert score(pooled, "", folder, last_only=True)[0].values == (tanh(-1.5),)


async def next_tokens(request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
    """The longer a prompt, the likelier the first of the two tokens; answered in the wrong order."""
    assert request.path == "/v1/completions"
    right, wrong = body["logprob_token_ids"]
    choices = [
        {"index": i, "logprobs": {"top_logprobs": [{f"token_id:{right}": i - 3.0, f"token_id:{wrong}": -4.0}]}}
        for i in range(len(body["prompt"]))
    ]
    return {"choices": choices[::-1], "usage": USAGE}


@pytest.mark.parametrize(
    ("kind", "ends"),
    [
        ("math-shepherd", ["What? x = 1 ки", "What? x = 1 ки\ny = 22 ки"]),
        ("rlhflow", ["What? x = 1<|eot_id|>", "\n\ny = 22<|eot_id|>"]),
    ],
)
def test_a_language_model_is_asked_for_its_next_token_after_each_step(
    folders: dict[str, Path], kind: str, ends: list[str]
) -> None:
    scored, (body,) = score(next_tokens, f"?kind={kind}", folders[kind])
    read = len(body["prompt"][-1])  # each token once
    assert scored == Scored((tanh(1 / 2), tanh(2 / 2)), read, min(20, read))
    tokenizer = AutoTokenizer.from_pretrained(folders[kind])
    asks = "<|start_header_id|>assistant<|end_header_id|>\n\n" if kind == "rlhflow" else ""
    for prompt, end in zip(body["prompt"], ends, strict=True):
        assert prompt == (whole := body["prompt"][-1])[: len(prompt)], whole
        if kind == "rlhflow":
            assert tokenizer.decode(prompt).endswith(end + asks)
        else:  # this tokenizer has words of its training only
            assert prompt == tokenizer(end)["input_ids"]
    assert [tokenizer.decode(token).strip() for token in body["logprob_token_ids"]] == ["+", "-"]
    last, (body,) = score(next_tokens, f"?kind={kind}", folders[kind], last_only=True)
    assert len(last.values) == len(body["prompt"]) == 1


def test_a_tokenizer_may_lie_elsewhere_than_the_server_says(folders: dict[str, Path]) -> None:
    options = f"?kind=rlhflow&tokenizer={folders['rlhflow']}"
    assert len(score(next_tokens, options, "/weights/on/another/machine")[0].values) == 2
    with pytest.raises(PonderosaError, match=r"no tokenizer at /weights/on/another/machine: .* \?tokenizer="):
        score(next_tokens, "?kind=rlhflow", "/weights/on/another/machine")


def test_what_cannot_be_served_is_one_clear_line(folders: dict[str, Path]) -> None:
    with pytest.raises(PonderosaError, match="vLLM serves no skywork-o1-prm: name its checkpoint"):
        score(pooled, "", folders["skywork-o1-prm"])
    with pytest.raises(PonderosaError, match="say how it values steps"):
        score(next_tokens, "", folders["rlhflow"])
    with pytest.raises(PonderosaError, match="there is no kind orm"):
        score(next_tokens, "?kind=orm", folders["rlhflow"])


@pytest.mark.parametrize("last_only", [False, True])
@pytest.mark.parametrize("data", [[[0.5, 1.5]], [[0.1, 0.2]] * 3, [[0.1, float("nan")]] * 2])
def test_other_than_a_value_a_step_is_refused(folders: dict[str, Path], data: Any, last_only: bool) -> None:
    async def handler(request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        return {"data": [{"index": 0, "data": data}]}

    with pytest.raises(RefusedError, match=r"values to 2 steps: serve it as docs/models.md says"):
        score(handler, "", folders["qwen2.5-math-prm"], last_only=last_only)


@pytest.mark.parametrize("answer", [{}, {"data": [], "choices": []}, {"data": [{"data": [0.1, 0.2]}]}, []])
def test_an_answer_without_values_is_refused(folders: dict[str, Path], answer: Any) -> None:
    async def handler(request: web.Request, body: dict[str, Any]) -> web.Response:
        return web.json_response(answer)

    with pytest.raises(RefusedError):
        score(handler, "", folders["qwen2.5-math-prm"])
    with pytest.raises(RefusedError):
        score(handler, "?kind=rlhflow", folders["rlhflow"])
