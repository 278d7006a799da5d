import math
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from ponderosa.core import PonderosaError
from ponderosa.training import PPMSettings, Progress, read_record, train_ppm
from ponderosa.training.rows import split

FAST = PPMSettings(
    epochs=20,
    batch_size=8,
    learning_rate=1e-2,
    weight_decay=0,
    held_out=0.2,
    precision="float32",
    save_precision="float32",
)


def score(checkpoint: Path, texts: list[str]) -> torch.Tensor:
    """The logits of texts, one at a time, as an outsider computes them."""
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint).eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    with torch.no_grad():
        return torch.cat([model(**tokenizer(text, return_tensors="pt")).logits[0] for text in texts])


@pytest.mark.parametrize(("squash", "scale"), [("tanh", 1.0), ("none", 5.0)])
def test_separable_pairs_are_separated_also_where_held_out(
    base: Path, pairs: list[dict[str, Any]], tmp_path: Path, squash: str, scale: float
) -> None:
    progress: list[Progress] = []
    settings = FAST.model_copy(update={"squash": squash})
    report = train_ppm(base, pairs, tmp_path / "ppm", settings, 0, progress.append)

    assert (report.pairs, report.held_out) == (32, 8)
    assert progress[0].loss == pytest.approx(math.log(2), abs=0.2)  # a random head tells nothing apart
    floor = math.log(1 + math.exp(-2)) if squash == "tanh" else 0.0
    assert floor < report.loss_end < floor + 0.1
    assert report.kept is not None
    assert report.kept.accuracy == 1.0

    chosen = score(tmp_path / "ppm", [pair["prompt"] + pair["chosen"] for pair in pairs])
    rejected = score(tmp_path / "ppm", [pair["prompt"] + pair["rejected"] for pair in pairs])
    assert (chosen > rejected).all()
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "ppm")
    assert model.config.reward_scale == scale
    assert model.config.num_labels == 1


def test_the_best_checkpoint_is_the_one_that_is_kept(base: Path, pairs: list[dict[str, Any]], tmp_path: Path) -> None:
    # Wrong pairs among the right ones can only be memorised, and the held-out loss rises again.
    noisy = [
        pair | ({"chosen": pair["rejected"], "rejected": pair["chosen"]} if i % 3 == 0 else {})
        for i, pair in enumerate(pairs)
    ]
    settings = FAST.model_copy(update={"epochs": 30, "squash": "none"})
    report = train_ppm(base, noisy, tmp_path / "ppm", settings, 0)

    assert report.kept == min(report.evaluations, key=lambda evaluation: evaluation.loss)
    assert report.kept.step < report.steps
    assert report.evaluations[-1].step == report.steps
    _, held_out = split(noisy, settings.held_out, itemgetter("problem_id"))
    margin = score(tmp_path / "ppm", [pair["prompt"] + pair["chosen"] for pair in held_out]) - score(
        tmp_path / "ppm", [pair["prompt"] + pair["rejected"] for pair in held_out]
    )
    weight = torch.tensor([pair["weight"] for pair in held_out])
    loss = -(weight * torch.nn.functional.logsigmoid(margin)).sum() / weight.sum()
    assert loss.item() == pytest.approx(report.kept.loss, abs=1e-4)
    assert (margin > 0).float().mean().item() == report.kept.accuracy


def test_patience_ends_training_early(base: Path, pairs: list[dict[str, Any]], tmp_path: Path) -> None:
    settings = FAST.model_copy(update={"select_by": "accuracy", "patience": 2})
    report = train_ppm(base, pairs, tmp_path / "ppm", settings, 0)
    assert report.steps < 20 * 4
    assert report.kept is not None
    assert report.kept.accuracy == 1.0


def test_a_pair_without_weight_has_no_effect(base: Path, pairs: list[dict[str, Any]], tmp_path: Path) -> None:
    wrong = [pair | {"chosen": pair["rejected"], "rejected": pair["chosen"], "weight": 0} for pair in pairs]
    settings = FAST.model_copy(update={"epochs": 2})
    report = train_ppm(base, [*pairs, *wrong], tmp_path / "with", settings, 0)
    without = train_ppm(base, pairs, tmp_path / "without", settings, 0)

    assert report.weightless == len(pairs)
    assert report.loss_end == without.loss_end
    texts = [pair["prompt"] + pair["chosen"] for pair in pairs]
    assert torch.equal(score(tmp_path / "with", texts), score(tmp_path / "without", texts))


@pytest.mark.parametrize("heavier", ["a", "z"])
def test_of_contradicting_pairs_the_heavier_wins(base: Path, tmp_path: Path, heavier: str) -> None:
    pairs = [
        {"prompt": f"Q{i}:", "chosen": chosen, "rejected": rejected, "problem_id": str(i)}
        | {"weight": 3.0 if chosen == heavier else 1.0}
        for i in range(8)
        for chosen, rejected in (("a", "z"), ("z", "a"))
    ]
    settings = FAST.model_copy(update={"epochs": 40, "batch_size": 16, "squash": "none", "held_out": 0.0})
    report = train_ppm(base, pairs, tmp_path / "ppm", settings, 0)

    a, z = score(tmp_path / "ppm", ["Q3:a", "Q3:z"]).tolist()
    margin = a - z if heavier == "a" else z - a
    assert margin == pytest.approx(math.log(3), abs=0.2)  # where 3 log sigmoid(m) + log sigmoid(-m) is greatest
    assert (report.held_out, report.kept, report.evaluations) == (0, None, ())


def test_only_the_ratios_of_weights_matter(base: Path, pairs: list[dict[str, Any]], tmp_path: Path) -> None:
    settings = FAST.model_copy(update={"epochs": 2})
    heavy = [pair | {"weight": 8 * pair["weight"]} for pair in pairs]
    one = train_ppm(base, pairs, tmp_path / "one", settings, 0)
    other = train_ppm(base, heavy, tmp_path / "other", settings, 0)
    assert one.loss_end == pytest.approx(other.loss_end)


def test_centering_pulls_the_values_of_a_pair_to_both_sides_of_zero(
    base: Path, pairs: list[dict[str, Any]], tmp_path: Path
) -> None:
    settings = FAST.model_copy(update={"squash": "none", "centering": 1.0})
    train_ppm(base, pairs, tmp_path / "ppm", settings, 0)
    chosen = score(tmp_path / "ppm", [pair["prompt"] + pair["chosen"] for pair in pairs])
    rejected = score(tmp_path / "ppm", [pair["prompt"] + pair["rejected"] for pair in pairs])
    assert (chosen > 0).all()
    assert (rejected < 0).all()


def test_pairs_that_are_too_long_are_left_out_and_counted(
    base: Path, pairs: list[dict[str, Any]], tmp_path: Path
) -> None:
    long = pairs[0] | {"rejected": "z" * 300}
    settings = FAST.model_copy(update={"epochs": 1, "max_length": 100})
    report = train_ppm(base, [*pairs, long], tmp_path / "ppm", settings, 0)
    assert (report.pairs + report.held_out, report.too_long) == (40, 1)
    assert read_record(tmp_path / "ppm")["report"]["too_long"] == 1


def test_a_model_that_sees_more_than_a_texts_own_tokens_is_an_error(
    base: Path, pairs: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ponderosa.training.reward_trainers.visible", lambda parents: np.tri(len(parents), dtype=np.bool_)
    )
    last = [pair | {"chosen": pair["rejected"], "rejected": pair["chosen"], "problem_id": "one"} for pair in pairs]
    with pytest.raises(PonderosaError, match="does not keep to an attention mask"):
        train_ppm(base, [*pairs[::-1], *last], tmp_path / "ppm", FAST, 0)


def test_nothing_to_train_on_is_an_error_that_says_why(base: Path, pairs: list[dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(PonderosaError, match="of 1, 1 have no weight, 0 compare a text with itself and 0 exceed"):
        train_ppm(base, [pairs[0] | {"weight": 0.0}], tmp_path / "ppm", FAST, 0)
    with pytest.raises(PonderosaError, match="of 1, 0 have no weight, 1 compare a text with itself"):
        train_ppm(base, [pairs[0] | {"rejected": pairs[0]["chosen"]}], tmp_path / "ppm", FAST, 0)
    with pytest.raises(PonderosaError, match="must not be negative"):
        train_ppm(base, [pairs[0] | {"weight": -1.0}], tmp_path / "ppm", FAST, 0)
