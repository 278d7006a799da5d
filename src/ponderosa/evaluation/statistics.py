"""Estimates with intervals: proportions, paired differences, means of rates, pass@k and AUC.

Intervals are two-sided with the stated confidence, 95 % unless told otherwise. Problems are the unit of sampling
throughout, and with them, where results are pooled, the trainings.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import comb, exp, inf, log, sqrt
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
    low, high = _wilson(successes / n, n, _z(confidence))
    return Estimate(successes / n, low, high, n)


def _wilson(p: float, n: float, z: float) -> tuple[float, float]:
    z2 = z**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    # Rounding must not push an end past the value, which is an end itself at 0 and at 1.
    return max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))


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
    return _bootstrap(values, confidence, seed)


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
    return _bootstrap(difference, confidence, seed)


@dataclass(frozen=True, slots=True)
class Difference:
    """A paired difference over seeds and problems; `p` is two-sided, `by_seed` each seed's own mean."""

    estimate: Estimate
    p: float
    by_seed: tuple[float, ...]


def pooled_mean(rates: Sequence[Sequence[float]], confidence: float = CONFIDENCE) -> Estimate:
    """The mean of rates [seeds, problems], all seeds on the same problems, with its interval over seeds and problems.

    The interval is Wilson's for as many problems as would vary as much (Korn and Graubard 1998), with Student's t for
    the normal; of a single seed it is that of `mean_of_rates`. Where all rates are equal, `proportion` gives the
    interval. Raises ValueError if the lengths differ or are 0, or for a rate outside of [0, 1].
    """
    values = _by_seed(rates)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("a rate is outside [0, 1]")
    if len(values) == 1:
        return mean_of_rates(rates[0], confidence)
    n, mean = values.shape[1], min(float(values.mean()), 1.0)
    variance, freedom = _spread(values)
    if variance in (0.0, inf):
        return proportion(mean * n, n, confidence)
    low, high = _wilson(mean, mean * (1 - mean) / variance, _t(confidence, freedom))
    return Estimate(mean, low, high, n)


def pooled_difference(
    before: Sequence[Sequence[float]], after: Sequence[Sequence[float]], confidence: float = CONFIDENCE
) -> Difference:
    """The mean of `after - before` [seeds, problems], with its interval and its two-sided p-value over both.

    Both are of Student's t, so that p is below 0.05 where the 95 % interval leaves out 0. They are about trainings that
    were not seen, on problems that were not seen; of a single seed, about this training alone. Where one side has a
    single result for all seeds (a base that is the same in all of them), give it once a seed. Raises ValueError if the
    shapes differ or are empty.
    """
    earlier, later = _by_seed(before), _by_seed(after)
    if earlier.shape != later.shape:
        raise ValueError(f"results of shapes {earlier.shape} and {later.shape} are not of the same seeds and problems")
    difference = later - earlier
    mean = float(difference.mean())
    variance, freedom = _spread(difference)
    half = _t(confidence, freedom) * sqrt(variance)
    return Difference(
        Estimate(mean, max(mean - half, -1.0), min(mean + half, 1.0), difference.shape[1]),
        _beyond(abs(mean) / sqrt(variance), freedom) if variance else float(mean == 0),
        tuple(map(float, difference.mean(1))),
    )


def _spread(values: Vector) -> tuple[float, float]:
    """The variance of the mean of `values` [seeds, problems], and its degrees of freedom (Satterthwaite 1946).

    Seeds and problems are crossed and both are random. Their mean squares are added; what neither explains is thus
    counted twice, as by the pigeonhole bootstrap (Owen 2007): to take it off once would leave too little in a few seeds
    that happen to agree. Of one problem nothing is known.
    """
    seeds, n = values.shape
    if n == 1:
        return inf, 1.0
    mean = values.mean()
    problems = seeds * float(((values.mean(0) - mean) ** 2).sum()) / (n - 1)
    trainings = n * float(((values.mean(1) - mean) ** 2).sum()) / (seeds - 1) if seeds > 1 else 0.0
    total = problems + trainings
    if total < 1e-12:
        return 0.0, 1.0
    return total / values.size, total**2 / (problems**2 / (n - 1) + trainings**2 / max(seeds - 1, 1))


def _t(confidence: float, freedom: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + confidence) / 2))


def _beyond(t: float, freedom: float) -> float:
    """How likely Student's t is so far from 0, on either side."""
    from scipy.special import stdtr

    return 2 * float(stdtr(freedom, -t))


def _by_seed(rates: Sequence[Sequence[float]]) -> Vector:
    lengths = {len(row) for row in rates}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"{len(rates)} seeds have results on {sorted(lengths)} problems")
    return np.asarray(rates, float)


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
    index = np.arange(len(values)) if groups is None else group_codes(groups)
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


def group_codes(groups: Sequence[Hashable]) -> Vector:
    """A whole number for each observation's group: 0 for the first group that comes, 1 for the next, ..."""
    codes: dict[Hashable, int] = {}
    return np.array([codes.setdefault(group, len(codes)) for group in groups])


def _bootstrap(values: Vector, confidence: float, seed: int) -> Estimate:
    """The mean of `values` [problems] with its percentile interval from drawing problems anew.

    Problems of equal values are drawn together, as a multinomial of their counts.
    """
    n = len(values)
    distinct, counts = np.unique(values, return_counts=True)
    means = np.random.default_rng(seed).multinomial(n, counts / n, size=RESAMPLES) @ distinct / n
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(float(values.mean()), float(low), float(high), n)


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _logistic(x: float) -> float:
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))
