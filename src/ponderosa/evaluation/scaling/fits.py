"""All fits to a set of measurements, and the frontier."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ponderosa.core import PonderosaError
from ponderosa.evaluation.scaling.accuracy_by_compute import ComputeToAccuracy, compose
from ponderosa.evaluation.scaling.accuracy_laws import (
    LossToAccuracy,
    TradeOff,
    fit_loss_to_accuracy,
    fit_trade_off,
)
from ponderosa.evaluation.scaling.compute_optimal import Allocation, Profile, allocations, profiles
from ponderosa.evaluation.scaling.frontier import Choice, default_queries, default_targets, frontier, groups
from ponderosa.evaluation.scaling.loss_laws import LAWS, LossFit, fit_loss, losses_of
from ponderosa.evaluation.scaling.measurements import Measurement, Measurements
from ponderosa.evaluation.scaling.quantities import RESAMPLES
from ponderosa.evaluation.scaling.sample_curves import SampleCurve, fit_curve


@dataclass(frozen=True)
class Frontier:
    """What is cheapest among the methods of a group (see `frontier.groups`)."""

    group: str
    points: tuple[Measurement, ...]
    targets: tuple[float, ...]
    queries: tuple[float, ...]
    choices: tuple[Choice, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "group": self.group,
            "targets": self.targets,
            "queries": self.queries,
            "choices": [choice.to_json() for choice in self.choices],
        }


@dataclass(frozen=True)
class ScalingFits:
    """Everything that is said of some measurements. What there was nothing to fit for is empty."""

    measurements: Measurements
    losses: tuple[LossFit, ...]
    allocations: tuple[Allocation, ...]
    profiles: tuple[Profile, ...]
    by_loss: tuple[LossToAccuracy, ...]
    by_compute: tuple[ComputeToAccuracy, ...]
    curves: tuple[SampleCurve, ...]
    trade_offs: tuple[TradeOff, ...]
    frontiers: tuple[Frontier, ...]
    seed: int
    resamples: int

    def to_json(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "resamples": self.resamples,
            "models": len(self.measurements.models),
            "accuracies": len(self.measurements.accuracies),
            "remarks": self.measurements.remarks,
            "loss": {fit.law.name: fit.to_json() for fit in self.losses},
            "compute_optimal": [found.to_json() for found in self.allocations],
            "accuracy_by_loss": [fit.to_json() for fit in self.by_loss],
            "accuracy_by_compute": [fit.to_json() for fit in self.by_compute],
            "test_time": [fit.to_json() for fit in self.curves],
            "trade_off": [fit.to_json() for fit in self.trade_offs],
            "frontier": [found.to_json() for found in self.frontiers],
        }


def fit_all(
    measurements: Measurements,
    *,
    targets: Sequence[float] | None = None,
    queries: Sequence[float] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> ScalingFits:
    """Fits all that there are measurements for. Raises `PonderosaError` for targets and queries that cannot be."""
    if targets is not None and not all(0 < target < 1 for target in targets):
        raise PonderosaError("targets are accuracies between 0 and 1, e.g. 0.5,0.8")
    if queries is not None and not all(count > 0 for count in queries):
        raise PonderosaError("queries are numbers of problems above 0, e.g. 1000,1e6")
    trained = measurements.with_loss
    losses: tuple[LossFit, ...] = ()
    best: list[Allocation] = []
    shapes: list[Profile] = []
    if len(trained) > 1:
        losses = tuple(fit_loss(law, trained, seed=seed, resamples=resamples) for law in LAWS.values())
        best = allocations(losses, trained, seed=seed, resamples=resamples)
        shapes = profiles(trained, losses_of(trained))
    by_method = {
        (point.method, point.samples): [
            other for other in measurements.accuracies if (other.method, other.samples) == (point.method, point.samples)
        ]
        for point in measurements.accuracies
    }
    sigmoids = [fit_loss_to_accuracy(points, seed=seed, resamples=resamples) for points in by_method.values()]
    by_loss = [fit for fit in sigmoids if fit is not None]
    by_compute = [compose(losses[0], fit, seed=seed) for fit in by_loss]
    curves = [fit_curve(points, seed=seed, resamples=resamples) for points in measurements.curves().values()]
    known = [curve for curve in curves if curve is not None]
    laws = [
        fit_trade_off([p for p in measurements.accuracies if p.method == method], seed=seed, resamples=resamples)
        for method in measurements.methods
    ]
    trades = [law for law in laws if law is not None]
    frontiers = []
    for group, points in groups(measurements.accuracies).items():
        methods = {point.method for point in points}
        chosen = tuple(targets if targets is not None else default_targets(points))
        counts = tuple(queries if queries is not None else default_queries(points))
        choices = frontier(
            points,
            [curve for curve in known if curve.method in methods],
            [law for law in trades if law.method in methods],
            chosen,
            counts,
            seed=seed,
            resamples=resamples,
        )
        frontiers.append(Frontier(group, tuple(points), chosen, counts, tuple(choices)))
    return ScalingFits(
        measurements=measurements,
        losses=losses,
        allocations=tuple(best),
        profiles=tuple(shapes),
        by_loss=tuple(by_loss),
        by_compute=tuple(by_compute),
        curves=tuple(known),
        trade_offs=tuple(trades),
        frontiers=tuple(frontiers),
        seed=seed,
        resamples=resamples,
    )
