"""Choosing the answer of a finished search, without the gold one. Votes merge equivalent answers, not strings."""

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from ponderosa.core import Equivalent, Outcome, Tree

Aggregation = Literal["last", "min", "mean", "product"]

AGGREGATIONS: dict[str, Callable[[Sequence[float]], float]] = {
    "last": lambda values: (values[-1] + 1) / 2,
    "min": lambda values: (min(values) + 1) / 2,
    "mean": lambda values: (math.fsum(values) / len(values) + 1) / 2,
    "product": lambda values: math.prod((v + 1) / 2 for v in values),
}
"""How the step values of a trajectory, each in [-1, 1], become one score in [0, 1]; p = (v + 1) / 2."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An answer, the terminal node that states it, and the share of the vote (or the score) that it got, in [0, 1]."""

    answer: str
    node: int
    confidence: float


async def merge_answers(answers: Sequence[str], equivalent: Equivalent | None) -> list[str]:
    """For each answer the first one in the list that is equivalent to it; without `equivalent`, the same text."""
    if equivalent is None:
        return list(answers)
    first: dict[str, str] = {}
    classes: list[str] = []
    for answer in answers:
        if answer not in first:
            for known in classes:
                if await equivalent(known, answer):
                    first[answer] = known
                    break
            else:
                classes.append(answer)
                first[answer] = answer
    return [first[answer] for answer in answers]


def trajectory_score(tree: Tree, node: int, aggregation: str = "last") -> float:
    """The aggregated value of the steps to `node`, in [0, 1]. Steps without a value are left out; 0 without any."""
    values = [value for i in tree.path(node) if (value := tree.nodes[i].value) is not None]
    return AGGREGATIONS[aggregation](values) if values else 0.0


def _ends(tree: Tree) -> list[int]:
    """The answered ends, one for each sample, particle or attempt; of other trees each answered terminal once."""
    ends = tree.rollouts if tree.method in ("sample", "particles", "beam", "revision") else tree.answered()
    return [end for end in ends if tree.nodes[end].outcome is Outcome.ANSWERED]


async def _vote(tree: Tree, equivalent: Equivalent | None, weight: Callable[[int], float]) -> Choice | None:
    ends = _ends(tree)
    merged = await merge_answers([tree.nodes[end].answer or "" for end in ends], equivalent)
    votes: dict[str, float] = {}
    for end, answer in zip(ends, merged, strict=True):
        votes[answer] = votes.get(answer, 0.0) + weight(end)
    if not votes:
        return None
    winner = max(votes, key=lambda answer: votes[answer])  # the first of equals
    total = math.fsum(votes.values())
    node = max((end for end, merged_to in zip(ends, merged, strict=True) if merged_to == winner), key=weight)
    return Choice(winner, node, votes[winner] / total if total else 1 / len(votes))


async def majority_vote(tree: Tree, equivalent: Equivalent | None, aggregation: str = "last") -> Choice | None:
    """The most frequent answer (self-consistency, arXiv 2203.11171); the first of equals; None if nothing answered."""
    return await _vote(tree, equivalent, lambda end: 1.0)


async def weighted_vote(tree: Tree, equivalent: Equivalent | None, aggregation: str = "last") -> Choice | None:
    """The answer whose trajectories' scores sum to most (weighted best-of-N)."""
    return await _vote(tree, equivalent, lambda end: trajectory_score(tree, end, aggregation))


async def best_of_n(tree: Tree, equivalent: Equivalent | None, aggregation: str = "last") -> Choice | None:
    """The answer of the trajectory with the highest score; the first of equals."""
    return max(
        (Choice(tree.nodes[end].answer or "", end, trajectory_score(tree, end, aggregation)) for end in _ends(tree)),
        key=lambda choice: choice.confidence,
        default=None,
    )


async def best_terminal(tree: Tree, equivalent: Equivalent | None, aggregation: str = "last") -> Choice | None:
    """The answer of the terminal with the highest Q: a tree's pass@1 in rStar-Math's test-time search."""
    return max(
        (Choice(tree.nodes[end].answer or "", end, (tree.nodes[end].q + 1) / 2) for end in tree.answered()),
        key=lambda choice: choice.confidence,
        default=None,
    )


async def final_answer(tree: Tree, equivalent: Equivalent | None, aggregation: str = "last") -> Choice | None:
    """The answer of the last rollout that has one, where each improves on those before; None without any."""
    end = next((end for end in reversed(tree.rollouts) if tree.nodes[end].answer is not None), None)
    return None if end is None else Choice(tree.nodes[end].answer or "", end, 1.0)


async def mutual_choice(tree: Tree, equivalent: Equivalent | None, aggregation: str = "last") -> Choice | None:
    """rStar's choice (arXiv 2408.06195, section 3.3), without a look at the right answer.

    A solution survives if the discriminator came to its answer from at least half of its beginnings, a value of 0. An
    answer's score is its share of the surviving solutions plus the share of its solutions that survive; if none does,
    all count. The confidence is half the score.
    """
    ends = list(tree.answered())
    merged = await merge_answers([tree.nodes[end].answer or "" for end in ends], equivalent)
    surviving = [(tree.nodes[end].value or 0.0) >= 0 for end in ends]
    if not any(surviving):
        surviving = [True] * len(ends)
    found = Counter(merged)
    kept = Counter(answer for answer, survives in zip(merged, surviving, strict=True) if survives)
    score = {answer: count / kept.total() + count / found[answer] for answer, count in kept.items()}
    if not score:
        return None
    winner = max(score, key=lambda answer: score[answer])
    own = [end for end, to, survives in zip(ends, merged, surviving, strict=True) if to == winner and survives]
    return Choice(winner, max(own, key=lambda end: tree.nodes[end].reward or 0.0), score[winner] / 2)


@dataclass(frozen=True, slots=True)
class TreeVotes:
    """What several trees of one problem say together, each by its terminal of highest value; None where none answered.

    rStar-Math's test time (arXiv 2501.04519, section 4.1): the majority among the trees of highest score, and the
    answer with the most score of all.
    """

    majority: str | None
    weighted: str | None


async def tree_votes(trees: Sequence[Tree], equivalent: Equivalent | None, top: int = 8) -> TreeVotes:
    """The votes of `trees`, the majority among the `top` of highest score; of equals the first."""
    found = [await best_terminal(tree, equivalent) for tree in trees]
    choices = sorted((c for c in found if c is not None), key=lambda choice: choice.confidence, reverse=True)
    merged = await merge_answers([choice.answer for choice in choices], equivalent)
    counts: dict[str, int] = {}
    scores: dict[str, float] = {}
    for place, (choice, answer) in enumerate(zip(choices, merged, strict=True)):
        counts[answer] = counts.get(answer, 0) + (place < top)
        scores[answer] = scores.get(answer, 0.0) + choice.confidence
    return TreeVotes(
        max(counts, key=lambda answer: counts[answer], default=None),
        max(scores, key=lambda answer: scores[answer], default=None),
    )


AnswerRule = Callable[..., Awaitable[Choice | None]]
"""(tree, equivalent, aggregation) -> the chosen answer, None if the search found none."""

ANSWER_RULES: dict[str, AnswerRule] = {
    "majority": majority_vote,
    "weighted": weighted_vote,
    "best_of_n": best_of_n,
    "best_terminal": best_terminal,
    "mutual": mutual_choice,
    "final": final_answer,
}
