"""rStar's mutual reasoning, with policies of words."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from ponderosa.core import (
    Completion,
    Outcome,
    Path,
    PonderosaError,
    Prompt,
    RefusedError,
    Sampling,
    Scored,
    Tree,
)
from ponderosa.core.plain_formats import TextFormat
from ponderosa.search import ANSWER_RULES, Backends, Choice, MutualSettings, mutual
from ponderosa.search.actions import NEXT, Action, context, subquestion_of
from ponderosa.search.budget import Budget

from .words import NothingRuns, WordsPolicy

SETTINGS = MutualSettings(rollouts=24, votes=8, part_votes=4)


class SameText:
    async def equivalent(self, a: str, b: str) -> bool:
        return a == b


def backends(policy: WordsPolicy, second: WordsPolicy | None = None) -> Backends:
    return Backends(policy, NothingRuns(), TextFormat(), discriminator=second)


def run(of: Backends, settings: MutualSettings = SETTINGS, seed: int = 0) -> Tree:
    return asyncio.run(mutual("p", "What is x?", of, settings, seed))


@pytest.fixture(scope="module")
def tree() -> Tree:
    return run(backends(WordsPolicy(4, 4, 5)))


def test_all_five_actions_are_tried_and_each_where_it_may_be(tree: Tree) -> None:
    assert {node.action for node in tree.nodes[1:]} == set(Action)
    assert all(node.action in NEXT[tree.nodes[node.parent].action] for node in tree.nodes[1:])


def test_what_answers_brings_the_share_of_its_votes_to_the_whole_path(tree: Tree) -> None:
    for node in tree.nodes:
        if node.action == Action.FINISH:
            assert node.outcome is Outcome.ANSWERED
            assert node.reward in {votes / SETTINGS.votes for votes in range(4, 9)}  # the most frequent of two
    assert len(tree.rollouts) == tree.nodes[0].visits == SETTINGS.rollouts
    assert tree.nodes[0].total == pytest.approx(sum(tree.nodes[end].reward or 0.0 for end in tree.rollouts))


def test_a_subquestion_is_answered_by_the_most_frequent_of_its_votes(tree: Tree) -> None:
    parts = [n for n in tree.nodes if n.action == Action.SUBQUESTION and not n.terminal]
    assert parts
    assert all(subquestion_of(n.text) == "What is half of x?" for n in parts)
    assert {n.text.split("The answer is ")[1].strip(" .\n") for n in parts} <= {"2.0", "2.5"}
    last = [n for n in tree.nodes if n.action == Action.SUBQUESTION and n.outcome is Outcome.ANSWERED]
    assert last
    assert all(n.answer in ("4", "5") and n.reward is not None for n in last)


def test_the_policy_reads_the_question_as_it_was_rephrased_and_the_answer_as_it_was_given_anew(tree: Tree) -> None:
    rephrased = next(i for i, n in enumerate(tree.nodes) if n.action == Action.REPHRASE)
    assert context(tree, rephrased) == ("Given is x. Find it.", ())
    anew = next(i for i, n in enumerate(tree.nodes) if n.action == Action.REANSWER)
    _, steps = context(tree, anew)
    assert steps[-1] == tree.nodes[anew].text
    assert tree.nodes[tree.nodes[anew].parent].text not in steps
    assert len(steps) == len([i for i in tree.path(anew) if tree.nodes[i].action != Action.REPHRASE]) - 1


def test_no_trajectory_has_more_actions_than_allowed(tree: Tree) -> None:
    assert max(node.depth for node in tree.nodes) <= SETTINGS.max_depth
    assert all(node.terminal for node in tree.nodes if node.depth == SETTINGS.max_depth)


def test_a_tree_does_not_depend_on_timing() -> None:
    first, *others = [run(backends(WordsPolicy(4, 5), WordsPolicy(4, 5)), seed=3) for _ in range(3)]
    assert all(tree == first for tree in others)


def test_the_discriminator_agrees_with_what_it_would_say_itself() -> None:
    tree = run(backends(WordsPolicy(5, 5, 5, 4), WordsPolicy(4)))
    ends = [tree.nodes[end] for end in tree.answered()]
    assert {(n.answer, n.value) for n in ends} == {("4", 1.0), ("5", -1.0)}
    assert 0 < tree.usage.discriminator_tokens < tree.usage.generated_tokens
    majority = asyncio.run(ANSWER_RULES["majority"](tree, SameText().equivalent))
    choice = asyncio.run(ANSWER_RULES["mutual"](tree, SameText().equivalent))
    assert isinstance(majority, Choice)
    assert isinstance(choice, Choice)
    assert (majority.answer, choice.answer) == ("5", "4")
    assert choice.confidence == 1.0  # every survivor says 4, and every 4 survives


def test_where_all_agree_the_discriminator_is_not_asked() -> None:
    second = WordsPolicy(5)
    tree = run(backends(WordsPolicy(4), second))
    assert second.asked == []
    choice = asyncio.run(ANSWER_RULES["mutual"](tree, SameText().equivalent))
    assert choice is not None
    assert choice.answer == "4"


def test_if_nothing_survives_all_count() -> None:
    tree = run(backends(WordsPolicy(4, 4, 4, 5), WordsPolicy(7)))
    assert {tree.nodes[end].value for end in tree.answered()} == {-1.0}
    choice = asyncio.run(ANSWER_RULES["mutual"](tree, SameText().equivalent))
    assert choice is not None
    assert choice.answer == "4"


def test_a_format_without_words_takes_steps_and_their_rest_alone(data_making: Backends) -> None:
    with pytest.raises(PonderosaError, match="subquestion, reanswer, rephrase take a format whose steps are words"):
        run(replace(data_making, judge=None))
    tree = run(replace(data_making, judge=None), replace(SETTINGS, actions=(Action.STEP, Action.FINISH)))
    assert {node.action for node in tree.nodes[1:]} == {Action.STEP, Action.FINISH}
    for end in tree.answered():
        assert tree.nodes[end].answer == re.findall(r"x = (\d)", "".join(tree.steps(end)))[-1]


def test_the_prompt_of_the_root_is_that_of_the_question_alone(tree: Tree) -> None:
    assert tree.nodes[0].tokens == len(TextFormat().render("What is x?").text.split())


class Counting(WordsPolicy):
    """Counts what it wrote, and fails once it has answered `fails` requests."""

    def __init__(self, *answers: int, fails: int | None = None) -> None:
        super().__init__(*answers)
        self.written = self.answered = 0
        self.fails = fails

    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        if self.fails is not None and self.answered >= self.fails:
            raise RefusedError("the second model is gone")
        completions = await super().propose(prompt, n, sampling, seed)
        self.answered += 1
        self.written += sum(completion.tokens for completion in completions)
        return completions


def test_what_both_models_write_is_counted() -> None:
    first, second = Counting(4, 5), Counting(4, 5)
    tree = run(backends(first, second))
    assert tree.usage.generated_tokens == first.written + second.written
    assert tree.usage.discriminator_tokens == second.written > 0


def test_a_discriminator_that_fails_is_counted_up_to_there() -> None:
    tree = run(backends(Counting(4, 5), Counting(4, 5, fails=3)))
    assert tree.outcome is Outcome.BACKEND_FAILED
    assert tree.nodes[0].error == "the second model is gone"
    assert tree.usage.discriminator_tokens > 0


def test_the_budget_is_that_of_both_models() -> None:
    whole = run(backends(WordsPolicy(4, 5), WordsPolicy(4, 5)))
    calls = whole.usage.policy_calls - 5
    cut = run(replace(backends(WordsPolicy(4, 5), WordsPolicy(4, 5)), budget=Budget(calls=calls)))
    assert cut.outcome is Outcome.BUDGET_SPENT
    assert cut.usage.policy_calls == calls
    assert len(list(cut.answered())) == len(list(whole.answered()))
    assert {cut.nodes[end].value for end in cut.answered()} == {None}  # half a discrimination tells nothing apart


class BoxJudge:
    """Says of whole solutions that those with a 5 are wrong; keeps what it was asked."""

    def __init__(self, *, reads: bool = True) -> None:
        self.reads = reads
        self.asked: list[Path] = []

    async def score(self, paths: Sequence[Path], *, last_only: bool = False) -> list[Scored]:
        assert last_only
        self.asked += paths
        if not self.reads:
            return [Scored((0.0,), 20, unread=True) for _ in paths]
        return [Scored((-1.0 if "boxed{5}" in "".join(steps) else 1.0,), 20) for _, steps in paths]


def test_a_judge_as_discriminator_says_which_whole_solutions_are_right() -> None:
    judge = BoxJudge()
    tree = run(replace(backends(WordsPolicy(5, 5, 5, 4)), discriminator=judge))
    ends = list(tree.answered())
    assert {(tree.nodes[end].answer, tree.nodes[end].value) for end in ends} == {("4", 1.0), ("5", -1.0)}
    assert judge.asked == [("What is x?", context(tree, end)[1]) for end in ends]
    choice = asyncio.run(ANSWER_RULES["mutual"](tree, SameText().equivalent))
    assert choice is not None
    assert choice.answer == "4"
    assert tree.usage.discriminator_tokens == 0
    assert (tree.usage.scored_steps, tree.usage.reward_tokens) == (len(ends), 20 * len(ends))


def test_where_all_agree_no_judge_is_asked() -> None:
    judge = BoxJudge()
    run(replace(backends(WordsPolicy(4)), discriminator=judge))
    assert judge.asked == []


def test_a_judge_that_cannot_be_read_rejects_nothing_and_is_counted() -> None:
    tree = run(replace(backends(WordsPolicy(5, 5, 5, 4)), discriminator=BoxJudge(reads=False)))
    ends = list(tree.answered())
    assert tree.usage.unread_scores == len(ends)
    majority, choice = (asyncio.run(ANSWER_RULES[rule](tree, SameText().equivalent)) for rule in ("majority", "mutual"))
    assert isinstance(choice, Choice)
    assert isinstance(majority, Choice)
    assert choice.answer == majority.answer == "5"
