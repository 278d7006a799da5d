"""What is chosen on dev problems, never on test problems: how step values are aggregated, and how trees are read."""

from collections.abc import Sequence

from ponderosa.core import Grader, Tree
from ponderosa.evaluation import metrics
from ponderosa.evaluation.answers import Problems, chosen_answers
from ponderosa.evaluation.metrics import Sampled, path_score
from ponderosa.search import AGGREGATIONS, Method

AGGREGATED = {"best_of_n": metrics.best_of, "weighted": metrics.weighted_vote}
"""The rules that depend on how step values are aggregated, and what they make of samples."""

Reading = tuple[str, str]
"""A rule of `ANSWER_RULES`, and one of `AGGREGATIONS`."""


def best_aggregations(on_dev: Sequence[Sampled], k: int) -> dict[str, str]:
    """For best-of-N and the weighted vote the aggregation with which `k` samples give the most right answers.

    Of equals that which most often tells a right sample of a problem from a wrong one: where nearly all is right, the
    number of right answers alone hardly says anything.
    """
    order = {how: separation(on_dev, how) for how in AGGREGATIONS}
    best = {}
    for rule, metric in AGGREGATED.items():
        rates = {how: metric(on_dev, k, how).estimate.value for how in AGGREGATIONS}
        best[rule] = max(rates, key=lambda how: (rates[how], order[how]))
    return best


def separation(sampled: Sequence[Sampled], aggregation: str) -> float:
    """The share of the pairs of a right and a wrong answered sample of a problem in which the right one scores higher;
    an equal score counts half. 1/2 without pairs.
    """
    ahead = pairs = 0.0
    for problem in sampled:
        answered = [sample for sample in problem.samples if sample.answer is not None]
        right = [path_score(sample, aggregation) for sample in answered if sample.correct]
        wrong = [path_score(sample, aggregation) for sample in answered if not sample.correct]
        pairs += len(right) * len(wrong)
        ahead += sum((r > w) + (r == w) / 2 for r in right for w in wrong)
    return ahead / pairs if pairs else 0.5


async def best_reading(
    method: Method, on_dev: Sequence[Tree], problems: Problems, grader: Grader, aggregation: str | None = None
) -> Reading:
    """How most right answers are read from the dev trees of a method, by `aggregation` where that is given; of equals,
    and without trees, the first way.
    """
    valued = "reward" in method.needs
    aggregations = (aggregation,) if aggregation else tuple(AGGREGATIONS)
    readings = [
        (rule, how)
        for rule in method.rules
        if valued or rule not in AGGREGATED
        for how in (aggregations if rule in AGGREGATED else ("last",))
    ]
    if not on_dev or len(readings) == 1:
        return readings[0]
    rates = {reading: (await chosen_answers(on_dev, problems, grader, *reading)).estimate.value for reading in readings}
    return max(rates, key=lambda reading: rates[reading])
