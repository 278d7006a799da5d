"""How a training budget is best divided between parameters and tokens: Chinchilla's three approaches.

N_opt is proportional to C^a and D_opt to C^b, with C = 6 N D; a + b = 1. The first two read a from the measurements,
the third (and Kaplan's form) from a fitted law. Intervals are of the same estimates from the losses of the fitted law
with its residuals drawn anew, so that they hold what is left to chance in a training; in the first approach also what
the grid leaves open, whose sizes stand for all between them.

The second approach is biased where the parabola is wide or off its middle (arXiv 2603.22339): where it and the third
disagree, trust the third.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ponderosa.evaluation.scaling.loss_laws import LossFit, losses_of
from ponderosa.evaluation.scaling.measurements import Model
from ponderosa.evaluation.scaling.quantities import RESAMPLES, Quantity, quantity

Vector = npt.NDArray[np.float64]
LEVELS = 6
"""Budgets at which the second approach looks for a minimum."""


@dataclass(frozen=True)
class Profile:
    """An IsoFLOP profile: sizes and losses at a budget `flops`, and the parabola through them in log N."""

    flops: float
    sizes: tuple[float, ...]
    losses: tuple[float, ...]
    parabola: tuple[float, float, float]
    """Of the loss by log N, the highest power first."""
    best: float | None
    """N of the least loss; None where the parabola has no minimum between the sizes."""


@dataclass(frozen=True)
class Allocation:
    """What one approach says: N_opt = exp(log_scale) C^a. `points` are the (C, N) that it rests on."""

    approach: str
    a: Quantity
    b: Quantity
    log_scale: float
    points: tuple[tuple[float, float], ...] = ()

    def best_size(self, flops: Vector) -> Vector:
        """The N of the least loss at so many FLOPs."""
        return np.asarray(np.exp(self.log_scale + self.a.value * np.log(flops)), float)

    def to_json(self) -> dict[str, Any]:
        points = [{"flops": flops, "parameters": size} for flops, size in self.points]
        return {"approach": self.approach, "a": self.a.to_json(), "b": self.b.to_json(), "points": points}


def allocations(
    fits: Sequence[LossFit], models: Sequence[Model], *, seed: int = 0, resamples: int = RESAMPLES
) -> list[Allocation]:
    """What each approach says of models with a loss. `fits` are of forms to these models, Chinchilla's first."""
    rng = np.random.default_rng(seed)
    losses = losses_of(models)
    redrawn = fits[0].redrawn(resamples, rng)
    found = []
    for name, minima in (("1: training envelope", envelope), ("2: IsoFLOP profiles", isoflop_minima)):
        points = minima(models, losses)
        slope, scale = _power(points)
        optima = [minima(models, drawn) for drawn in redrawn]
        if minima is envelope:
            optima = [_off_grid(one, models, rng) for one in optima]
        draws = [_power(one)[0] for one in optima]
        doubt = _doubt(points, draws)
        if fits[0].doubt and not doubt:
            doubt = f"its interval is of refits to the parametric fit: {fits[0].doubt}"
        found.append(_allocation(name, slope, scale, draws, doubt, points))
    for fit in fits:
        name = {"chinchilla": "3: parametric fit", "kaplan": "Kaplan's form"}[fit.law.name]
        named = fit.named
        scale = float(fit.law.optimal_log_n(named, np.zeros(1))[0])
        exponents = [named[key] for key in ("alpha", "beta", "alpha_N", "alpha_D") if key in named]
        doubt = fit.doubt or ("an exponent is 0" if min(exponents) < 1e-3 else "")
        draws = [fit.law.named(refit, fit.centre)["a"] for refit in fit.refits]
        found.append(_allocation(name, named["a"], scale, draws, doubt, ()))
    return found


def envelope(models: Sequence[Model], losses: Vector) -> list[tuple[float, float]]:
    """The (C, N) of the models than which none had a lower loss for fewer FLOPs: Chinchilla's first approach.

    Of trained models alone, not of the curves on the way to them: a loss before the learning rate has come down is not
    what that many tokens are worth.
    """
    flops = np.array([6 * model.parameters * model.tokens for model in models])
    found, best = [], np.inf
    for i in np.lexsort((losses, flops)):
        if losses[i] < best:
            best = losses[i]
            found.append((float(flops[i]), models[i].parameters))
    return found


def _off_grid(
    points: Sequence[tuple[float, float]], models: Sequence[Model], rng: np.random.Generator
) -> list[tuple[float, float]]:
    """The points at sizes up to half of the way, in log N, to the next ones of the grid: the best may lie there."""
    grid = np.log(sorted({model.parameters for model in models}))
    if len(grid) < 2:
        return list(points)
    gaps = np.diff(grid)
    below, above = np.concatenate([gaps[:1], gaps]) / 2, np.concatenate([gaps, gaps[-1:]]) / 2
    at = np.searchsorted(grid, [np.log(size) - 1e-9 for _, size in points])
    sizes = np.exp(grid[at] + rng.uniform(-below[at], above[at]))
    return [(flops, float(size)) for (flops, _), size in zip(points, sizes, strict=True)]


def isoflop_minima(models: Sequence[Model], losses: Vector) -> list[tuple[float, float]]:
    """The (C, N) of the minima of IsoFLOP profiles: Chinchilla's second approach."""
    return [(profile.flops, profile.best) for profile in profiles(models, losses) if profile.best is not None]


def profiles(models: Sequence[Model], losses: Vector) -> list[Profile]:
    """Profiles at budgets that three sizes or more were trained with fewer and with more than.

    A size's loss at a budget lies between those measured: straight lines between logarithms, and nothing beyond them.
    """
    curves: dict[float, tuple[Vector, Vector]] = {}
    for size in sorted({model.parameters for model in models}):
        at: dict[float, list[float]] = {}
        for model, loss in zip(models, losses, strict=True):
            if model.parameters == size:
                at.setdefault(np.log(6 * size * model.tokens), []).append(np.log(loss))
        flops = np.array(sorted(at))
        if len(flops) > 1:
            curves[size] = flops, np.array([np.mean(at[key]) for key in sorted(at)])
    if len(curves) < 3:
        return []
    ends = sorted(flops[0] for flops, _ in curves.values()), sorted(flops[-1] for flops, _ in curves.values())
    low, high = ends[0][2], ends[1][-3]  # three sizes have begun, three have not ended
    found = []
    for level in np.linspace(low, high, LEVELS) if high > low else []:
        there = {s: float(np.interp(level, x, y)) for s, (x, y) in curves.items() if x[0] <= level <= x[-1]}
        if len(there) >= 3:
            sizes, values = np.array(list(there)), np.exp(list(there.values()))
            parabola = np.polyfit(np.log(sizes), values, 2)
            vertex = -parabola[1] / (2 * parabola[0]) if parabola[0] > 0 else np.inf
            inside = np.log(sizes[0]) <= vertex <= np.log(sizes[-1])
            best = float(np.exp(vertex)) if inside else None
            found.append(Profile(float(np.exp(level)), tuple(sizes), tuple(values), tuple(parabola), best))
    return found


def _power(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The exponent and the logarithm of the scale of N over C; without values for fewer than 2 points."""
    logs = np.log(np.array(points, float).reshape(-1, 2))
    if len(logs) < 2 or np.ptp(logs[:, 0]) < 0.1:
        return float("nan"), float("nan")
    slope, scale = np.polyfit(logs[:, 0], logs[:, 1], 1)
    return float(slope), float(scale)


def _doubt(points: Sequence[tuple[float, float]], draws: Sequence[float]) -> str:
    sizes = len({size for _, size in points})
    if len(points) < 3 or sizes < 3:
        return f"{len(points)} optima of {sizes} sizes: it takes 3"
    if draws and (lost := float(np.isnan(draws).mean())) > 0.05:
        return f"{100 * lost:.0f} % of the refits have no optima"
    return ""


def _allocation(
    name: str, slope: float, scale: float, draws: Sequence[float], doubt: str, points: Sequence[tuple[float, float]]
) -> Allocation:
    a = quantity(slope, draws, doubt)
    b = quantity(1 - slope, [1 - draw for draw in draws], doubt)
    if not doubt and a.high - a.low > 0.5:
        doubt = "its interval is wider than 0.5"
        a, b = (Quantity(found.value, found.low, found.high, doubt) for found in (a, b))
    return Allocation(name, a, b, scale, tuple(points))
