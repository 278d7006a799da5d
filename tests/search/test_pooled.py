import asyncio
from dataclasses import replace

from ponderosa.core import Completion, Ended, Problem, Prompt, Sampling, Tree
from ponderosa.core.plain_formats import TextFormat
from ponderosa.search import Backends, SampleSettings, sample_pooled
from ponderosa.search.pooled import MOST

from .words import NothingRuns, WordsPolicy

EASY = [Problem(f"easy {i}", "What is x?", "4") for i in range(6)]
HARD = [Problem(f"hard {i}", "What is y?", "4") for i in range(2)]
SETTINGS = SampleSettings(n=8, temperature=1.0, batch=2)


class ByQuestion:
    """Sure of x, and of two minds about y."""

    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        answers = (4,) if "What is x?" in prompt.question else (4, 5)
        return await WordsPolicy(*answers).propose(prompt, n, sampling, seed)


class Nothing:
    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        return [Completion("I do not know.", Ended.EOS)] * n


def run(problems: list[Problem], concurrency: int = 8, policy: object = None) -> list[Tree]:
    backends = Backends(policy or ByQuestion(), NothingRuns(), TextFormat())  # type: ignore[arg-type]
    return asyncio.run(sample_pooled(problems, lambda _: backends, SETTINGS, concurrency))


def drawn(trees: list[Tree]) -> list[int]:
    return [len(tree.rollouts) for tree in trees]


def test_what_settled_problems_save_goes_to_those_that_are_not() -> None:
    trees = run(EASY + HARD)
    easy, hard = drawn(trees[:6]), drawn(trees[6:])
    assert set(easy) == {4}  # four votes of four: 1 - 2^-5 sure
    assert max(hard) > SETTINGS.n
    assert sum(easy + hard) <= SETTINGS.n * len(trees)


def test_nothing_is_spent_beyond_what_was_saved() -> None:
    assert sum(drawn(run(HARD))) <= SETTINGS.n * len(HARD)


def test_a_problem_that_never_settles_has_its_limit() -> None:
    trees = run([*(Problem(f"easy {i}", "What is x?", "4") for i in range(60)), HARD[0]], policy=None)
    assert drawn(trees)[-1] <= MOST * SETTINGS.n
    assert max(drawn(run([*EASY, *HARD], policy=Nothing()))) == SETTINGS.n  # nobody saves anything


def test_trees_are_the_same_at_any_concurrency() -> None:
    alone, few, all_at_once = (run(EASY + HARD, n) for n in (1, 3, 100))
    assert alone == few == all_at_once


def test_every_chain_counts_as_a_visit_with_what_it_brought() -> None:
    async def judge(answer: str) -> float:
        return 1.0 if answer == "4" else -1.0

    backends = Backends(ByQuestion(), NothingRuns(), TextFormat(), judge=judge)
    for tree in asyncio.run(sample_pooled(EASY + HARD, lambda _: backends, replace(SETTINGS, n=4), 8)):
        assert tree.nodes[0].visits == len(tree.rollouts)
        assert tree.nodes[0].total == sum(tree.nodes[end].reward or 0.0 for end in tree.rollouts)
