"""Accuracy against training compute: the law of the loss, put into that of accuracy by loss.

At C training FLOPs that are divided as is best (Hoffmann et al., arXiv 2203.15556, equation 4) a model has N_opt(C)
parameters and reads D_opt(C) = C / (6 N_opt) tokens; L(N_opt, D_opt) is its loss, and the sigmoid of its method says
what accuracy that is worth. Llama 3 predicted its benchmarks in these two steps (arXiv 2407.21783, section 3.2.1).

Intervals are of both laws refitted: what is left to chance in a training moves the one, which problems and models there
were the other. They are of what such models reach on average, not of a single training.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ponderosa.evaluation.scaling.accuracy_laws import LossToAccuracy
from ponderosa.evaluation.scaling.loss_laws import LossFit
from ponderosa.evaluation.scaling.measurements import Measurement, Model
from ponderosa.evaluation.scaling.quantities import Quantity, quantity
from ponderosa.evaluation.scaling.sample_curves import misfit, standard_error
from ponderosa.evaluation.statistics import CONFIDENCE

Vector = npt.NDArray[np.float64]

_BEYOND = (3.0, 10.0)
"""Times the most training FLOPs measured for which accuracies are predicted as well."""
_WIDEST = 0.5
"""An accuracy whose interval is wider than this is not determined."""
_LOST = 0.05
"""The share of refits without an optimum beyond which nothing is determined."""


@dataclass(frozen=True)
class Prediction:
    """The accuracy at so many training `flops` with the best division of them into `parameters` and `tokens`.

    `point` is a measurement of a model with as many, and `for_it` what is predicted for that model as it is. `remark`
    says in what the prediction lies beyond the measurements; empty where it does not.
    """

    flops: float
    parameters: float
    tokens: float
    accuracy: Quantity
    remark: str
    point: Measurement | None = None
    for_it: float | None = None

    def to_json(self) -> dict[str, Any]:
        measured = {}
        if self.point is not None:
            measured = {"model": self.point.model.name, "measured": self.point.accuracy, "predicted": self.for_it}
        return {
            "flops": self.flops,
            "parameters": self.parameters,
            "tokens": self.tokens,
            "accuracy": self.accuracy.to_json(),
            "remark": self.remark,
            **measured,
        }


@dataclass(frozen=True)
class ComputeToAccuracy:
    """Accuracy by training FLOPs of a method at a number of samples: two laws, and pairs of their refits.

    `rms` is of the differences of the accuracies predicted for the measured models and theirs. Where `doubt` says why
    nothing is determined, nothing is predicted.
    """

    loss: LossFit
    by_loss: LossToAccuracy
    refits: tuple[tuple[LossFit, LossToAccuracy], ...]
    predictions: tuple[Prediction, ...]
    rms: float
    doubt: str = ""
    formula: str = "accuracy = c / (1 + exp((L(N_opt, D_opt) - m) / s)), N_opt and D_opt of the least L at C = 6 N D"
    source: str = "as Llama 3, arXiv 2407.21783, section 3.2.1"

    @property
    def method(self) -> str:
        return self.by_loss.method

    @property
    def samples(self) -> float:
        return self.by_loss.samples

    def accuracy(self, flops: Vector) -> Vector:
        """What compute is worth that is divided as is best."""
        return _at_optimum(self.loss, self.by_loss, flops)

    def accuracy_of(self, parameters: Vector, tokens: Vector) -> Vector:
        """What models of these sizes are worth that read so many tokens."""
        return self.by_loss.accuracy(self.loss.loss(parameters, tokens))

    def band(self, flops: Vector) -> tuple[Vector, Vector]:
        """The ends of the 95 % intervals of `accuracy`."""
        tail = (1 - CONFIDENCE) / 2
        low, high = np.nanquantile(self.draws(flops), [tail, 1 - tail], axis=0)
        return np.asarray(low, float), np.asarray(high, float)

    def draws(self, flops: Vector) -> Vector:
        """`accuracy` by each pair of refits, (refits, flops); no number where a refit has no optimum."""
        return np.array([_at_optimum(loss, by_loss, flops) for loss, by_loss in self.refits]).reshape(-1, len(flops))

    def remarks(self, flops: Vector) -> list[str]:
        """In what the best division of so many FLOPs lies beyond the models measured; empty where it does not."""
        models = [point.model for point in self.by_loss.points]
        sizes, tokens = _optimum(self.loss, flops)
        beyond = {
            "FLOPs": _outside(flops, [_flops(model) for model in models]),
            "sizes": _outside(sizes, [model.parameters for model in models]),
            "tokens": _outside(tokens, [model.tokens for model in models]),
        }
        named = [[name for name in beyond if beyond[name][i]] for i in range(len(flops))]
        return [f"extrapolated: beyond the measured {', '.join(names)}" if names else "" for names in named]

    def to_json(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "samples": self.samples,
            "formula": self.formula,
            "source": self.source,
            "rms_accuracy": self.rms if np.isfinite(self.rms) else None,
            "predictions": [found.to_json() for found in self.predictions],
            "doubt": self.doubt,
        }


def compose(loss: LossFit, by_loss: LossToAccuracy, *, seed: int = 0) -> ComputeToAccuracy:
    """The accuracies that two fitted laws predict together: at the training FLOPs of each model that was measured, and
    at a few times the most of them. `loss` is of Chinchilla's form.
    """
    doubt = _doubt(loss, by_loss)
    if doubt:
        return ComputeToAccuracy(loss, by_loss, (), (), float("nan"), doubt)
    # The refits of either law are in no order; shuffled, since both drew from generators of one seed.
    order = np.random.default_rng([seed, len(by_loss.refits)]).permutation(len(loss.refits))
    refits = tuple(
        (replace(loss, theta=loss.refits[int(i)]), replace(by_loss, theta=theta))
        for i, theta in zip(order, by_loss.refits, strict=False)
    )
    found = ComputeToAccuracy(loss, by_loss, refits, (), float("nan"))
    points = sorted(by_loss.points, key=lambda point: _flops(point.model))
    sizes = np.array([point.model.parameters for point in points])
    tokens = np.array([point.model.tokens for point in points])
    for_them = found.accuracy_of(sizes, tokens)
    off = for_them - np.array([point.accuracy for point in points])
    rms = float(np.sqrt((off**2).mean()))
    doubt = misfit(off, standard_error(for_them, np.array([point.problems for point in points], float)), 8)
    flops = np.array([*(_flops(point.model) for point in points), *(_flops(points[-1].model) * x for x in _BEYOND)])
    draws = found.draws(flops)
    lost = float(np.isnan(draws).any(axis=1).mean())
    if not doubt and lost > _LOST:
        doubt = f"{100 * lost:.0f} % of the refits have no best size"
    if doubt:
        return replace(found, rms=rms, doubt=doubt)
    predictions = [
        Prediction(float(c), float(n), float(d), _accuracy(float(value), column), remark)
        for c, n, d, value, column, remark in zip(
            flops, *_optimum(loss, flops), found.accuracy(flops), draws.T, found.remarks(flops), strict=True
        )
    ]
    measured = [
        replace(at, point=point, for_it=float(own))
        for at, point, own in zip(predictions, points, for_them, strict=False)
    ]
    return replace(found, predictions=(*measured, *predictions[len(points) :]), rms=rms)


def _optimum(loss: LossFit, flops: Vector) -> tuple[Vector, Vector]:
    """N and D of the least loss at C = 6 N D."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # an exponent of a refit may be 0
        n = np.exp(loss.law.optimal_log_n(loss.named, np.log(flops)))
        return n, flops / (6 * n)


def _at_optimum(loss: LossFit, by_loss: LossToAccuracy, flops: Vector) -> Vector:
    n, d = _optimum(loss, flops)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return by_loss.accuracy(loss.loss(n, d))


def _outside(values: Vector, measured: Sequence[float]) -> npt.NDArray[np.bool_]:
    return (values < min(measured) * (1 - 1e-9)) | (values > max(measured) * (1 + 1e-9))


def _flops(model: Model) -> float:
    return 6 * model.parameters * model.tokens


def _accuracy(value: float, draws: Vector) -> Quantity:
    found = quantity(value, draws)
    if found.high - found.low > _WIDEST:
        return replace(found, doubt=f"its interval is wider than {100 * _WIDEST:g} points")
    return found


def _doubt(loss: LossFit, by_loss: LossToAccuracy) -> str:
    if loss.doubt:
        return f"the loss: {loss.doubt}"
    if min(loss.named["alpha"], loss.named["beta"]) < 1e-3:
        return "the loss: an exponent is 0, so that there is no best size"
    return f"accuracy by loss: {by_loss.doubt}" if by_loss.doubt else ""
