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
    return _mean_over_both(values[None], confidence, seed)


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
    return _mean_over_both(difference[None], confidence, seed)


@dataclass(frozen=True, slots=True)
class Difference:
    """A paired difference over seeds and problems; `p` is two-sided, `by_seed` each seed's own mean."""

    estimate: Estimate
    p: float
    by_seed: tuple[float, ...]


def pooled_mean(rates: Sequence[Sequence[float]], confidence: float = CONFIDENCE, seed: int = 0) -> Estimate:
    """The mean of rates [seeds, problems], all seeds on the same problems, with its interval over seeds and problems.

    The bootstrap draws both seeds and problems anew (Owen 2007, the pigeonhole bootstrap), so that a few lucky
    trainings do not pass for many; of a single seed it draws problems alone. Where all rates are equal it sees no
    variation, and `proportion` gives the interval. Raises ValueError if the lengths differ or are 0, or for a rate
    outside of [0, 1].
    """
    values = _by_seed(rates)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("a rate is outside [0, 1]")
    if (values == values[0, 0]).all():
        n = values.shape[1]
        return proportion(float(values[0, 0]) * n, n, confidence)
    return _mean_over_both(values, confidence, seed)


def pooled_difference(
    before: Sequence[Sequence[float]], after: Sequence[Sequence[float]], confidence: float = CONFIDENCE, seed: int = 0
) -> Difference:
    """The mean of `after - before` [seeds, problems] with its interval over both, and the p-value of a sign-flip test.

    The test takes each problem's difference, a mean over seeds, to be as likely positive as negative under the null
    hypothesis (Fisher's randomisation test). Where one side has a single result for all seeds (a base that is the same
    in all of them), give it once a seed. Raises ValueError if the shapes differ or are empty.
    """
    earlier, later = _by_seed(before), _by_seed(after)
    if earlier.shape != later.shape:
        raise ValueError(f"results of shapes {earlier.shape} and {later.shape} are not of the same seeds and problems")
    difference = later - earlier
    by_problem = difference.mean(0)
    signs = np.random.default_rng(seed).integers(0, 2, (RESAMPLES, len(by_problem)), dtype=np.int8) * 2 - 1
    as_far = (np.abs(signs @ by_problem) >= abs(by_problem.sum()) - 1e-9).sum()
    return Difference(
        _mean_over_both(difference, confidence, seed),
        float((1 + as_far) / (1 + RESAMPLES)),
        tuple(map(float, difference.mean(1))),
    )


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


def _mean_over_both(values: Vector, confidence: float, seed: int) -> Estimate:
    """The mean of `values` [seeds, problems] with its percentile interval from drawing both anew.

    Problems of equal values in all seeds are drawn together, as a multinomial of their counts.
    """
    seeds, n = values.shape
    draw = np.random.default_rng(seed)
    weights = draw.multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES) / seeds
    distinct, counts = np.unique(values, axis=1, return_counts=True)
    drawn = draw.multinomial(n, counts / n, size=RESAMPLES)
    means = ((weights @ distinct) * drawn).sum(axis=1) / n
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Estimate(float(values.mean()), float(low), float(high), n)


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _logistic(x: float) -> float:
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))
