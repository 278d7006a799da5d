import numpy as np
import pytest

from ponderosa.evaluation.scaling.quantities import positive, quantity


def test_the_interval_is_of_the_middle_95_percent():
    found = quantity(0.5, np.arange(0, 1.0001, 0.001))
    assert (found.low, found.high) == pytest.approx((0.025, 0.975))


def test_the_value_is_never_outside_of_its_interval():
    found = quantity(2.0, [0.0, 1.0])
    assert found.high == 2.0


def test_draws_that_are_no_numbers_do_not_count_and_infinite_ones_do():
    assert quantity(1.0, [1.0, float("nan"), 1.0]).high == 1.0
    found = quantity(1.0, [1.0, float("inf"), float("inf")])
    assert found.to_json() == {"value": 1.0, "low": 1.0, "high": None, "doubt": "", "determined": True}


@pytest.mark.parametrize(
    ("draws", "said"),
    [
        ([0.9, 1.1], ""),
        ([-0.1, 1.1], "cannot be told from 0"),
        ([0.01, 1.1], "orders of magnitude"),
        ([0.9, 3.0], "the bound of the search"),
        ([0.9, float("inf")], "no end"),
        ([], "could not be refitted"),
    ],
)
def test_what_the_draws_do_not_determine_is_said(draws, said):
    doubt = positive(1.0, draws, ceiling=3.0).doubt
    assert said in doubt
    assert bool(doubt) == bool(said)


def test_a_doubt_that_was_known_before_is_kept():
    assert positive(1.0, [1.0], "2 models").doubt == "2 models"
