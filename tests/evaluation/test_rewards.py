"""What a reward model is worth, on trees small enough to count by hand."""

import pytest

from ponderosa.core import CodeFormat, Outcome, Problem, Tree
from ponderosa.evaluation import Sample, Sampled
from ponderosa.evaluation.rewards import choice_gains, outcome_calibration, pair_accuracy, step_auc, step_calibration
from ponderosa.forest import PreferenceSettings, ValueRowSettings
from ponderosa.search.expansion import back_up

FORMAT = CodeFormat()


def tree(values: dict[str, float]) -> Tree:
    """Steps `good` and `bad`, each with an answer, right and wrong; what the model says of each by its text."""
    made = Tree("p", "What is x?", method="mcts")
    for step, answer, reward in (("good", "one", 1.0), ("bad", "two", -1.0)):
        node = made.add(0, step, value=values[step])
        end = made.add(node, answer, outcome=Outcome.ANSWERED, answer=answer, reward=reward, value=values[answer])
        back_up(made, end, reward)
    return made


VALUES = {"good": 0.5, "bad": 0.0, "one": 0.2, "two": 0.4}


def test_of_two_pairs_the_model_has_one_in_order() -> None:
    found = pair_accuracy([tree(VALUES)], FORMAT, PreferenceSettings(min_edit_distance=1))
    assert found is not None
    assert (found["value"], found["n"]) == (0.5, 2)  # the steps' order is right, that of the whole trajectories wrong
    assert pair_accuracy([], FORMAT) is None


def test_steps_are_compared_with_their_rollouts_and_answers_are_not() -> None:
    found = step_calibration([tree(VALUES)], FORMAT, ValueRowSettings())
    assert found is not None
    # p 0.75 of a step with only right ends, and 0.5 of one with none.
    assert sorted((b["predicted"], b["observed"]["value"]) for b in found["bins"]) == [(0.5, 0.0), (0.75, 1.0)]
    assert found["ece"]["value"] == pytest.approx((0.25 + 0.5) / 2)


def test_the_area_under_the_curve_counts_no_step_after_a_mistake() -> None:
    def truths(problem: Problem, steps: tuple[str, ...]) -> list[bool]:
        return [step in ("good", "one") for step in steps]

    problems = {"p": Problem("p", "What is x?", "one")}
    found = step_auc([tree(VALUES)], problems, truths)
    assert found is not None
    assert (found["value"], found["n"]) == (1.0, 3)  # good and one are above bad; two comes after it
    assert step_auc([tree(VALUES)], problems, lambda problem, steps: None) is None


def sampled(number: int, *samples: tuple[str | None, bool, float]) -> Sampled:
    return Sampled(str(number), tuple(Sample(answer, right, (score,), 10) for answer, right, score in samples))


SAMPLES = [
    sampled(0, ("a", True, 0.8), ("b", False, 0.2), ("b", False, 0.1)),  # the majority is wrong, the best is right
    sampled(1, ("a", True, 0.0), ("a", True, 0.1), ("b", False, 0.9)),  # the other way round
    sampled(2, ("a", True, 0.6), ("a", True, 0.4), (None, False, 1.0)),
]


def test_what_choosing_gains_is_counted_on_the_same_samples() -> None:
    found = choice_gains(SAMPLES, 3, {"best_of_n": "last", "weighted": "last"})
    assert found["majority"]["accuracy"] == pytest.approx(2 / 3)
    assert found["mean_sample"]["accuracy"] == pytest.approx((1 / 3 + 2 / 3 + 2 / 3) / 3)
    best = found["best_of_n"]
    assert best["rates"] == (1.0, 0.0, 1.0)
    assert best["over_majority"]["value"] == 0.0
    assert best["over_mean_sample"]["value"] == pytest.approx(2 / 3 - 5 / 9)
    assert best["separation"] == pytest.approx((2 + 0) / (2 + 2))


def test_solutions_without_an_answer_have_no_outcome() -> None:
    found = outcome_calibration(SAMPLES)
    assert found is not None
    assert found["ece"]["n"] == 8
    assert found["auc"]["n"] == 8
    assert outcome_calibration([sampled(0, (None, False, 1.0))]) is None
