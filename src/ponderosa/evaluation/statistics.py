"""Estimates with intervals: proportions, paired differences, means of rates, pass@k and AUC.

Intervals are two-sided with the stated confidence, 95 % unless told otherwise. Problems are the unit of sampling
throughout.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import comb, exp, log, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[Any]

CONFIDENCE = 0.95
RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval [low, high], from n observations."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] (n = {self.n})"


def proportion(successes: float, n: int, confidence: float = CONFIDENCE) -> Estimate:
    """A proportion with Wilson's score interval (Wilson 1927), which holds up near 0 and 1.

    Fractional successes (a sum of rates in [0, 1]) give an interval that is, if anything, too wide.
    Raises ValueError without observations.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes of {n}")
    p, z2 = successes / n, _z(confidence) ** 2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    # Rounding must not push an end past the value, which is an end itself at 0 and at 1.
    return Estimate(p, max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)), n)


def mean_of_rates(rates: Sequence[float], confidence: float = CONFIDENCE, seed: int = 0) -> Estimate:
    """The mean of one rate in [0, 1] a problem (e.g. pass@k), with its percentile bootstrap interval over problems.

    For rates that are all 0 or 1 it is their proportion; where all rates are equal the bootstrap sees no variation and
    `proportion` gives the interval. Raises ValueError without observations.
    """
    if len(set(rates)) == 1 or set(rates) <= {0, 1}:
        return proportion(min(sum(rates), len(rates)), len(rates), confidence)
    values = np.asarray(rates, float)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("a rate is outside [0, 1]")
    low, high = _bootstrap(values, confidence, seed)
    return Estimate(float(values.mean()), low, high, len(values))


def paired_difference(
    before: Sequence[float], after: Sequence[float], confidence: float = CONFIDENCE, seed: int = 0
) -> Estimate:
    """The mean of `after - before` on the same problems, with its percentile bootstrap interval over problems.

    The problems' common difficulty cancels, so that it is narrower than the difference of two separate estimates.
    Raises ValueError if the lengths differ or are 0.
    """
    if len(before) != len(after) or not before:
        raise ValueError(f"{len(before)} and {len(after)} results are not of the same problems")
    difference = np.asarray(after, float) - np.asarray(before, float)
    low, high = _bootstrap(difference, confidence, seed)
    return Estimate(float(difference.mean()), low, high, len(difference))


def mcnemar(before: Sequence[bool], after: Sequence[bool]) -> float:
    """The two-sided exact p-value that two methods are right equally often on the same problems (McNemar 1947).

    Only problems on which they differ speak: under the null hypothesis each is won by either with probability 1/2.
    Raises ValueError if the lengths differ.
    """
    gained = sum(b and not a for a, b in zip(before, after, strict=True))
    lost = sum(a and not b for a, b in zip(before, after, strict=True))
    n = gained + lost
    tail = sum(comb(n, i) for i in range(min(gained, lost) + 1))
    return min(1.0, float(2 * tail / 2**n))


def pass_at_k(n: int, correct: int, k: int) -> float:
    """The probability that at least one of k samples is right, unbiased from n of which `correct` are.

    1 - C(n - c, k) / C(n, k): Chen et al. 2021, arXiv 2107.03374, equation 1. Raises ValueError unless k <= n.
    """
    if not 0 < k <= n or not 0 <= correct <= n:
        raise ValueError(f"pass@{k} of {n} samples, {correct} right")
    return 1 - comb(n - correct, k) / comb(n, k)


def auc(
    scores: Sequence[float],
    labels: Sequence[bool],
    groups: Sequence[Hashable] | None = None,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """The probability that a positive scores above a negative, ties counting half (the area under the ROC curve).

    The interval is DeLong's (1988) on the logit scale. Observations of one of the `groups` (the steps of a problem)
    may depend on each other: their influences are summed before they are squared (Obuchowski 1997). Where nothing
    varies, as in perfect separation, it is that of a proportion of as many observations as the smaller class (or the
    groups) has. Raises ValueError unless both labels occur.
    """
    values, positive = np.asarray(scores, float), np.asarray(labels, bool)
    if values.shape != positive.shape or positive.all() or not positive.any():
        raise ValueError("AUC needs a score and a label each, of both labels")
    if np.isnan(values).any():
        raise ValueError("a score is not a number")
    share = np.where(positive, _share_below(values, values[~positive]), 1 - _share_below(values, values[positive]))
    area = float(share[positive].mean())
    influence = (share - area) / np.where(positive, positive.sum(), (~positive).sum())
    index = np.arange(len(values)) if groups is None else _codes(groups)
    by_group = np.bincount(index, weights=influence)
    n = len(by_group)
    deviation = sqrt(n / (n - 1) * float(by_group @ by_group)) if n > 1 else 0.0
    if deviation < 1e-12 or area in (0.0, 1.0):
        independent = min(int(positive.sum()), int((~positive).sum()), n)
        bounds = proportion(area * independent, independent, confidence)
        return Estimate(area, bounds.low, bounds.high, len(values))
    half = _z(confidence) * deviation / (area * (1 - area))
    logit = log(area / (1 - area))
    return Estimate(area, _logistic(logit - half), _logistic(logit + half), len(values))


def _share_below(values: Vector, reference: Vector) -> Vector:
    """For each value the share of `reference` below it, ties counting half."""
    ordered = np.sort(reference)
    below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return np.asarray(below / (2 * len(ordered)), float)


def _codes(groups: Sequence[Hashable]) -> Vector:
    codes: dict[Hashable, int] = {}
    return np.array([codes.setdefault(group, len(codes)) for group in groups])


def _bootstrap(values: Vector, confidence: float, seed: int) -> tuple[float, float]:
    """The percentile interval of the mean. Equal values are drawn together, as a multinomial of their counts."""
    distinct, counts = np.unique(values, return_counts=True)
    n = len(values)
    draws = np.random.default_rng(seed).multinomial(n, counts / n, size=RESAMPLES)
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws @ distinct / n, [tail, 1 - tail])
    return float(low), float(high)


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _logistic(x: float) -> float:
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))
