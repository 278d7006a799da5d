"""Searches in a format in which the whole text is the answer."""

import asyncio
from dataclasses import replace

import pytest

from ponderosa.core import Completion, Ended, Outcome, Prompt, Sampling, Tree, make_format
from ponderosa.search import ANSWER_RULES, SEARCHES, Backends, MCTSSettings, MutualSettings, SampleSettings
from ponderosa.search.actions import Action

from .words import NothingRuns

PARAGRAPHS = ("Let n = 2k.\n\n", "Then n + n = 4k.\n\n", "So it is even.")


class Prover:
    """Writes the next paragraph of the proof, or all that are left; then nothing."""

    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        left = "".join(PARAGRAPHS).removeprefix(prompt.body)
        before, stop, _ = left.partition("\n\n")
        if sampling.stop and stop:
            return [Completion(before, Ended.STOP, stop, tokens=3)] * n
        return [Completion(left, Ended.EOS, tokens=9)] * n


class SameText:
    async def equivalent(self, a: str, b: str) -> bool:
        return a == b


async def judge(answer: str) -> float | None:
    return 1.0 if answer == "".join(PARAGRAPHS) else -1.0


BACKENDS = Backends(Prover(), NothingRuns(), make_format("proof"), judge=judge)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("sample", SampleSettings(2, 1.0)), ("mcts", MCTSSettings(rollouts=4, candidates=2))],
)
def test_the_answer_is_the_text_of_all_steps_and_that_is_judged(name: str, settings: object) -> None:
    tree: Tree = asyncio.run(SEARCHES[name].run("p", "Prove it.", BACKENDS, settings))
    (end,) = tree.answered()
    assert tree.steps(end) == PARAGRAPHS
    assert tree.nodes[end].answer == "".join(PARAGRAPHS)
    assert tree.nodes[end].reward == 1.0
    choice = asyncio.run(ANSWER_RULES["best_of_n"](tree, SameText()))
    assert choice is not None
    assert choice.answer == "".join(PARAGRAPHS)


def test_mutual_reasoning_finishes_a_text_that_was_begun() -> None:
    settings = MutualSettings(rollouts=4, votes=2, actions=(Action.STEP, Action.FINISH))
    tree = asyncio.run(SEARCHES["mutual"].run("p", "Prove it.", replace(BACKENDS, judge=None), settings))
    assert {tree.nodes[end].answer for end in tree.answered()} == {"".join(PARAGRAPHS)}


def test_an_end_before_any_word_is_no_answer() -> None:
    class Silent(Prover):
        async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
            return [Completion("", Ended.EOS)] * n

    backends = replace(BACKENDS, policy=Silent())
    tree = asyncio.run(SEARCHES["sample"].run("p", "Prove it.", backends, SampleSettings(1)))
    assert [node.outcome for node in tree.nodes[1:]] == [Outcome.MALFORMED]


@pytest.mark.parametrize("name", ["sample", "mcts"])
def test_an_answer_without_a_verdict_is_neither_right_nor_wrong(name: str) -> None:
    async def silent(answer: str) -> float | None:
        return None

    settings = SampleSettings(1) if name == "sample" else MCTSSettings(rollouts=2, candidates=1)
    tree = asyncio.run(SEARCHES[name].run("p", "Prove it.", replace(BACKENDS, judge=silent), settings))
    (end,) = tree.answered()
    assert tree.nodes[end].reward is None
    assert tree.nodes[0].total == 0.0
