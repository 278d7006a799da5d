"""From searched trees to graded answers. Equivalent answers are merged and graded once."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import compress
from typing import Literal

from ponderosa.core import Grader, Problem, Tree
from ponderosa.evaluation.metrics import Accuracy, Sampled
from ponderosa.evaluation.statistics import mean_of_rates
from ponderosa.search import ANSWER_RULES, merge_answers, tree_votes
from ponderosa.search.concurrent import together

Problems = Mapping[str, Problem]
"""Problems by their ids."""


async def graded_samples(trees: Iterable[Tree], problems: Problems, grader: Grader) -> list[Sampled]:
    """The samples of each tree, one for each of its rollouts."""

    async def graded(tree: Tree) -> Sampled:
        problem = problems[tree.problem_id]
        answers = list(dict.fromkeys(tree.nodes[end].answer or "" for end in tree.answered()))
        merged = await merge_answers(answers, partial(grader.equivalent, problem=problem))
        keys = dict(zip(answers, merged, strict=True))
        distinct = list(dict.fromkeys(keys.values()))
        right = await together(_right(grader, key, problem) for key in distinct)
        return Sampled.from_tree(tree, keys, set(compress(distinct, right)))

    return await together(graded(tree) for tree in trees)


async def _right(grader: Grader, answer: str | None, problem: Problem) -> bool:
    return answer is not None and (await grader.grade(answer, problem)).correct


async def voted_answers(
    groups: Iterable[Sequence[Tree]], problems: Problems, grader: Grader, vote: Literal["majority", "weighted"]
) -> Accuracy:
    """How often the vote of several trees of a problem is right, for each group of trees of one problem."""

    async def graded(trees: Sequence[Tree]) -> tuple[float, int]:
        problem = problems[trees[0].problem_id]
        votes = await tree_votes(trees, partial(grader.equivalent, problem=problem))
        answer = votes.majority if vote == "majority" else votes.weighted
        right = await _right(grader, answer, problem)
        return float(right), sum(tree.usage.generated_tokens for tree in trees)

    return _accuracy(await together(graded(trees) for trees in groups))


async def chosen_answers(
    trees: Iterable[Tree], problems: Problems, grader: Grader, rule: str, aggregation: str = "last"
) -> Accuracy:
    """How often the answer that `rule` (of `ANSWER_RULES`) reads from a tree is right. There must be trees."""

    async def graded(tree: Tree) -> tuple[float, int]:
        problem = problems[tree.problem_id]
        choice = await ANSWER_RULES[rule](tree, partial(grader.equivalent, problem=problem), aggregation)
        right = await _right(grader, choice.answer if choice else None, problem)
        return float(right), tree.usage.generated_tokens

    return _accuracy(await together(graded(tree) for tree in trees))


def _accuracy(graded: Sequence[tuple[float, int]]) -> Accuracy:
    """From the rate and the tokens of each problem."""
    rates = tuple(rate for rate, _ in graded)
    return Accuracy(mean_of_rates(rates), sum(tokens for _, tokens in graded) / len(graded), rates)
