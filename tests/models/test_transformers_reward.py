import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ponderosa.core import BackendError, CodeFormat, PonderosaError, Scored
from ponderosa.core import Path as StepPath
from ponderosa.models import load_reward
from ponderosa.models.transformers.reward import TransformersReward

FORMAT = CodeFormat()
STEPS = [f"\n# Step {i}: Ann has {i} apples\nx = {i}\n<end_of_step>" for i in range(4)]
PATHS: list[StepPath] = [
    ("How many apples?", tuple(STEPS[:3])),
    ("How many apples?", (STEPS[0], STEPS[2])),
    ("How many pears does Ben have left?", (*STEPS, "\nprint(x)\n<end_of_code>\n<output>3<end_of_output>")),
    ("How many apples?", ()),
    ("How many apples?", tuple(STEPS[:3])),
]


@pytest.fixture(scope="module")
def reward(reward_folder: Path) -> Iterator[TransformersReward]:
    reward = TransformersReward(reward_folder, FORMAT)
    yield reward
    reward.close()


@pytest.fixture(scope="module")
def value(llama: Callable[..., Any], tokenizer: Any) -> Callable[[str, Sequence[str]], float]:
    """What transformers says of a path's last step, one text at a time."""
    model = llama(classifier=True)

    def of(question: str, steps: Sequence[str]) -> float:
        ids = torch.tensor([tokenizer(FORMAT.render(question, steps).text)["input_ids"]])
        with torch.inference_mode():
            return math.tanh(float(model(ids).logits[0, 0]) / 2.0)  # reward_scale of the fixture's config

    return of


def expected(value: Callable[[str, Sequence[str]], float], paths: Sequence[StepPath]) -> list[list[float]]:
    return [[value(question, steps[: i + 1]) for i in range(len(steps))] for question, steps in paths]


def same(ours: list[Scored], theirs: list[list[float]]) -> bool:
    values = [one.values for one in ours]
    return list(map(len, values)) == list(map(len, theirs)) and all(
        a == pytest.approx(b, abs=1e-5) for a, b in zip(values, theirs, strict=True)
    )


def test_every_step_gets_the_value_of_a_separate_pass(reward: TransformersReward, value: Any) -> None:
    for _ in range(2):  # the second time from the cache
        assert same(asyncio.run(reward.score(PATHS)), expected(value, PATHS))


def test_the_last_step_alone_gets_the_same_value(reward: TransformersReward, value: Any) -> None:
    values = asyncio.run(reward.score(PATHS, last_only=True))
    assert same(values, [each[-1:] for each in expected(value, PATHS)])


def test_concurrent_calls_share_batches_and_get_their_own_answers(reward_folder: Path, value: Any) -> None:
    reward = TransformersReward(reward_folder, FORMAT, max_step_tokens=64)
    theirs = expected(value, PATHS)

    async def score() -> list[list[Scored]]:
        return await asyncio.gather(
            *(reward.score([path, PATHS[0]], last_only=bool(i % 2)) for i, path in enumerate(PATHS * 3))
        )

    for i, answer in enumerate(asyncio.run(score())):
        wanted = [theirs[i % len(PATHS)], theirs[0]]
        assert same(answer, [each[-1:] for each in wanted] if i % 2 else wanted)
    reward.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.lists(st.text("ab 1\né", min_size=1, max_size=6), min_size=1, max_size=4))
def test_steps_that_end_in_the_middle_of_a_token_get_the_value_of_a_separate_pass(
    reward: TransformersReward, value: Any, steps: list[str]
) -> None:
    paths: list[StepPath] = [("Ann?", tuple(steps))]
    assert same(asyncio.run(reward.score(paths)), expected(value, paths))


def test_equal_paths_of_one_batch_are_computed_once_and_known_beginnings_never_again(
    reward_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reward = TransformersReward(reward_folder, FORMAT)
    base = reward._model.base_model
    forward = type(base).forward
    computed = []

    def counting(self: Any, *args: Any, **kwargs: Any) -> Any:
        if "shared_prefix" in kwargs:
            computed.append(kwargs["input_ids"].shape[1])
        return forward(self, *args, **kwargs)

    def score(paths: Sequence[StepPath]) -> int:
        computed.clear()
        asyncio.run(reward.score(paths, last_only=True))
        return sum(computed)

    monkeypatch.setattr(type(base), "forward", counting)
    score([("Warm up: the first batch tries out the model.", STEPS[:1])])
    once = score([("How many pears?", (STEPS[0],))] * 5)
    whole = len(reward._text.encode(FORMAT.render("How many pears?", STEPS[:1]).text))
    assert once <= whole
    siblings = [("How many pears?", (STEPS[0], step)) for step in STEPS]
    alone = sum(len(reward._text.encode(FORMAT.render(question, steps).text)) for question, steps in siblings)
    assert score(siblings) < alone / 2
    reward.close()


def test_no_paths_and_no_steps_are_no_work(reward: TransformersReward) -> None:
    assert asyncio.run(reward.score([])) == []
    assert asyncio.run(reward.score([("Q", ())])) == [Scored(())]
    assert asyncio.run(reward.score([("Q", ())], last_only=True)) == [Scored(())]


def test_tokens_are_counted_and_those_that_were_known(reward_folder: Path) -> None:
    reward = TransformersReward(reward_folder, FORMAT)
    whole = len(reward._text.encode(FORMAT.render("How many pears?", STEPS[:1]).text))
    first, again, _ = asyncio.run(reward.score([("How many pears?", (STEPS[0],))] * 3, last_only=True))
    assert (first.tokens, first.cached_tokens) == (whole, 0)
    assert (again.tokens, again.cached_tokens) == (whole, whole)
    (later,) = asyncio.run(reward.score([("How many pears?", STEPS[:2])], last_only=True))
    assert whole / 2 < later.cached_tokens < whole < later.tokens
    reward.close()


def test_a_path_beyond_the_context_is_an_error(reward: TransformersReward) -> None:
    with pytest.raises(BackendError, match=r"exceeds the reward model's context of 256"):
        asyncio.run(reward.score([("Ann " * 300, ("s",))]))


def test_a_scale_stretches_the_logit(llama: Callable[..., Any], tokenizer: Any) -> None:
    values = []
    for overrides in ({"reward_scale": 5.0}, {"reward_scale": 1.0}):
        reward = TransformersReward(llama(classifier=True, **overrides), FORMAT, tokenizer)
        values.append(asyncio.run(reward.score(PATHS[:1], last_only=True))[0].values[0])
        reward.close()
    assert math.atanh(values[0]) * 5 == pytest.approx(math.atanh(values[1]), rel=1e-4)


def test_the_scale_is_one_where_the_config_names_none(llama: Callable[..., Any], tokenizer: Any, value: Any) -> None:
    model = llama(classifier=True)
    del model.config.reward_scale
    reward = TransformersReward(model, FORMAT, tokenizer)
    found = asyncio.run(reward.score(PATHS[:1], last_only=True))[0].values[0]
    reward.close()
    assert math.atanh(found) == pytest.approx(2 * math.atanh(value(*PATHS[0])), rel=1e-4)


def test_load_reward_serves_a_folder(reward_folder: Path, value: Any) -> None:
    assert same(asyncio.run(load_reward(str(reward_folder), FORMAT).score(PATHS[:1])), expected(value, PATHS[:1]))


def test_a_checkpoint_that_is_missing_or_no_reward_is_one_clear_line(
    tmp_path: Path, llama: Callable[..., Any], tokenizer: Any
) -> None:
    with pytest.raises(PonderosaError, match="there is no checkpoint at"):
        load_reward(str(tmp_path / "nowhere"), FORMAT)
    with pytest.raises(PonderosaError, match="is no reward model"):
        TransformersReward(llama(classifier=True, id2label={0: "a", 1: "b"}), FORMAT, tokenizer)
    with pytest.raises(PonderosaError, match="is no reward model"):
        TransformersReward(llama(), FORMAT, tokenizer)
    with pytest.raises(PonderosaError, match="needs its tokenizer"):
        TransformersReward(llama(classifier=True), FORMAT)
