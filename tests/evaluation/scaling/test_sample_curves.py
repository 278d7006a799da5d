import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.evaluation.scaling.measurements import Measurement, Model
from ponderosa.evaluation.scaling.sample_curves import (
    ExponentiatedPower,
    SaturatingPower,
    cost_by_samples,
    fit_curve,
    redrawn,
)

MODEL = Model("m", 1e6, 1e7, 1e6, 6e13)
SAMPLES = (1, 2, 4, 8, 16, 32, 64)


def points(method, accuracies, samples=SAMPLES, problems=1000, rates=None):
    return [
        Measurement(MODEL, method, k, accuracy, problems, 100.0 + 50 * k, None if rates is None else rates[i])
        for i, (k, accuracy) in enumerate(zip(samples, accuracies, strict=True))
    ]


def test_coverage_gives_back_its_exponentiated_power_law():
    fit = fit_curve(points("pass", [np.exp(-1.5 * k**-0.4) for k in SAMPLES]), resamples=200)
    assert fit.law.named(fit.theta) == pytest.approx({"a": -1.5, "b": -0.4}, rel=1e-4)
    assert fit.quantities["b"].low < -0.4 < fit.quantities["b"].high
    assert not fit.doubt


def test_a_vote_gives_back_its_ceiling():
    fit = fit_curve(points("majority", [0.7 - 0.3 * k**-0.8 for k in SAMPLES], problems=20_000), resamples=200)
    assert fit.law.named(fit.theta) == pytest.approx({"c": 0.7, "s": 0.4, "g": 0.8}, rel=1e-3)
    assert 0.68 < fit.quantities["c"].low < 0.7 < fit.quantities["c"].high < 0.73


@given(st.floats(-3, 2), st.floats(0.05, 2), st.floats(0.05, 0.95))
def test_the_samples_for_an_accuracy_of_coverage_reach_it(level, power, target):
    law, theta = ExponentiatedPower(), np.array([level, power])
    needed = law.samples(theta, target)
    if np.isfinite(needed) and needed < 1e12:
        reached = law.accuracy(theta, np.array([needed]))[0]
        assert reached >= target - 1e-9
        assert needed == 1.0 or reached == pytest.approx(target)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.05, 2), st.floats(0.05, 0.95))
def test_the_samples_for_an_accuracy_of_a_vote_reach_it(ceiling, single, power, target):
    law, theta = SaturatingPower(), np.array([ceiling, single, power])
    needed = law.samples(theta, target)
    if np.isfinite(needed) and needed < 1e12:
        assert law.accuracy(theta, np.array([needed]))[0] >= target - 1e-9
    elif not np.isfinite(needed):
        assert max(ceiling, single) <= target or (ceiling - target) < 1e-6


def test_no_number_of_samples_reaches_more_than_the_ceiling():
    assert SaturatingPower().samples(np.array([0.6, 0.3, 1.0]), 0.61) == np.inf


def test_the_same_accuracy_everywhere_determines_no_curve():
    fit = fit_curve(points("majority", [0.5] * 7), resamples=20)
    assert "the same" in fit.doubt


def test_a_curve_that_falls_does_not_pass_for_coverage():
    fit = fit_curve(points("pass", [0.9, 0.8, 0.6, 0.5, 0.3, 0.2, 0.1]), resamples=20)
    assert "does not hold" in fit.doubt


def test_as_many_points_as_parameters_are_too_few():
    assert "3 numbers of samples" in fit_curve(points("best_of_n", [0.3, 0.4, 0.45], (1, 2, 4)), resamples=5).doubt


def test_one_point_is_no_curve():
    assert fit_curve(points("greedy", [0.3], (1,))) is None


def test_problems_that_are_known_are_drawn_together():
    rates = np.random.default_rng(1).integers(0, 2, 200).astype(float)
    same = points("majority", [rates.mean()] * 2, (1, 2), 200, [rates, rates])
    drawn = redrawn(same, np.random.default_rng(0), 500)
    assert (drawn[:, 0] == drawn[:, 1]).all()
    assert drawn[:, 0].std() == pytest.approx((0.25 / 200) ** 0.5, rel=0.15)
    alone = redrawn(points("majority", [0.5] * 2, (1, 2), 200), np.random.default_rng(0), 500)
    assert abs(np.corrcoef(alone.T)[0, 1]) < 0.2


def test_cost_is_a_prompt_and_a_part_of_each_sample():
    assert cost_by_samples(points("pass", [0.1] * 7)) == pytest.approx((100, 50))
