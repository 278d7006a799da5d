"""Accuracy against what a model has learned, and against compute of training and of test time together.

* By held-out loss: a sigmoid, as Llama 3's prediction of benchmarks (arXiv 2407.21783, section 3.2.1). With a law of
  the loss it says what accuracy a model of N parameters and D tokens has (`accuracy_by_compute`).
* By compute: the log-odds of a right answer rise by b with the logarithm of training FLOPs and by c with that of test
  FLOPs. Jones (arXiv 2104.03113, section VI) found that of Elo ratings, which are log-odds too: lines of equal accuracy
  are straight in log-log, and ten times the training replaces 10^(b/c) times the test-time compute.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ponderosa.evaluation.scaling.least_squares import fit_many
from ponderosa.evaluation.scaling.measurements import Measurement
from ponderosa.evaluation.scaling.quantities import RESAMPLES, Quantity, positive, quantity
from ponderosa.evaluation.scaling.sample_curves import COVERAGE, misfit, redrawn, standard_error

Vector = npt.NDArray[np.float64]

_SPAN = 4
"""How far the training FLOPs must reach for a law of them."""
_DECADES = 1.5
"""Orders of magnitude within which it must be known what ten times the training replaces."""


@dataclass(frozen=True)
class LossToAccuracy:
    """accuracy = c / (1 + exp((L - m) / s)) of a method at a number of samples."""

    method: str
    samples: float
    theta: Vector
    """(c, m, log s)."""
    points: tuple[Measurement, ...]
    quantities: dict[str, Quantity]
    rms: float
    refits: tuple[Vector, ...]
    doubt: str = ""
    formula: str = "accuracy = c / (1 + exp((L - m) / s))"
    source: str = "as Llama 3, arXiv 2407.21783, section 3.2.1"

    def accuracy(self, loss: Vector) -> Vector:
        return _sigmoid(self.theta, loss)

    def to_json(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "samples": self.samples,
            "formula": self.formula,
            "source": self.source,
            "points": len(self.points),
            "rms_accuracy": self.rms,
            "quantities": {name: found.to_json() for name, found in self.quantities.items()},
            "doubt": self.doubt,
        }


def fit_loss_to_accuracy(
    points: Sequence[Measurement], *, seed: int = 0, resamples: int = RESAMPLES
) -> LossToAccuracy | None:
    """Fits accuracies of one method at one number of samples, by the losses of their models; None for fewer than 2.

    Intervals are of refits to models and problems that are both drawn anew.
    """
    points = [point for point in points if point.model.loss is not None]
    if len(points) < 2:
        return None
    losses = np.array([point.model.loss for point in points], float)
    measured = np.array([point.accuracy for point in points])
    weights = 1 / standard_error(measured, np.array([point.problems for point in points]))
    low, high = losses.min(), losses.max()
    spread = max(float(high - low), 1e-3)
    bounds = np.array([0.0, low - 3 * spread, -8.0]), np.array([1.0, high + 3 * spread, 4.0])
    middle = float(losses[np.argmin(np.abs(measured - measured.max() / 2))])

    start = np.array([min(1.0, measured.max() + 0.1), middle, np.log(spread / 6)])
    theta = fit_many(_sigmoid, losses, measured[None], weights[None], start, bounds)[0]
    rng = np.random.default_rng(seed)
    drawn = redrawn(points, rng, resamples)
    counts = rng.multinomial(len(points), np.full(len(points), 1 / len(points)), size=resamples)
    told = (counts > 0).sum(axis=1) > 3  # of fewer models nothing follows
    refits = fit_many(_sigmoid, losses, drawn[told], weights * np.sqrt(counts[told]), theta, bounds)
    off = _sigmoid(theta, losses) - measured
    doubt = misfit(off, 1 / weights, 3)
    if len(points) < 5:
        doubt = f"{len(points)} models for 3 parameters"
    elif (measured > 3 / points[0].problems).sum() < 3:
        doubt = "fewer than 3 models solve a few problems"
    draws = refits
    found = {"c": quantity(float(theta[0]), draws[:, 0], doubt), "m": quantity(float(theta[1]), draws[:, 1], doubt)}
    found["s"] = positive(float(np.exp(theta[2])), np.exp(draws[:, 2]), doubt)
    if not doubt and found["c"].high > 0.999 and found["c"].high - found["c"].low > 0.2:
        ceiling = found["c"]
        found["c"] = Quantity(ceiling.value, ceiling.low, ceiling.high, "no ceiling shows below 100 %")
    rms = float(np.sqrt((off**2).mean()))
    first = points[0]
    return LossToAccuracy(first.method, first.samples, theta, tuple(points), found, rms, tuple(refits), doubt)


@dataclass(frozen=True)
class TradeOff:
    """link(accuracy) = a + b ln(training FLOPs) + c ln(test FLOPs), of a method at all its samples.

    theta is (a, b, c) of logarithms less `centre`. The link is the log-odds; of coverage it is -ln(-ln(accuracy)), with
    which accuracy = exp(-A C^-b T^-c): an exponentiated power law of samples (Brown et al.) and of training (as the
    pass rates of GPT-4, arXiv 2303.08774, section 3.2) at once.
    """

    method: str
    theta: Vector
    centre: tuple[float, float]
    points: tuple[Measurement, ...]
    """Those that it was fitted to: no other is at least as accurate for less of both kinds of compute."""
    quantities: dict[str, Quantity]
    rms: float
    refits: tuple[Vector, ...]
    doubt: str = ""
    source: str = "as Jones, arXiv 2104.03113, section VI"

    @property
    def formula(self) -> str:
        link = "-ln(-ln(accuracy))" if self.method == COVERAGE else "log-odds"
        return f"{link} = a + b ln(training FLOPs) + c ln(test FLOPs)"

    def accuracy(self, training: Vector, test: Vector) -> Vector:
        a, b, c = self.theta
        linked = a + b * (np.log(training) - self.centre[0]) + c * (np.log(test) - self.centre[1])
        return _shares(linked, self.method)[0]

    def test_flops(self, accuracy: float, training: Vector) -> Vector:
        """The line of equal accuracy: test FLOPs a problem by training FLOPs."""
        a, b, c = self.theta
        level = _linked(accuracy, self.method)
        logs = self.centre[1] + (level - a - b * (np.log(training) - self.centre[0])) / c
        return np.asarray(np.exp(np.clip(logs, -700, 700)), float)

    def cheapest(self, accuracy: float, queries: float, theta: Vector | None = None) -> tuple[float, float]:
        """The training FLOPs C and test FLOPs T a problem of the least C + queries x T. There C : queries T = b : c."""
        a, b, c = self.theta if theta is None else theta
        # T = C c / (b queries), put into the law and solved for ln C.
        rest = _linked(accuracy, self.method) - a + b * self.centre[0]
        rest -= c * (np.log(c / b) - np.log(queries) - self.centre[1])
        training = float(np.exp(np.clip(rest / (b + c), -700, 700)))
        return training, training * c / (b * queries)

    def measured_range(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """The least and most FLOPs of training, and of a problem, that it was fitted to."""
        training = [point.model.training_flops for point in self.points]
        test = [point.test_flops for point in self.points]
        return (min(training), max(training)), (min(test), max(test))

    def to_json(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "formula": self.formula,
            "source": self.source,
            "points": len(self.points),
            "rms_accuracy": self.rms,
            "quantities": {name: found.to_json() for name, found in self.quantities.items()},
            "doubt": self.doubt,
        }


def fit_trade_off(points: Sequence[Measurement], *, seed: int = 0, resamples: int = RESAMPLES) -> TradeOff | None:
    """Fits accuracies of one method by maximum likelihood (binomial); None for one training or number of samples.

    To the points that are not dominated, as Jones fits his frontier: a model whose size does not suit its tokens says
    nothing of what its compute can buy. Intervals are of refits to models and problems that are both drawn anew.
    """
    training = np.log([point.model.training_flops for point in points])
    test = np.log([point.test_flops for point in points])
    if len({point.samples for point in points}) < 2 or len({point.model.training_flops for point in points}) < 2:
        return None
    method = points[0].method
    centre = float(training.mean()), float(test.mean())
    design = np.stack([np.ones(len(points)), training - centre[0], test - centre[1]], axis=1)
    measured = np.array([point.accuracy for point in points])
    problems = np.array([float(point.problems) for point in points])
    # (other, point): is the other's compute no more, of either kind?
    cheaper = (training[:, None] <= training + 1e-9) & (test[:, None] <= test + 1e-9)
    cheaper &= (training[:, None] < training - 1e-9) | (test[:, None] < test - 1e-9)

    def counted(accuracies: Vector, there: Vector) -> Vector:
        dominated = cheaper & (accuracies[:, None] >= accuracies) & (there > 0)[:, None]
        return np.where(dominated.any(axis=0), 0.0, problems * there)

    counts = counted(measured, np.ones(len(points)))
    kept = np.flatnonzero(counts)
    theta = _most_likely(design, measured, counts, method)
    names = list(dict.fromkeys(point.model.name for point in points))
    place = np.array([names.index(point.model.name) for point in points])
    rng = np.random.default_rng(seed)
    refits = []
    for drawn in redrawn(points, rng, resamples):
        weights = counted(drawn, rng.multinomial(len(names), np.full(len(names), 1 / len(names)))[place])
        if len({training[i] for i in np.flatnonzero(weights)}) > 1 and np.count_nonzero(weights) > 3:
            refits.append(_most_likely(design, drawn, weights, method))
    fitted = _shares(design[kept] @ theta, method)[0]
    off = fitted - measured[kept]
    doubt = _few([points[int(i)] for i in kept])
    doubt = doubt or misfit(off, standard_error(fitted, problems[kept]), 3)
    draws = np.array(refits).reshape(-1, 3)
    found = {name: positive(float(theta[i]), draws[:, i], doubt) for i, name in ((1, "b"), (2, "c"))}
    doubt = doubt or next((f"{name}: {found[name].doubt}" for name in ("b", "c") if found[name].doubt), "")
    with np.errstate(divide="ignore", invalid="ignore"):  # where nothing depends on test time c is 0
        found["exchange"] = positive(float(theta[1] / theta[2]), draws[:, 1] / draws[:, 2], doubt)
    if not doubt and found["exchange"].high - found["exchange"].low > _DECADES:
        doubt = f"b / c is known no better than from {found['exchange'].low:.2g} to {found['exchange'].high:.2g}"
        found["exchange"] = replace(found["exchange"], doubt=doubt)
    rms = float(np.sqrt((off**2).mean()))
    return TradeOff(method, theta, centre, tuple(points[int(i)] for i in kept), found, rms, tuple(refits), doubt)


def _few(points: Sequence[Measurement]) -> str:
    """Why so few points determine no trade-off; empty if they may."""
    models = len({point.model.name for point in points})
    trained = {point.model.training_flops for point in points}
    if models < 4:
        return f"only {models} of the models are not dominated by others: it takes 4"
    if len(trained) < 3 or max(trained) < _SPAN * min(trained):
        return (
            f"their training FLOPs differ {max(trained) / min(trained):.2g}-fold: it takes {_SPAN}-fold, and 3 of them"
        )
    return ""


def _linked(accuracy: float, method: str) -> float:
    return float(-np.log(-np.log(accuracy)) if method == COVERAGE else np.log(accuracy / (1 - accuracy)))


def _shares(linked: Vector, method: str) -> tuple[Vector, Vector]:
    """Accuracies by their links, and their derivatives."""
    linked = np.clip(linked, -5, 25) if method == COVERAGE else np.clip(linked, -30, 30)
    if method == COVERAGE:
        share = np.exp(-np.exp(-linked))
        return share, share * np.exp(-linked)
    share = 1 / (1 + np.exp(-linked))
    return share, share * (1 - share)


def _most_likely(design: Vector, measured: Vector, counts: Vector, method: str) -> Vector:
    """The maximum of the binomial likelihood by Fisher's scoring, with a trace of a penalty, so that it is finite."""
    mean = float(np.clip((measured * counts).sum() / counts.sum(), 0.02, 0.98))
    theta = np.array([_linked(mean, method), 0.0, 0.0])
    penalty = 1e-3 * np.eye(len(theta))
    for _ in range(60):
        share, slope = _shares(design @ theta, method)
        variance = np.maximum(share * (1 - share), 1e-9)
        gradient = design.T @ (counts * (measured - share) * slope / variance) - penalty @ theta
        step = np.linalg.solve((design.T * (counts * slope**2 / variance)) @ design + penalty, gradient)
        theta = theta + step * min(1.0, 1.0 / float(np.abs(step).max() + 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    return np.asarray(theta, float)


def _sigmoid(theta: Vector, loss: Vector) -> Vector:
    ceiling, middle, log_width = theta
    return np.asarray(ceiling / (1 + np.exp(np.clip((loss - middle) / np.exp(log_width), -500, 500))), float)
