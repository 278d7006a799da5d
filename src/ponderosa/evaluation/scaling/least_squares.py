"""Small least-squares fits to many resamples at once: Levenberg-Marquardt within bounds, a batch of problems a step."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

_STEPS = 60
_NUDGE = 1e-6
_SMALL = 1e-8
"""A step, as a part of the range of its parameter, after which nothing more is to be found."""


def fit_many(
    law: Callable[[Vector, Vector], Vector],
    x: Vector,
    targets: Vector,
    weights: Vector,
    start: Vector,
    bounds: tuple[Vector, Vector],
) -> Vector:
    """The thetas, (problems, parameters), of the least sums of squares of `weights * (law(theta, x) - targets)`.

    `targets` and `weights` are (problems, points); `law` takes thetas as (problems, 1) columns, each its own argument's
    row, i.e. an array (parameters, problems, 1), and gives (problems, points). `start` is one theta for all
    problems, or one each.
    """
    low, high = bounds
    theta = np.clip(np.broadcast_to(start, (len(targets), len(low))), low, high).astype(float)

    def wrong(theta: Vector) -> Vector:
        return weights * (law(theta.T[:, :, None], x) - targets)

    residuals = wrong(theta)
    cost = (residuals**2).sum(axis=1)
    damping = np.full(len(targets), 1e-2)
    nudges = _NUDGE * (high - low)
    for _ in range(_STEPS):
        # One-sided differences that point inwards.
        signed = np.where(theta + nudges > high, -nudges, nudges)
        slopes = np.stack(
            [
                (wrong(theta + signed * (np.arange(len(low)) == i)) - residuals) / signed[:, i : i + 1]
                for i in range(len(low))
            ],
            axis=2,
        )
        gradient = np.einsum("rkp,rk->rp", slopes, residuals)
        at_bound = ((theta <= low) & (gradient > 0)) | ((theta >= high) & (gradient < 0))
        slopes = np.where(at_bound[:, None, :], 0.0, slopes)  # what would leave the bounds stays where it is
        gradient = np.where(at_bound, 0.0, gradient)
        curvature = np.einsum("rkp,rkq->rpq", slopes, slopes)
        diagonal = np.einsum("rpp->rp", curvature)
        ridge = (damping[:, None] * diagonal + 1e-12 * (1 + diagonal.max(axis=1, keepdims=True)))[:, :, None]
        step = np.linalg.solve(curvature + ridge * np.eye(len(low)), -gradient[:, :, None])[:, :, 0]
        tried = np.clip(theta + step, low, high)
        residuals_there = wrong(tried)
        cost_there = (residuals_there**2).sum(axis=1)
        better = cost_there < cost
        moved = (np.abs(tried - theta) / (high - low)).max(axis=1)
        theta = np.where(better[:, None], tried, theta)
        residuals = np.where(better[:, None], residuals_there, residuals)
        cost = np.where(better, cost_there, cost)
        damping = np.clip(np.where(better, damping / 5, damping * 5), 1e-9, 1e9)
        if (moved < _SMALL).all():
            break
    return theta
