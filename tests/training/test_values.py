import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from ponderosa.core import PonderosaError
from ponderosa.training import ValueSettings, read_record, run_job, train_values
from ponderosa.training.reward_trainers import value_loss
from ponderosa.training.rows import split

FAST = ValueSettings(
    epochs=20,
    batch_size=8,
    learning_rate=1e-2,
    weight_decay=0,
    held_out=0.2,
    precision="float32",
    save_precision="float32",
)


def row(i: int, letters: str, targets: list[float | None]) -> dict[str, Any]:
    """A solution of the i-th problem with a step for each letter."""
    steps = [f"{letter}{i}<end_of_step>" for letter in letters]
    return {"prompt": f"Q{i}:", "steps": steps, "targets": targets, "problem_id": str(i)}


def values(checkpoint: Path, texts: list[str]) -> list[float]:
    """The scores of texts, one at a time, as an outsider computes them."""
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint).eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    with torch.no_grad():
        logits = [model(**tokenizer(text, return_tensors="pt")).logits[0, 0] for text in texts]
    return [math.tanh(float(logit) / model.config.reward_scale) for logit in logits]


STEPS = [row(i, "ab", [1.0, 0.2]) if i % 2 else row(i, "zc", [-1.0, -0.6]) for i in range(40)]
"""Steps by letter: a is worth 1, b 0.2, z -1, c -0.6."""


@pytest.mark.parametrize("loss", ["cross_entropy", "squares"])
def test_steps_come_to_be_worth_their_targets_also_where_held_out(base: Path, tmp_path: Path, loss: str) -> None:
    report = train_values(base, STEPS, tmp_path / "prm", FAST.model_copy(update={"loss": loss, "epochs": 40}), 0)
    assert (report.rows, report.labels, report.held_out) == (32, 64, 8)
    trained, _ = split(range(40), FAST.held_out, str)
    assert report.positive == 2 * sum(i % 2 for i in trained)
    assert report.kept is not None
    assert report.kept.accuracy == 1.0
    found = values(tmp_path / "prm", ["Q3:a3<end_of_step>", "Q3:a3<end_of_step>b3<end_of_step>"])
    found += values(tmp_path / "prm", ["Q4:z4<end_of_step>", "Q4:z4<end_of_step>c4<end_of_step>"])
    assert found == pytest.approx([1.0, 0.2, -1.0, -0.6], abs=0.15)


def test_contradicting_labels_are_worth_their_mean(base: Path, tmp_path: Path) -> None:
    rows = [row(i, "a", [target]) for i in range(8) for target in (1.0, 1.0, 1.0, -1.0)]
    train_values(base, rows, tmp_path / "prm", FAST.model_copy(update={"held_out": 0.0, "epochs": 40}), 0)
    assert values(tmp_path / "prm", ["Q3:a3<end_of_step>"]) == pytest.approx([0.5], abs=0.1)  # p = 3 / 4


def test_a_target_is_learned_where_the_settings_say(base: Path, tmp_path: Path) -> None:
    rows = [row(i, "xy" if i % 2 else "xn", [None, 1.0 if i % 2 else -1.0]) for i in range(16)]
    labels = {}
    for where in ("steps", "tokens"):
        settings = FAST.model_copy(update={"labels": where, "epochs": 1, "held_out": 0.0})
        labels[where] = train_values(base, rows, tmp_path / where, settings, 0).labels
    tokenizer = AutoTokenizer.from_pretrained(base)
    assert labels == {
        "steps": 16,
        "tokens": sum(len(tokenizer(row["steps"][1])["input_ids"]) for row in rows),
    }


def test_a_step_that_leads_to_both_is_a_forecast_of_the_outcome(base: Path, tmp_path: Path) -> None:
    rows = [row(i, f"x{end}", [1.0 if end == "y" else -1.0] * 2) for i in range(8) for end in "yyyn"]
    settings = FAST.model_copy(update={"held_out": 0.0, "epochs": 60})
    train_values(base, rows, tmp_path / "orm", settings, 0)
    x = "Q3:x3<end_of_step>"
    found = values(tmp_path / "orm", [x, f"{x}y3<end_of_step>", f"{x}n3<end_of_step>"])
    assert found == pytest.approx([0.5, 1.0, -1.0], abs=0.15)


@pytest.mark.parametrize("scale", [1.0, 2.0, 5.0])
def test_the_losses_are_those_of_the_score(scale: float) -> None:
    logits, targets = torch.tensor([-1.0, 0.0, 3.0]), torch.tensor([-1.0, 0.5, 0.2])
    p = [(math.tanh(logit / scale) + 1) / 2 for logit in logits.tolist()]
    q = [(target + 1) / 2 for target in targets.tolist()]
    entropy = [-b * math.log(a) - (1 - b) * math.log(1 - a) for a, b in zip(p, q, strict=True)]
    squares = [4 * (a - b) ** 2 for a, b in zip(p, q, strict=True)]
    assert value_loss(logits, targets, ValueSettings(scale=scale)).tolist() == pytest.approx(entropy, abs=1e-5)
    of_squares = ValueSettings(scale=scale, loss="squares")
    assert value_loss(logits, targets, of_squares).tolist() == pytest.approx(squares, abs=1e-5)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "of 0, 0 have no target and 0 exceed"),
        ([row(0, "a", [None])], "of 1, 1 have no target"),
        ([row(0, "a" * 300, [1.0] * 300)], "1 exceed `max_length` 200"),
        ([row(i, "a", [1.0]) for i in range(4)], "all 3 labels say right: .* one class; search harder problems"),
        ([row(i, "a", [-1.0]) for i in range(4)], "all 3 labels say wrong: .* one class; search easier problems"),
        ([row(i, "a", [0.5]) for i in range(4)], "all 3 targets are 0.5"),
        ([row(0, "ab", [1.0])], "row 1 has 2 steps and 1 targets"),
        ([row(0, "a", [1.0]), row(1, "a", [1.5])], "row 2: a target is a number from -1 to 1 or none, not 1.5"),
        ([row(0, "a", [math.nan])], "row 1: a target is a number"),
        ([row(0, "a", [True])], "not True"),
        ([row(0, "a", [1.0]) | {"steps": [3]}], "a step is a text, not 3"),
        ([row(0, "a", [1.0]) | {"steps": "a"}], "`steps` must be a list"),
    ],
)
def test_bad_data_is_an_error_that_says_why(
    base: Path, tmp_path: Path, rows: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(PonderosaError, match=message):
        train_values(base, rows, tmp_path / "prm", FAST.model_copy(update={"max_length": 200}), 0)
    assert not (tmp_path / "prm").exists()


def test_a_loss_that_diverges_is_an_error_that_says_what_to_try(base: Path, tmp_path: Path) -> None:
    settings = FAST.model_copy(update={"learning_rate": 1e30, "loss": "squares", "max_grad_norm": 1e30})
    with pytest.raises(PonderosaError, match="training diverged; lower `learning_rate`"):
        train_values(base, STEPS, tmp_path / "prm", settings, 0)
    assert not (tmp_path / "prm").exists()


def test_long_and_unlabelled_solutions_are_left_out_and_counted(base: Path, tmp_path: Path) -> None:
    rows = [*STEPS, row(50, "a" * 300, [1.0] * 300), row(51, "ab", [None, None])]
    rows.append({"prompt": "Q52:", "steps": [""], "targets": [1.0], "problem_id": "52"})  # nowhere to read a value
    report = train_values(base, rows, tmp_path / "prm", FAST.model_copy(update={"epochs": 1, "max_length": 100}), 0)
    assert (report.rows + report.held_out, report.too_long, report.unlabelled) == (40, 1, 2)
    assert read_record(tmp_path / "prm")["report"]["too_long"] == 1


async def test_a_job_trains_in_a_process_of_its_own(base: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(one) + "\n" for one in STEPS))
    job = {"kind": "values", "start": str(base), "rows": [str(rows)], "out": str(tmp_path / "prm"), "seed": 0}
    report = await run_job(job | {"settings": {"epochs": 1, "batch_size": 8, "labels": "tokens"}})
    assert report["rows"] == 38
    assert (tmp_path / "prm" / "model.safetensors").exists()
