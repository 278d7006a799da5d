import pytest

from ponderosa.view.rounds import (
    Rate,
    against_majority,
    chosen_best,
    counted,
    errors_removed,
    label,
    methods,
    paired_gain,
    parts,
    series,
    totals,
)


@pytest.mark.parametrize("record", [None, {}, {"accuracy": None}, {"value": None, "n": 5}])
def test_what_was_not_measured_has_no_rate(record):
    assert Rate.read(record) is None


def test_a_rate_is_read_from_a_value_an_accuracy_or_a_number():
    assert Rate.read({"value": 0.25}) == Rate.read({"accuracy": 0.25}) == Rate.read(0.25) == Rate(0.25)


def test_a_measured_zero_is_a_rate():
    assert Rate.read(0) == Rate(0.0)
    assert Rate.read({"accuracy": 0.0, "n": 3}) == Rate(0.0, n=3)


def test_an_interval_is_shown_only_with_both_ends():
    assert Rate(0.5, 0.4567, 0.5433).interval == "45.7-54.3"
    assert Rate(0.5, 0.4567).interval == ""


def test_the_base_is_called_so():
    assert [label({"round": 0}), label({"round": 3})] == ["Base", "Round 3"]


def test_methods_never_evaluated_are_left_out_and_rounds_without_them_are_none(results):
    found = methods(results)
    assert set(found) == {"greedy", "majority", "best_of_n", "mcts", "pass_at_k"}
    name, rates = found["best_of_n"]
    assert name == "Best of 4 by PPM"
    assert rates[0] is None
    assert rates[1].value == 0.76


def test_parts_cover_all_rounds_and_absent_ones_are_zero(results):
    assert parts(results, "seconds") == {
        "evaluation": [20.0, 25.0], "search": [0, 60.0], "sft": [0, 50.0], "ppm": [0, 20.0],
    }  # fmt: skip
    assert totals(results, "seconds") == [20.0, 155.0]


def test_errors_removed_is_a_share_of_the_errors_not_of_the_problems():
    assert errors_removed(Rate(0.612), Rate(0.918)) == "79 %"


def test_a_base_without_errors_has_none_to_remove():
    assert errors_removed(Rate(1.0), Rate(1.0)) == ""


def test_a_count_is_stated_only_if_it_is_one():
    assert counted([Rate(0.5, n=1500), None, Rate(0.6, n=1500)]) == "n = 1,500"
    assert counted([Rate(0.5, n=200), Rate(0.6, n=500)]) == ""
    assert counted([None]) == ""


def test_the_best_method_is_the_one_that_was_chosen_on_dev(results):
    name, rate = chosen_best(results)
    assert name == "MCTS + PPM"
    assert rate.value == 0.78
    del results["rounds"][-1]["best"]
    assert chosen_best(results) is None


def test_the_gain_carries_its_interval(results):
    assert paired_gain(results) == "+20.0 points (+15.1 to +24.9)"
    assert paired_gain({"rounds": [], "paired": None}) == ""


def test_methods_are_compared_to_a_majority_at_equal_tokens(results):
    assert against_majority(results) == [
        "MCTS + PPM against majority of 4: +3.0 points (-1.0 to +7.0) (900 against 480 tokens, n = 60)"
    ]
    del results["rounds"][-1]["against_majority"]
    assert against_majority(results) == []


def test_nested_keys_through_null_give_none(results):
    assert series(results, "ppm", "auc") == [None, Rate(0.86, 0.85, 0.87, 3000)]
