from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from ponderosa.core import (
    BackendError,
    Completion,
    Ended,
    Graded,
    Outcome,
    PonderosaError,
    Problem,
    Scored,
    Verdict,
    make_format,
)
from ponderosa.training.rewards import Means, RewardSettings, make_marks, mark
from ponderosa.training.rollouts import Rollout, Turn

PROBLEM = Problem("p", "How many?", "5")
WHOLE = "<code>\nx = 5\nprint(x)\n<end_of_code>\n<output>5<end_of_output>\n<answer>It is \\boxed{5}.\n<end_of_answer>"


def rollout(
    *steps: str, answer: str | None = None, tokens: int = 10, ended: Ended = Ended.STOP, failed: str = ""
) -> Rollout:
    outcome = Outcome.ANSWERED if answer is not None else Outcome.MALFORMED
    turns = (Turn(Completion("", ended, tokens=tokens)),)
    return Rollout(PROBLEM, "How many?", steps, turns, answer, outcome, failed)


class Says:
    """A grader."""

    def __init__(self, say: Callable[[str], Verdict]) -> None:
        self.say = say

    async def grade(self, answer: str, problem: Problem) -> Verdict:
        return self.say(answer)

    async def equivalent(self, a: str, b: str, problem: Problem) -> bool:
        return a == b


def equal(answer: str) -> Verdict:
    return Verdict(answer == "5")


class Lengths:
    """A reward model that values a path by the length of its text."""

    def __init__(self) -> None:
        self.read: list[tuple[str, tuple[str, ...]]] = []

    async def score(self, paths: Sequence[Any], *, last_only: bool = False) -> list[Scored]:
        assert last_only
        self.read += paths
        return [Scored((len("".join(steps)) / 1000,)) for _, steps in paths]


def means(say: Callable[[str], Verdict] = equal, model: Any = None, format: str = "rstar") -> Means:
    return Means(format, make_format(format), Says(say), lambda name, _: model)


async def marked(entries: list[dict[str, Any]], rollouts: list[Rollout], given: Means | None = None) -> list[Any]:
    settings: Any = TypeAdapter(tuple[RewardSettings, ...]).validate_python(entries)
    return await mark(rollouts, make_marks(settings, given or means()))


async def test_a_right_answer_is_worth_one_and_a_wrong_or_missing_one_nothing() -> None:
    rollouts = [rollout("s", answer="5"), rollout("s", answer="6"), rollout("s")]
    assert await marked([{"kind": "accuracy"}], rollouts) == [{"accuracy": 1.0}, {"accuracy": 0.0}, {"accuracy": 0.0}]


async def test_an_answer_whose_program_failed_is_no_answer() -> None:
    broken = Rollout(PROBLEM, "", ("s",), (), "5", Outcome.CODE_ERROR)
    assert await marked([{"kind": "accuracy"}], [broken]) == [{"accuracy": 0.0}]


@pytest.mark.parametrize("status", [Graded.TIMED_OUT, Graded.CRASHED, Graded.NO_REFERENCE])
async def test_without_a_verdict_there_is_no_reward_at_all_and_it_is_counted(status: Graded) -> None:
    given = means(lambda answer: Verdict(False, status) if answer == "?" else equal(answer))
    entries = [{"kind": "accuracy"}, {"kind": "format"}]
    none, some = await marked(entries, [rollout(WHOLE, answer="?"), rollout(WHOLE, answer="5")], given)
    assert none == {"accuracy": None, "format": None}
    assert some == {"accuracy": 1.0, "format": 1.0}
    assert given.troubles == {f"grader: {status}": 1}


async def test_an_answer_too_long_to_compare_is_wrong() -> None:
    given = means(lambda _: Verdict(False, Graded.TOO_LONG))
    assert await marked([{"kind": "accuracy"}], [rollout("s", answer="9" * 99)], given) == [{"accuracy": 0.0}]


async def test_a_grader_that_dies_is_counted() -> None:
    def die(answer: str) -> Verdict:
        raise BackendError("gone")

    given = means(die)
    assert await marked([{"kind": "accuracy"}], [rollout("s", answer="5")], given) == [{"accuracy": None}]
    assert given.troubles == {"grader failed": 1}


@pytest.mark.parametrize(
    ("text", "reward"),
    [
        (WHOLE, 1.0),
        (WHOLE.replace("<end_of_output>", ""), 0.0),
        (WHOLE + "<answer>", 0.0),
        (WHOLE.replace("<code>", "", 1).replace("<answer>", "<code><answer>"), 0.0),
        ("", 0.0),
    ],
)
async def test_every_tag_stands_once_and_in_order(text: str, reward: float) -> None:
    assert await marked([{"kind": "format"}], [rollout(text)]) == [{"format": reward}]


async def test_a_format_without_tags_has_no_format_reward() -> None:
    with pytest.raises(PonderosaError, match="text has no tags: leave the format reward out"):
        await marked([{"kind": "format"}], [], means(format="text"))


@pytest.mark.parametrize(
    ("tokens", "ended", "reward"),
    [
        (80, Ended.STOP, 0.0),
        (90, Ended.STOP, -0.5),
        (100, Ended.STOP, -1.0),
        (500, Ended.STOP, -1.0),
        (10, Ended.LENGTH, -1.0),
    ],
)
async def test_length_is_punished_softly(tokens: int, ended: Ended, reward: float) -> None:
    entry = {"kind": "length", "limit": 100, "margin": 20}
    assert await marked([entry], [rollout("s", tokens=tokens, ended=ended)]) == [{"length": reward}]


async def test_a_model_reads_the_answer_or_the_whole() -> None:
    model = Lengths()
    entries = [{"kind": "model", "checkpoint": "m", "reads": "answer"}, {"kind": "model", "checkpoint": "m"}]
    steps = ("<code>ab", "<answer>cde<end_of_answer>")
    (scores,) = await marked(entries, [rollout(*steps, answer="cde")], means(model=model))
    assert model.read == [("How many?", ("<answer>cde<end_of_answer>",)), ("How many?", steps)]
    assert scores == {"model-answer": 0.026, "model-whole": 0.034}


@pytest.mark.parametrize(
    ("format", "steps", "answer", "read"),
    [
        ("think", ("So 8.\n", "</think> <answer> 8 apples</answer>"), "8 apples", "</think> <answer>8 apples</answer>"),
        ("think", ("So 8.\n</think> \\boxed{8}",), "8", "</think> <answer>8</answer>"),
        ("text", ("So 8.\n\n", "It is \\boxed{8}."), "8", "It is \\boxed{8}."),
    ],
)
async def test_an_answer_alone_is_a_solution_without_reasoning(
    format: str, steps: tuple[str, ...], answer: str, read: str
) -> None:
    model = Lengths()
    entry = {"kind": "model", "checkpoint": "m", "reads": "answer"}
    await marked([entry], [rollout(*steps, answer=answer)], means(model=model, format=format))
    assert model.read == [("How many?", (read,))]


async def test_what_says_nothing_has_the_lowest_value_and_is_shown_to_no_model() -> None:
    model = Lengths()
    entries = [{"kind": "model", "checkpoint": "m", "reads": "answer"}, {"kind": "model", "checkpoint": "m"}]
    cut_off = "So it is <answer>5 or"
    silent, unfinished, done = await marked(
        entries, [rollout(" "), rollout(cut_off), rollout(WHOLE, answer="5")], means(model=model)
    )
    assert silent == {"model-answer": -1.0, "model-whole": -1.0}
    assert unfinished == {"model-answer": -1.0, "model-whole": len(cut_off) / 1000}
    assert done["model-answer"] > -1
    assert [steps for _, steps in model.read] == [
        ("<answer>It is \\boxed{5}.<end_of_answer>",),
        (cut_off,),
        (WHOLE,),
    ]


async def test_where_nobody_says_anything_no_model_is_asked() -> None:
    entry = {"kind": "model", "checkpoint": "m", "name": "help"}
    assert await marked([entry], [rollout()], means(model=None)) == [{"help": -1.0}]


async def test_a_model_that_dies_or_says_nothing_readable_gives_no_reward() -> None:
    class Dies:
        async def score(self, paths: Sequence[Any], *, last_only: bool = False) -> list[Scored]:
            raise BackendError("gone")

    class Mumbles:
        async def score(self, paths: Sequence[Any], *, last_only: bool = False) -> list[Scored]:
            return [Scored((0.0,), unread=True) for _ in paths]

    entry = {"kind": "model", "checkpoint": "m", "name": "help"}
    given = means(model=Dies())
    assert await marked([entry], [rollout("s")], given) == [{"help": None}]
    assert given.troubles == {"reward model failed: gone": 1}
    assert await marked([entry], [rollout("s")], means(model=Mumbles())) == [{"help": None}]


async def test_failed_rollouts_are_not_shown_to_any_reward() -> None:
    model = Lengths()
    entry = {"kind": "model", "checkpoint": "m", "name": "help"}
    rollouts = [rollout(failed="dead"), rollout("abc")]
    assert await marked([entry], rollouts, means(model=model)) == [{"help": None}, {"help": 0.003}]
    assert len(model.read) == 1


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_rewards.py").write_text(
        "def steps(rollouts, factor=1):\n    return [factor * len(one.steps) for one in rollouts]\n"
        "async def later(rollouts):\n    return [None for _ in rollouts]\n"
        "def short(rollouts):\n    return []\n"
        "def broken(rollouts):\n    return 1 / 0\n"
        "def share(text, language):\n    return text.count(language)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return "python:own_rewards"


async def test_a_reward_of_ones_own_is_a_function_or_a_coroutine(own: str) -> None:
    entries = [{"kind": "own", "function": f"{own}:steps?factor=2"}, {"kind": "own", "function": f"{own}:later"}]
    assert await marked(entries[:1], [rollout("a", "b")]) == [{"steps": 4.0}]
    assert await marked(entries, [rollout("a", "b")]) == [{"steps": None, "later": None}]


@pytest.mark.parametrize(("name", "message"), [("short", "gave 0 numbers for 1"), ("broken", "ZeroDivisionError")])
async def test_a_reward_of_ones_own_that_is_wrong_is_named(own: str, name: str, message: str) -> None:
    with pytest.raises(PonderosaError, match=message):
        await marked([{"kind": "own", "function": f"{own}:{name}"}], [rollout("a")])


async def test_language_is_told_of_the_reasoning_alone(own: str) -> None:
    entry = {"kind": "language", "language": "x", "share": f"{own}:share"}
    assert await marked([entry], [rollout("<code>xx<end_of_code><answer>xxx<end_of_answer>")]) == [{"language": 2.0}]


async def test_a_language_that_nobody_knows_is_refused() -> None:
    with pytest.raises(PonderosaError, match="language `klingon` is not known"):
        await marked([{"kind": "language", "language": "klingon"}], [])
