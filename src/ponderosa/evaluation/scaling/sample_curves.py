"""Accuracy against test-time compute: how a method gains with samples.

Coverage (is any of k samples right?) follows an exponentiated power law over orders of magnitude (Brown et al., Large
Language Monkeys, arXiv 2407.21787, section 3). It comes from a power law at the hard end of the problems (Schaeffer et
al., arXiv 2502.17578), which is no law of nature: it is fitted, not believed. What chooses among answers (a vote, a
reward model) comes to a limit below coverage instead, the faster the fewer the samples: a power law to a ceiling (Wu et
al., arXiv 2408.00724, show that votes have a limit).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ponderosa.evaluation.scaling.least_squares import fit_many
from ponderosa.evaluation.scaling.measurements import Measurement
from ponderosa.evaluation.scaling.quantities import RESAMPLES, Quantity, positive, quantity

Vector = npt.NDArray[np.float64]

COVERAGE = "pass"
"""The method whose answer is right if any of its samples is."""
_FLAT = 1e-3
_MISFIT = 0.03
"""A form whose accuracies are off by more than this (root mean square) does not hold, if chance does not explain it."""
_CHANCE = 3.0
"""Squared differences in units of their variance, on average, beyond which chance does not explain them."""


class CurveLaw(Protocol):
    """Accuracy as a function of samples. `theta` are its parameters as they are fitted."""

    @property
    def name(self) -> str: ...

    @property
    def formula(self) -> str: ...

    @property
    def source(self) -> str: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def low(self) -> tuple[float, ...]: ...

    @property
    def high(self) -> tuple[float, ...]: ...

    def accuracy(self, theta: Vector, samples: Vector) -> Vector: ...

    def named(self, theta: Vector) -> dict[str, float]: ...

    def samples(self, theta: Vector, accuracy: float) -> float:
        """How many samples reach an accuracy; infinite where none do."""
        ...

    def start(self, samples: Vector, accuracy: Vector) -> Vector: ...


@dataclass(frozen=True)
class ExponentiatedPower:
    """accuracy = exp(a k^b), a and b below 0: -log(accuracy) is a power law. theta is (log(-a), -b)."""

    name: str = "exponentiated power law"
    formula: str = "accuracy = exp(a k^b)"
    source: str = "Brown et al., arXiv 2407.21787, section 3"
    names: tuple[str, ...] = ("a", "b")
    low: tuple[float, ...] = (-12.0, 0.0)
    high: tuple[float, ...] = (4.0, 4.0)

    def accuracy(self, theta: Vector, samples: Vector) -> Vector:
        return np.asarray(np.exp(-np.exp(theta[0] - theta[1] * np.log(samples))), float)

    def named(self, theta: Vector) -> dict[str, float]:
        return {"a": -float(np.exp(theta[0])), "b": -float(theta[1])}

    def samples(self, theta: Vector, accuracy: float) -> float:
        if theta[1] < 1e-6:
            return 1.0 if self.accuracy(theta, np.ones(1))[0] >= accuracy else float("inf")
        logs = (theta[0] - np.log(-np.log(accuracy))) / theta[1]
        return max(1.0, float(np.exp(logs))) if logs < 700 else float("inf")

    def start(self, samples: Vector, accuracy: Vector) -> Vector:
        logs = np.log(-np.log(np.clip(accuracy, 1e-4, 1 - 1e-4)))
        slope, level = np.polyfit(np.log(samples), logs, 1)
        return np.array([level, -slope])


@dataclass(frozen=True)
class SaturatingPower:
    """accuracy = c - (c - s) k^-g: from s with one sample to the ceiling c. theta is (c, s, g)."""

    name: str = "power law to a ceiling"
    formula: str = "accuracy = c - (c - s) k^-g"
    source: str = "a limit as in Wu et al., arXiv 2408.00724"
    names: tuple[str, ...] = ("c", "s", "g")
    low: tuple[float, ...] = (0.0, 0.0, 0.02)
    high: tuple[float, ...] = (1.0, 1.0, 4.0)

    def accuracy(self, theta: Vector, samples: Vector) -> Vector:
        ceiling, single, power = theta
        return np.asarray(ceiling - (ceiling - single) * samples**-power, float)

    def named(self, theta: Vector) -> dict[str, float]:
        return dict(zip(self.names, map(float, theta), strict=True))

    def samples(self, theta: Vector, accuracy: float) -> float:
        ceiling, single, power = map(float, theta)
        if single >= accuracy:
            return 1.0
        if ceiling <= accuracy:
            return float("inf")
        logs = np.log((ceiling - single) / (ceiling - accuracy)) / power
        return float(np.exp(logs)) if logs < 700 else float("inf")

    def start(self, samples: Vector, accuracy: Vector) -> Vector:
        return np.array([accuracy[-1], accuracy[0], 0.7])


def law_of(method: str) -> CurveLaw:
    """The form of a method's curve."""
    return ExponentiatedPower() if method == COVERAGE else SaturatingPower()


@dataclass(frozen=True)
class SampleCurve:
    """A curve of one model and method. `cost` is (fixed, per sample) of a problem's FLOPs."""

    model: str
    method: str
    law: CurveLaw
    theta: Vector
    points: tuple[Measurement, ...]
    quantities: dict[str, Quantity]
    cost: tuple[float, float]
    refits: tuple[Vector, ...]
    worst: float
    """The largest difference between a measured and the fitted accuracy."""
    doubt: str = ""

    @property
    def smallest(self) -> float:
        """The fewest samples that were measured."""
        return min(point.samples for point in self.points)

    @property
    def largest(self) -> float:
        """The most samples that were measured."""
        return max(point.samples for point in self.points)

    def measured(self, samples: float) -> bool:
        """Do so many samples lie within what was measured?"""
        return self.smallest <= samples <= self.largest

    def accuracy(self, samples: Vector) -> Vector:
        return self.law.accuracy(self.theta, samples)

    def samples(self, accuracy: float) -> float:
        """How many samples reach an accuracy (a fraction of one, for a continuous line); infinite where none do."""
        return self.law.samples(self.theta, accuracy)

    def flops(self, samples: float) -> float:
        """FLOPs of a problem with so many samples."""
        return self.cost[0] + self.cost[1] * samples

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "method": self.method,
            "law": self.law.name,
            "formula": self.law.formula,
            "points": len(self.points),
            "largest_difference": self.worst,
            "quantities": {name: found.to_json() for name, found in self.quantities.items()},
            "doubt": self.doubt,
        }


def fit_curve(points: Sequence[Measurement], *, seed: int = 0, resamples: int = RESAMPLES) -> SampleCurve | None:
    """Fits the curve of one model and method, its points in the order of their samples; None for fewer than 2.

    Intervals are of refits to problems drawn anew: the same ones for all points where each problem's rates are known;
    otherwise as if each point had problems of its own, which is too wide if anything.
    """
    if len(points) < 2:
        return None
    law = law_of(points[0].method)
    samples = np.array([point.samples for point in points])
    measured = np.array([point.accuracy for point in points])
    problems = np.array([point.problems for point in points])
    theta = _solve(law, samples, measured[None], problems, law.start(samples, measured))[0]
    drawn = redrawn(points, np.random.default_rng(seed), resamples)
    refits = tuple(_solve(law, samples, drawn, problems, theta))
    off = law.accuracy(theta, samples) - measured
    doubt = _doubt(law, points, measured) or misfit(off, standard_error(measured, problems), len(theta))
    found = {}
    named = [law.named(refit) for refit in refits]
    for name, value in law.named(theta).items():
        draws = [refit[name] for refit in named]
        found[name] = _judged(name, value, draws, law, doubt)
    fixed, each = cost_by_samples(points)
    worst = float(np.abs(off).max())
    point = points[0]
    return SampleCurve(
        point.model.name, point.method, law, theta, tuple(points), found, (fixed, each), refits, worst, doubt
    )


def redrawn(points: Sequence[Measurement], rng: np.random.Generator, resamples: int) -> Vector:
    """Accuracies of the points with problems drawn anew, (resamples, points)."""
    sizes = {point.problems for point in points}
    if len(sizes) == 1 and all(point.rates is not None for point in points):
        n = sizes.pop()
        rates = np.stack([point.rates for point in points if point.rates is not None])
        weights = rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n
        return np.asarray(weights @ rates.T, float)
    columns = [rng.binomial(point.problems, point.accuracy, resamples) / point.problems for point in points]
    return np.stack(columns, axis=1)


def misfit(differences: Vector, errors: Vector, parameters: int) -> str:
    """Says so where a form is further from what was measured than chance and a few points explain."""
    rms = float(np.sqrt((differences**2).mean()))
    chance = float(((differences / errors) ** 2).sum()) / max(1, len(differences) - parameters)
    if rms > _MISFIT and chance > _CHANCE:
        return f"the form does not hold: it is off by {100 * rms:.0f} points (root mean square)"
    return ""


def cost_by_samples(points: Sequence[Measurement]) -> tuple[float, float]:
    """A problem's FLOPs as a fixed part (its prompt) and one by sample, neither of them below 0."""
    from scipy.optimize import nnls

    samples = np.array([point.samples for point in points], float)
    flops = np.array([point.test_flops for point in points])
    (fixed, each), _ = nnls(np.stack([1 / flops, samples / flops], axis=1), np.ones(len(flops)))
    return float(fixed), float(each)


def _doubt(law: CurveLaw, points: Sequence[Measurement], measured: Vector) -> str:
    if len(points) <= len(law.names):
        return f"{len(points)} numbers of samples for {len(law.names)} parameters"
    if np.ptp(measured) < _FLAT:
        return "the accuracy is the same at all numbers of samples"
    if measured.max() < 1.5 / points[0].problems:
        return "hardly a problem was solved"
    return ""


def _judged(name: str, value: float, draws: Sequence[float], law: CurveLaw, doubt: str) -> Quantity:
    if name in ("a", "b"):  # below 0
        found = positive(-value, [-draw for draw in draws], doubt)
        return Quantity(-found.value, -found.high, -found.low, found.doubt)
    if name == "g":
        return positive(value, draws, doubt, ceiling=0.99 * law.high[2])
    found = quantity(value, draws, doubt)
    if name == "c" and not doubt and found.high >= 0.999 and found.high - found.low > 0.1:
        return replace(found, doubt="no ceiling shows below 100 %")
    return found


def _solve(law: CurveLaw, samples: Vector, accuracies: Vector, problems: Vector, start: Vector) -> Vector:
    """Least squares in units of each accuracy's standard error; (fits, parameters)."""
    weights = 1 / standard_error(accuracies, problems)
    return fit_many(law.accuracy, samples, accuracies, weights, start, (np.array(law.low), np.array(law.high)))


def standard_error(accuracy: Vector, problems: Vector) -> Vector:
    """That of a share; never 0, since none and all of a few problems are not none and all of all."""
    smoothed = (accuracy * problems + 1) / (problems + 2)
    return np.asarray(np.sqrt(smoothed * (1 - smoothed) / problems), float)
