from dataclasses import replace

import numpy as np
import pytest

from ponderosa.evaluation.scaling.frontier import default_queries, default_targets, frontier, groups, reaches
from ponderosa.evaluation.scaling.measurements import Measurement, Model
from ponderosa.evaluation.scaling.sample_curves import fit_curve

SMALL = Model("small", 1e5, 1e6, 1e5, 6e11)
LARGE = Model("large", 1e6, 1e7, 1e6, 6e13)


def curve(model, accuracies, each, samples=(1, 2, 4, 8, 16), method="majority"):
    return [
        Measurement(model, method, k, accuracy, 1000, each * k) for k, accuracy in zip(samples, accuracies, strict=True)
    ]


# small: 0.7 - 0.4 k^-0.5, large: 0.9 - 0.2 k^-0.5; a sample costs 4e7 and 1e7 x 4 x 2.
POINTS = [
    *curve(SMALL, [0.7 - 0.4 * k**-0.5 for k in (1, 2, 4, 8, 16)], 4e7),
    *curve(LARGE, [0.9 - 0.2 * k**-0.5 for k in (1, 2, 4, 8, 16)], 8e7),
]
CURVES = [fit_curve(POINTS[:5], resamples=50), fit_curve(POINTS[5:], resamples=50)]


def at(queries, target=0.5):
    return {c.basis: c for c in frontier(POINTS, CURVES, [], [target], [queries], resamples=200)}


def test_few_queries_are_worth_samples_and_many_a_better_model():
    # 0.5 takes the small model 4 samples (0.7 - 0.4/2) at 1.6e8 a problem, the large one 1 at 8e7.
    few, many = at(1e3)["measured"], at(1e7)["measured"]
    assert (few.model, few.samples, few.total.value) == ("small", 4, pytest.approx(6e11 + 1e3 * 1.6e8))
    assert (many.model, many.samples, many.total.value) == ("large", 1, pytest.approx(6e13 + 1e7 * 8e7))
    # They cost the same where 6e13 - 6e11 = queries x 8e7.
    assert at(7.3e5)["measured"].model == "small"
    assert at(7.5e5)["measured"].model == "large"


def test_the_interval_of_a_lucky_choice_holds_the_next_one():
    # 0.5 is exactly what 4 samples reach: in half of the resamples it takes 8.
    total = at(1e3)["measured"].total
    assert total.low <= 6e11 + 1e3 * 1.6e8 < total.high


def test_a_curve_is_followed_beyond_its_points_and_that_is_marked():
    # 0.65 = 0.7 - 0.4 k^-0.5 takes 64 samples, of which 16 were measured; none of them reaches it.
    found = at(10, 0.65)
    assert found["measured"].model == "large"
    assert (found["curve"].model, found["curve"].samples) == ("small", 64)
    assert "1 to 16 samples were measured" in found["curve"].remark


def test_fewer_samples_than_were_measured_are_an_extrapolation_too():
    points = curve(LARGE, [0.9 - 0.2 * k**-0.5 for k in (4, 8, 16, 32)], 8e7, samples=(4, 8, 16, 32))
    found = reaches([fit_curve(points, resamples=5)], 0.75)  # 0.9 - 0.2 k^-0.5 = 0.75 at 1.8 samples
    assert found[0].samples == pytest.approx(16 / 9, rel=1e-2)
    assert found[0].extrapolated


def test_a_ceiling_is_not_passed():
    assert [reach.model for reach in reaches(CURVES, 0.75)] == ["large"]
    assert at(10, 0.95) == {}


def test_coverage_is_a_group_of_its_own():
    found = groups([*POINTS, *curve(SMALL, [0.5] * 5, 4e7, method="pass")])
    assert [len(points) for points in found.values()] == [10, 5]


def test_default_targets_lie_between_the_models_best():
    # The best of small is 0.6, that of large 0.85.
    assert default_targets(POINTS) == [0.7, 0.8]


def test_default_queries_are_each_of_them_once():
    dear = [replace(point, test_flops=point.model.training_flops) for point in POINTS]
    assert default_queries(dear) == [1, 100]


def test_default_queries_are_about_where_both_costs_meet():
    middle = default_queries(POINTS)[1]
    ratio = np.median([point.model.training_flops / point.test_flops for point in POINTS])
    assert ratio / 3.2 < middle < ratio * 3.2
