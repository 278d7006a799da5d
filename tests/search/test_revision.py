import asyncio
from dataclasses import replace

import pytest

from ponderosa.core import Completion, Ended, Prompt, Sampling, Tree
from ponderosa.core.plain_formats import TextFormat
from ponderosa.search import ANSWER_RULES, Backends, RevisionSettings, revision

from .words import BoxReward, NothingRuns, WordsPolicy


class Learner(WordsPolicy):
    """Says 5 at first, and 4 once it has seen an earlier attempt."""

    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        self.answers = (4,) if "An earlier attempt:" in prompt.question else (5,)
        return await super().propose(prompt, n, sampling, seed)


def run(of: Backends, settings: RevisionSettings | None = None) -> Tree:
    return asyncio.run(revision("p", "What is x?", of, settings or RevisionSettings()))


def answers(tree: Tree) -> list[str | None]:
    return [tree.nodes[end].answer for end in tree.rollouts]


def test_without_a_verifier_an_answer_stands_when_it_is_given_twice() -> None:
    policy = Learner(5)
    tree = run(Backends(policy, NothingRuns(), TextFormat()))
    assert answers(tree) == ["5", "4", "4"]
    assert "check every step" in policy.asked[1].question
    assert "So x is \\boxed{5}" in policy.asked[1].question


def test_a_verifier_names_the_step_that_it_doubts_and_ends_it_when_content() -> None:
    policy = Learner(5)
    tree = run(Backends(policy, NothingRuns(), TextFormat(), BoxReward()))
    assert answers(tree) == ["5", "4"]
    assert "this step is doubtful:\nSo x is \\boxed{5}." in policy.asked[1].question


def test_a_program_that_fails_says_how(data_making: Backends) -> None:
    asked: list[Prompt] = []

    class Boom:
        async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
            asked.append(prompt)
            return [Completion("\nx = boom\nprint(x)\n", Ended.STOP, "<end_of_code>")] * n

    tree = run(replace(data_making, policy=Boom()), RevisionSettings(attempts=2))
    assert len(tree.rollouts) == 2
    assert "its program fails with NameError: boom" in asked[1].question


def test_attempts_are_chains_of_their_own_and_the_last_one_counts() -> None:
    tree = run(Backends(Learner(5), NothingRuns(), TextFormat()), RevisionSettings(attempts=2))
    assert all(tree.path(end)[0] in tree.nodes[0].children for end in tree.rollouts)
    choice = asyncio.run(ANSWER_RULES["final"](tree, None))
    assert choice is not None
    assert (choice.answer, choice.node) == ("4", tree.rollouts[-1])


@pytest.mark.parametrize("attempts", [1, 3])
def test_there_are_no_more_attempts_than_allowed(attempts: int) -> None:
    tree = run(Backends(WordsPolicy(*range(100)), NothingRuns(), TextFormat()), RevisionSettings(attempts=attempts))
    assert len(tree.rollouts) == attempts
