"""From searched trees to graded answers. Equivalent answers are merged and graded once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from ponderosa.core import Grader, Problem, Tree
from ponderosa.evaluation.metrics import Accuracy, Sampled
from ponderosa.evaluation.statistics import mean_of_rates
from ponderosa.search import ANSWER_RULES, merge_answers, tree_votes

Problems = Mapping[str, Problem]
"""Problems by their ids."""


async def graded_samples(trees: Iterable[Tree], problems: Problems, grader: Grader) -> list[Sampled]:
    """The samples of each tree, one for each of its rollouts."""
    found = []
    for tree in trees:
        answers = list(dict.fromkeys(tree.nodes[end].answer or "" for end in tree.answered()))
        keys = dict(zip(answers, await merge_answers(answers, grader.equivalent), strict=True))
        right = {key for key in keys.values() if (await grader.grade(key, problems[tree.problem_id])).correct}
        found.append(Sampled.from_tree(tree, keys, right))
    return found


async def voted_answers(
    groups: Iterable[Sequence[Tree]], problems: Problems, grader: Grader, vote: Literal["majority", "weighted"]
) -> Accuracy:
    """How often the vote of several trees of a problem is right, for each group of trees of one problem."""
    rates, tokens = [], 0
    for trees in groups:
        votes = await tree_votes(trees, grader)
        answer = votes.majority if vote == "majority" else votes.weighted
        right = answer is not None and (await grader.grade(answer, problems[trees[0].problem_id])).correct
        rates.append(float(right))
        tokens += sum(tree.usage.generated_tokens for tree in trees)
    return Accuracy(mean_of_rates(rates), tokens / len(rates), tuple(rates))


async def chosen_answers(
    trees: Iterable[Tree], problems: Problems, grader: Grader, rule: str, aggregation: str = "last"
) -> Accuracy:
    """How often the answer that `rule` (of `ANSWER_RULES`) reads from a tree is right. There must be trees."""
    rates, tokens = [], 0
    for tree in trees:
        choice = await ANSWER_RULES[rule](tree, grader, aggregation)
        correct = choice is not None and (await grader.grade(choice.answer, problems[tree.problem_id])).correct
        rates.append(float(correct))
        tokens += tree.usage.generated_tokens
    return Accuracy(mean_of_rates(rates), tokens / len(rates), tuple(rates))
