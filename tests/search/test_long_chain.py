import asyncio
from dataclasses import replace

import pytest

from ponderosa.core import Completion, Outcome, PonderosaError, Prompt, Sampling, Tree
from ponderosa.core.plain_formats import TextFormat
from ponderosa.search import ANSWER_RULES, Backends, LongChainSettings, long_chain
from ponderosa.search.budget import Budget

from .words import NothingRuns, WordsPolicy


def run(policy: WordsPolicy, settings: LongChainSettings) -> Tree:
    return asyncio.run(long_chain("p", "What is x?", Backends(policy, NothingRuns(), TextFormat()), settings))


def test_it_waits_as_often_as_it_is_told_and_its_last_answer_counts() -> None:
    policy = WordsPolicy(*range(50))
    tree = run(policy, LongChainSettings(waits=2))
    assert len(tree.rollouts) == 3
    assert [prompt.body.count("\n\nWait,") for prompt in policy.asked] == [0, 1, 2]
    assert len(list(tree.answered())) == 1
    assert all(tree.path(tree.rollouts[-1])[: len(tree.path(end))] == tree.path(end) for end in tree.rollouts)
    choice = asyncio.run(ANSWER_RULES["final"](tree, None))
    assert choice is not None
    assert choice.answer == tree.nodes[tree.rollouts[-1]].answer


def test_without_waiting_it_is_a_chain() -> None:
    tree = run(WordsPolicy(4), LongChainSettings(waits=0))
    assert "Wait" not in "".join(tree.steps(tree.rollouts[-1]))
    assert tree.nodes[tree.rollouts[-1]].answer == "4"


@pytest.mark.parametrize("tokens", [1, 3, 12])
def test_when_its_tokens_are_spent_it_is_asked_for_its_answer(tokens: int) -> None:
    policy = WordsPolicy(4)
    settings = LongChainSettings(waits=100, tokens=tokens, answer_tokens=5)
    tree = run(policy, settings)
    assert policy.asked[-1].body.endswith("The final answer is \\boxed{")
    assert tree.steps(tree.rollouts[-1])[-1] == "\n\nThe final answer is \\boxed{4}."
    assert tree.nodes[tree.rollouts[-1]].answer == "4"
    assert tree.usage.generated_tokens <= tokens + settings.answer_tokens


def test_it_takes_a_format_of_words(data_making: Backends) -> None:
    with pytest.raises(PonderosaError, match="second thoughts take a format whose steps are words"):
        asyncio.run(long_chain("p", "?", data_making, LongChainSettings()))


class Wordless(WordsPolicy):
    """Has nothing to add once it is told to wait."""

    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        completions = await super().propose(prompt, n, sampling, seed)
        return completions if "Wait" not in prompt.body else [replace(c, text="Hmm.") for c in completions]


@pytest.mark.parametrize(("policy", "calls"), [(Wordless(4), None), (WordsPolicy(4), 1)])
def test_an_answer_stands_when_waiting_brings_no_other(policy: WordsPolicy, calls: int | None) -> None:
    of = Backends(policy, NothingRuns(), TextFormat(), budget=Budget(calls=calls))
    tree = asyncio.run(long_chain("p", "What is x?", of, LongChainSettings(waits=2)))
    (end,) = tree.answered()
    assert tree.nodes[end].answer == "4"
    assert tree.nodes[end].visits == 1
    assert tree.outcome is (None if calls is None else Outcome.BUDGET_SPENT)
