"""Which model, and how many samples, reach a target accuracy at the fewest FLOPs in all.

All = training + queries x test FLOPs of a problem: many queries are worth a better trained model, few are not (Jones,
arXiv 2104.03113; Snell et al., arXiv 2408.03314, section 7, exchange pre-training and inference in the same way).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil, isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from ponderosa.evaluation.scaling.accuracy_laws import TradeOff
from ponderosa.evaluation.scaling.measurements import Measurement
from ponderosa.evaluation.scaling.quantities import RESAMPLES, Quantity, quantity
from ponderosa.evaluation.scaling.sample_curves import COVERAGE, SampleCurve, redrawn

Vector = npt.NDArray[np.float64]

ROUND = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
TARGETS = 4
_ROUNDING = 1e-9
FARTHEST = 16
"""Times the most samples measured, beyond which no curve is followed."""


@dataclass(frozen=True)
class Choice:
    """What reaches `target` at the fewest FLOPs for so many `queries`; `model` is empty for a law of all models.

    `basis` is "measured", "curve" (a fitted curve of accuracy by samples) or "law" (the trade-off of all models).
    `remark` marks an extrapolation.
    """

    target: float
    queries: float
    basis: str
    model: str
    method: str
    samples: float | None
    training_flops: float
    test_flops: float
    total: Quantity
    remark: str = ""

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "total": self.total.to_json()}


@dataclass(frozen=True)
class Reach:
    """The fewest test FLOPs with which a model reaches a target by a curve, `extrapolated` beyond its points."""

    model: str
    method: str
    samples: float
    training_flops: float
    test_flops: float
    extrapolated: bool


def groups(points: Sequence[Measurement]) -> dict[str, list[Measurement]]:
    """The points by what can be had: answers that are chosen, and coverage, which takes a perfect verifier."""
    found = {
        "an answer is chosen": [point for point in points if point.method != COVERAGE],
        "any right sample counts (a perfect verifier)": [point for point in points if point.method == COVERAGE],
    }
    return {name: chosen for name, chosen in found.items() if chosen}


def default_targets(points: Sequence[Measurement]) -> list[float]:
    """A few round accuracies among those that were reached; the largest by several problems."""
    best = max(point.accuracy for point in points)
    least = min(max(p.accuracy for p in points if p.model == model) for model in {p.model for p in points})
    inside = [target for target in ROUND if least < target <= best]
    return [inside[i] for i in sorted({round(i) for i in np.linspace(0, len(inside) - 1, TARGETS)})] if inside else []


def default_queries(points: Sequence[Measurement]) -> list[float]:
    """Powers of ten about where test time costs as much as training."""
    ratio = np.median([np.log10(point.model.training_flops / point.test_flops) for point in points])
    return sorted({10.0 ** max(0, round(float(ratio)) + shift) for shift in (-2, 0, 2)})


def frontier(
    points: Sequence[Measurement],
    curves: Sequence[SampleCurve],
    laws: Sequence[TradeOff],
    targets: Sequence[float],
    queries: Sequence[float],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[Choice]:
    """For every target and number of queries the cheapest as measured, by the curves and by the laws (those without
    doubt); what is not reached is left out.
    """
    drawn = redrawn_in_groups(points, np.random.default_rng(seed), resamples)
    found: list[Choice | None] = []
    for target in targets:
        for count in queries:
            found += [
                _measured(points, drawn, target, count),
                _by_curve(points, curves, target, count),
                _by_law(laws, target, count),
            ]
    return [choice for choice in found if choice is not None]


def redrawn_in_groups(points: Sequence[Measurement], rng: np.random.Generator, resamples: int) -> Vector:
    """`redrawn`, with the points whose problems are known drawn together and the others alone."""
    drawn = np.empty((resamples, len(points)))
    kinds = [point.problems if point.rates is not None else -1 for point in points]
    for kind in set(kinds):
        places = [i for i, other in enumerate(kinds) if other == kind]
        drawn[:, places] = redrawn([points[i] for i in places], rng, resamples)
    return drawn


def reaches(curves: Sequence[SampleCurve], target: float) -> list[Reach]:
    """By model, in the order of training FLOPs, the cheapest way to a target; models that never get there are left out.

    Of fractions of a sample, so that lines of equal accuracy are continuous.
    """
    best: dict[str, Reach] = {}
    for curve in curves:
        samples = curve.samples(target)
        if curve.doubt or not isfinite(samples) or samples > FARTHEST * curve.largest:
            continue
        model = curve.points[0].model
        cost = curve.flops(samples)
        found = Reach(model.name, curve.method, samples, model.training_flops, cost, not curve.measured(samples))
        if model.name not in best or cost < best[model.name].test_flops:
            best[model.name] = found
    return sorted(best.values(), key=lambda reach: reach.training_flops)


def _measured(points: Sequence[Measurement], drawn: Vector, target: float, queries: float) -> Choice | None:
    costs = np.array([point.model.training_flops + queries * point.test_flops for point in points])
    reached = [i for i, point in enumerate(points) if point.accuracy >= target - _ROUNDING]
    if not reached:
        return None
    best = min(reached, key=lambda i: costs[i])
    draws = np.where(drawn >= target - _ROUNDING, costs, np.inf).min(axis=1)
    lost = float(np.isinf(draws).mean())
    doubt = f"not reached in {100 * lost:.0f} % of the resamples" if lost > 0.025 else ""
    point = points[best]
    return Choice(
        *(target, queries, "measured", point.model.name, point.method, point.samples),
        *(point.model.training_flops, point.test_flops, quantity(float(costs[best]), draws, doubt)),
    )


def _by_curve(
    points: Sequence[Measurement], curves: Sequence[SampleCurve], target: float, queries: float
) -> Choice | None:
    known = [curve for curve in curves if not curve.doubt]
    single = {(curve.model, curve.method) for curve in known}
    fixed = [  # methods without a curve, e.g. greedy decoding, as they were measured
        point.model.training_flops + queries * point.test_flops
        for point in points
        if (point.model.name, point.method) not in single and point.accuracy >= target - _ROUNDING
    ]
    best, at = None, float("inf")
    for curve in known:
        if (cost := _total(curve, curve.theta, target, queries)) < at:
            best, at = curve, cost
    if best is None or min(fixed, default=float("inf")) < at:
        return None
    every = min(len(curve.refits) for curve in known)
    draws = [min([*(_total(curve, curve.refits[i], target, queries) for curve in known), *fixed]) for i in range(every)]
    samples = ceil(best.samples(target) - 1e-9)
    beyond = f"extrapolated: {best.smallest:g} to {best.largest:g} samples were measured"
    remark = "" if best.measured(samples) else beyond
    lost = float(np.isinf(draws).mean())
    doubt = f"not reached in {100 * lost:.0f} % of the refits" if lost > 0.025 else ""
    return Choice(
        *(target, queries, "curve", best.model, best.method, samples),
        *(best.points[0].model.training_flops, best.flops(samples), quantity(at, draws, doubt), remark),
    )


def _total(curve: SampleCurve, theta: Vector, target: float, queries: float) -> float:
    samples = curve.law.samples(theta, target)
    if not isfinite(samples) or samples > FARTHEST * curve.largest:
        return float("inf")
    return curve.points[0].model.training_flops + queries * curve.flops(ceil(samples - 1e-9))


def _by_law(laws: Sequence[TradeOff], target: float, queries: float) -> Choice | None:
    best, at = None, float("inf")
    for law in laws:
        if not law.doubt:
            training, test = law.cheapest(target, queries)
            if training + queries * test < at:
                best, at = law, training + queries * test
    if best is None:
        return None
    training, test = best.cheapest(target, queries)
    draws = []
    for theta in best.refits:
        if theta[1] > 0 and theta[2] > 0:
            each = best.cheapest(target, queries, theta)
            draws.append(each[0] + queries * each[1])
    ranges = zip(("training", "test time"), (training, test), best.measured_range(), strict=True)
    remarks = [f"{what} beyond what was measured" for what, at, (low, high) in ranges if not low <= at <= high]
    total = quantity(training + queries * test, draws)
    remark = "extrapolated: " + " and ".join(remarks) if remarks else ""
    return Choice(target, queries, "law", "", best.method, None, training, test, total, remark)
