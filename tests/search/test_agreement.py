import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core import Outcome, Prompt, RefusedError, Sampling, Tree
from ponderosa.core.plain_formats import TextFormat
from ponderosa.search import AGREEMENT, AgreementSettings, Backends, agree, agreement_of
from ponderosa.search.agreement import beginning
from ponderosa.search.budget import Budget

from .words import NothingRuns, WordsPolicy

SOLUTION = "Half of x is 2, which is said. So x is twice that.\n\nSo x is \\boxed{4}."


def asked(second: WordsPolicy, answer: str = "4", budget: Budget | None = None, **settings: object) -> Tree:
    backends = Backends(second, NothingRuns(), TextFormat(), budget=budget or Budget())
    made = AgreementSettings(**settings)  # type: ignore[arg-type]
    return asyncio.run(agree("p@3", "What is x?", SOLUTION, answer, backends, made, seed=1))


def test_a_model_that_comes_to_the_same_answer_agrees_whole() -> None:
    tree = asked(WordsPolicy(4))
    assert (tree.method, agreement_of(tree)) == (AGREEMENT, 1.0)
    assert len(tree.rollouts) == 4
    assert agreement_of(asked(WordsPolicy(5))) == 0.0


def test_agreement_is_the_share_of_all_ends() -> None:
    tree = asked(WordsPolicy(4, 5), samples=8)
    answers = [tree.nodes[end].answer for end in tree.rollouts]
    assert len(answers) == 32
    assert agreement_of(tree) == answers.count("4") / 32
    assert 0 < agreement_of(tree) < 1
    assert tree.nodes[0].total == answers.count("4")


def test_the_model_is_given_each_beginning_of_the_solution() -> None:
    second = WordsPolicy(4)
    asked(second, prefixes=(0.25, 0.5))
    words = SOLUTION.split()
    begun = {len(prompt.body.split()) for prompt in second.asked}
    assert {round(0.25 * len(words)), round(0.5 * len(words))} <= begun
    assert all(SOLUTION.startswith(prompt.body) for prompt in second.asked if len(prompt.body) < 30)


def test_the_known_answer_is_not_asked_for() -> None:
    assert agreement_of(asked(WordsPolicy(5), answer="5")) == 1.0


def test_the_tree_is_the_same_whatever_comes_first() -> None:
    first, *others = [asked(WordsPolicy(4, 5), samples=3) for _ in range(3)]
    assert all(tree == first for tree in others)


def test_a_search_that_is_cut_short_agrees_with_nothing() -> None:
    tree = asked(WordsPolicy(4), budget=Budget(calls=1))
    assert tree.outcome is Outcome.BUDGET_SPENT
    assert agreement_of(tree) == 0.0


def test_a_refusal_is_kept_as_such() -> None:
    class Refuses(WordsPolicy):
        async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[object]:  # type: ignore[override]
            raise RefusedError("too long")

    tree = asked(Refuses())
    assert (tree.outcome, tree.nodes[0].error) == (Outcome.BACKEND_FAILED, "too long")


@given(st.text(), st.floats(0, 1))
def test_a_beginning_is_the_start_of_the_text_and_ends_with_a_word(text: str, share: float) -> None:
    begun = beginning(text, share)
    assert text.startswith(begun)
    words = len(text.split())
    assert len(begun.split()) == max(1, round(share * words)) if words else begun == text


@pytest.mark.parametrize(("share", "begun"), [(0.0, "one"), (0.5, "one two"), (1.0, "one two\n three four")])
def test_beginnings_have_that_share_of_the_words(share: float, begun: str) -> None:
    assert beginning("one two\n three four", share) == begun
