import numpy as np
import pytest
from scipy.optimize import least_squares

from ponderosa.evaluation.scaling.least_squares import fit_many

X = np.linspace(-2, 2, 9)
BOUNDS = np.array([0.0, -3.0, 0.1]), np.array([1.0, 3.0, 5.0])


def sigmoid(theta, x):
    ceiling, middle, slope = theta
    return ceiling / (1 + np.exp(-slope * (x - middle)))


def test_many_fits_are_those_of_scipy_one_by_one():
    rng = np.random.default_rng(0)
    targets = np.stack([sigmoid((0.8, 0.3, 2.0), X) + 0.02 * rng.standard_normal(9) for _ in range(20)])
    weights = rng.uniform(0.5, 2, targets.shape)
    found = fit_many(sigmoid, X, targets, weights, np.array([0.5, 0.0, 1.0]), BOUNDS)
    for theta, target, weight in zip(found, targets, weights, strict=True):
        alone = least_squares(lambda t: weight * (sigmoid(t, X) - target), (0.5, 0, 1), bounds=BOUNDS, xtol=1e-12).x  # noqa: B023
        assert theta == pytest.approx(alone, abs=1e-4)


def test_a_fit_that_its_bounds_hold_back_ends_at_them():
    found = fit_many(sigmoid, X, np.full((1, 9), 1.5), np.ones((1, 9)), np.array([0.5, 0.0, 1.0]), BOUNDS)
    assert found[0, 0] == 1.0
    assert (found >= BOUNDS[0]).all()
    assert (found <= BOUNDS[1]).all()
