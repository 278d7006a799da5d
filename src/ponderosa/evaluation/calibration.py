"""Calibration: does what a reward model says with p come true in a share p of the cases?"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ponderosa.evaluation.statistics import CONFIDENCE, Estimate, group_codes

Matrix = npt.NDArray[np.float64]
RESAMPLES = 2_000
_AT_ONCE = 50
"""Resamples that are in memory together: one has a number for each group, of which there may be a hundred thousand."""


@dataclass(frozen=True, slots=True)
class Bin:
    """The `n` predictions in [low, high): what they say on average, and what came true of them."""

    low: float
    high: float
    n: int
    predicted: float
    observed: Estimate


@dataclass(frozen=True, slots=True)
class Reliability:
    """A reliability diagram as data (`bins` without observations are left out), and what it comes to.

    `ece` is the expected calibration error, the mean distance of a bin's two shares, weighted by its size (Guo et al.,
    arXiv 1706.04599, equation 3); `brier` the mean squared distance of each prediction to what came.
    """

    bins: tuple[Bin, ...]
    ece: Estimate
    brier: float


def reliability(
    predicted: Sequence[float],
    observed: Sequence[float],
    groups: Sequence[Hashable],
    bins: int = 10,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Reliability:
    """How far predictions, each in [0, 1], agree with what was `observed`: 0 or 1, or a share.

    `bins` are equally wide. Intervals are percentile bootstraps over the `groups` (problems, whose observations depend
    on each other); the ECE is a sum of distances, which chance alone makes larger, the more so in small samples and in
    resamples. Raises ValueError without observations, for lengths that differ, and for numbers outside of [0, 1].
    """
    p, o = np.asarray(predicted, float), np.asarray(observed, float)
    if not len(p) or p.shape != o.shape or len(groups) != len(p):
        raise ValueError(f"{len(p)} predictions, {len(o)} observations and {len(groups)} groups: one each is needed")
    if not ((p >= 0) & (p <= 1) & (o >= 0) & (o <= 1)).all():
        raise ValueError("a prediction or an observation is outside [0, 1]")
    place = np.minimum((p * bins).astype(int), bins - 1)
    group = group_codes(groups)
    count = int(group.max()) + 1
    # For each group and bin: how many, and the sums of what was predicted and observed.
    shape = (count, bins)
    sums = [_sums(group, place, weights, shape) for weights in (np.ones_like(p), p, o)]
    n, says, comes = (part.sum(0) for part in sums)
    n_drawn, says_drawn, comes_drawn = _resampled(sums, count, seed)
    tail = (1 - confidence) / 2
    found = []
    for i in np.flatnonzero(n):
        share = comes_drawn[n_drawn[:, i] > 0, i] / n_drawn[n_drawn[:, i] > 0, i]
        low, high = np.quantile(share, [tail, 1 - tail])
        observed_share = Estimate(float(comes[i] / n[i]), float(low), float(high), int(n[i]))
        found.append(Bin(i / bins, (i + 1) / bins, int(n[i]), float(says[i] / n[i]), observed_share))
    value = float(np.abs(says - comes).sum() / n.sum())
    resampled = np.abs(says_drawn - comes_drawn).sum(1) / n_drawn.sum(1)
    low, high = np.quantile(resampled, [tail, 1 - tail])
    ece = Estimate(value, min(value, float(low)), max(value, float(high)), len(p))
    return Reliability(tuple(found), ece, float(((p - o) ** 2).mean()))


def _sums(
    group: npt.NDArray[np.int64], place: npt.NDArray[np.int64], weights: Matrix, shape: tuple[int, int]
) -> Matrix:
    flat = np.bincount(group * shape[1] + place, weights=weights, minlength=shape[0] * shape[1])
    return flat.reshape(shape).astype(np.float64)


def _resampled(sums: Sequence[Matrix], count: int, seed: int) -> list[Matrix]:
    """Each of the `sums` [groups, bins] over groups drawn anew [RESAMPLES, bins]."""
    rng = np.random.default_rng(seed)
    found: list[list[Matrix]] = [[] for _ in sums]
    for _ in range(RESAMPLES // _AT_ONCE):
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=_AT_ONCE).astype(float)
        for blocks, part in zip(found, sums, strict=True):
            blocks.append(drawn @ part)
    return [np.concatenate(blocks) for blocks in found]
