"""What a reward model's training says of what it held out, against what an outsider computes."""

import math
from pathlib import Path
from typing import Any

import pytest

from ponderosa.training import PPMSettings, ValueSettings, read_record, train_ppm, train_values
from ponderosa.training.calibration import of_labels, of_pairs
from ponderosa.training.ppm import Pair
from ponderosa.training.rows import split
from ponderosa.training.values import LabelledText

LOG_3 = math.log(3)  # a difference by which one side is preferred with p = 3 / 4


def pair(scope: str = "step", problem: str = "a") -> Pair:
    return Pair(problem, [1], [2], 1.0, scope)


def test_a_pairs_p_is_that_of_the_side_which_the_model_prefers() -> None:
    found = of_pairs([pair() for _ in range(4)], [LOG_3, LOG_3, LOG_3, -LOG_3], PPMSettings())
    (only,) = found.reliability.bins
    assert (only.predicted, only.observed.value, only.n) == (pytest.approx(0.75), 0.75, 4)
    assert found.reliability.ece.value == pytest.approx(0.0)
    assert found.order["step"].value == 0.75


def test_the_loss_says_how_sure_a_difference_is() -> None:
    found = of_pairs([pair()], [LOG_3 / 2], PPMSettings(sharpness=2))
    assert found.reliability.bins[0].predicted == pytest.approx(0.75)


def test_a_model_that_is_sure_of_what_is_wrong_is_badly_calibrated() -> None:
    found = of_pairs([pair() for _ in range(2)], [-500.0, -1000.0], PPMSettings(squash="none"))
    assert found.reliability.ece.value == pytest.approx(1.0)
    assert found.order["step"].value == 0.0


def test_pairs_are_in_order_by_scope() -> None:
    found = of_pairs([pair("step"), pair("trajectory"), pair("trajectory")], [1.0, 1.0, -1.0], PPMSettings())
    assert {scope: (share.value, share.n) for scope, share in found.order.items()} == {
        "step": (1.0, 1),
        "trajectory": (0.5, 2),
    }


def text(tokens: list[int], labels: dict[tuple[int, int], float], problem: str = "a") -> LabelledText:
    """A text with a target for each of its steps, from a token to another."""
    begins, places = [begin for begin, _ in labels], [end for _, end in labels]
    return LabelledText(problem, tokens, places, list(labels.values()), begins)


def test_a_label_is_a_share_of_right_ends() -> None:
    texts = [text([0, 1], {(1, 1): 0.5}), text([0, 2], {(1, 1): -1.0})]
    found = of_labels(texts, [LOG_3, -LOG_3], ValueSettings())  # said: 3/4 and 1/4
    assert [(one.predicted, one.observed.value) for one in found.reliability.bins] == [
        (pytest.approx(0.25), 0.0),
        (pytest.approx(0.75), 0.75),
    ]
    assert found.reliability.ece.value == pytest.approx(0.125)


def test_steps_after_the_same_tokens_are_siblings_if_their_targets_are_far_enough_apart() -> None:
    texts = [
        text([0, 1, 5], {(1, 1): 1.0, (2, 2): 1.0}),
        text([0, 2, 5], {(1, 1): -1.0, (2, 2): -1.0}),  # its second step is after another first
        text([0, 3], {(1, 1): 0.8}),  # too near to the first
        text([0, 2], {(1, 1): 1.0}, problem="b"),  # of another problem
    ]
    found = of_labels(texts, [2.0, 0.0, 1.0, 0.0, -1.0, 9.0], ValueSettings())
    # 1 before 2, as it should be; 3 after 2, as it should not.
    assert (found.order["step"].value, found.order["step"].n) == (0.5, 2)


def test_a_step_is_worth_the_mean_of_what_its_rows_say_and_is_read_at_its_end() -> None:
    texts = [
        text([0, 1, 1], {(1, 2): 1.0}),
        text([0, 1, 1], {(1, 2): 0.0}),
        LabelledText("a", [0, 2, 3], [1, 2], [-0.4, -0.4], [1, 1]),  # labelled at each token of its one step
    ]
    assert of_labels(texts, [1.0, 1.0, 5.0, 0.5], ValueSettings()).order["step"].value == 1.0


FAST: dict[str, Any] = {
    "epochs": 4,
    "batch_size": 8,
    "learning_rate": 1e-2,
    "held_out": 0.2,
    "precision": "float32",
    "save_precision": "float32",
}


def test_a_training_tells_what_the_checkpoint_that_it_kept_is_worth(
    base: Path, pairs: list[dict[str, Any]], tmp_path: Path
) -> None:
    scoped = [one | {"scope": "trajectory" if i % 2 else "step"} for i, one in enumerate(pairs)]
    report = train_ppm(base, scoped, tmp_path / "ppm", PPMSettings(**FAST), 0)
    assert report.calibration is not None
    assert report.kept is not None
    assert sum(one.n for one in report.calibration.reliability.bins) == report.held_out
    order = report.calibration.order
    assert set(order) == {"step", "trajectory"}
    right = sum(share.value * share.n for share in order.values()) / report.held_out
    assert right == pytest.approx(report.kept.accuracy)
    record = read_record(tmp_path / "ppm")["report"]["calibration"]
    assert record["reliability"]["ece"]["value"] == report.calibration.reliability.ece.value
    card = (tmp_path / "ppm" / "README.md").read_text()
    assert "## Calibration" in card
    assert "Of two steps after the same ones the better one has the higher value in" in card
    assert card.count("| 0.") == len(record["reliability"]["bins"])


def test_siblings_among_labels_that_are_held_out_are_compared(base: Path, tmp_path: Path) -> None:
    rows = [
        {"prompt": f"Q{i}:", "steps": [f"{letter}{i}<end_of_step>"], "targets": [target], "problem_id": str(i)}
        for i in range(20)
        for letter, target in (("a", 1.0), ("z", -1.0))
    ]
    settings = ValueSettings(**FAST | {"epochs": 20})
    report = train_values(base, rows, tmp_path / "prm", settings, 0)
    _, held_out = split(range(20), settings.held_out, str)
    assert report.calibration is not None
    order = report.calibration.order["step"]
    assert (order.value, order.n) == (1.0, len(held_out))
    assert report.calibration.reliability.ece.value < 0.2
    assert "(value + 1) / 2" in (tmp_path / "prm" / "README.md").read_text()


def test_where_nothing_is_held_out_nothing_is_told(base: Path, pairs: list[dict[str, Any]], tmp_path: Path) -> None:
    report = train_ppm(base, pairs, tmp_path / "ppm", PPMSettings(**FAST | {"held_out": 0.0, "epochs": 1}), 0)
    assert report.calibration is None
    assert "## Calibration" not in (tmp_path / "ppm" / "README.md").read_text()
