import math
import shutil
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import log_softmax
from transformers import AutoModelForCausalLM, AutoTokenizer

from ponderosa.core import PonderosaError
from ponderosa.training import Progress, SFTSettings, read_record, train_sft
from ponderosa.training.distillation import DistillationSettings, train_distillation
from ponderosa.training.encoding import encode_responses
from ponderosa.training.rows import split

FAST = DistillationSettings(
    epochs=60,
    batch_size=20,
    optimizer="muon",
    learning_rate=1e-2,
    muon_learning_rate=0.05,
    weight_decay=0,
    precision="float32",
    save_precision="float32",
)


@pytest.fixture(scope="module")
def teacher(base: Path, trajectories: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows the trajectories."""
    out = tmp_path_factory.mktemp("teacher") / "policy"
    train_sft(base, trajectories, out, SFTSettings(**FAST.model_dump(exclude={"beta", "softness"})), seed=1)
    return out


def divergence(student: Path, teacher: Path, rows: list[dict[str, str]], beta: float, softness: float = 1.0) -> float:
    """GKD's equation 1, from whole logits: the mean over all tokens that the policy wrote."""
    tokenizer = AutoTokenizer.from_pretrained(student)
    models = [AutoModelForCausalLM.from_pretrained(path) for path in (student, teacher)]
    total, count = 0.0, 0
    for ids, labels in encode_responses(tokenizer, [r["prompt"] for r in rows], [r["response"] for r in rows]):
        with torch.no_grad():
            s, t = (log_softmax(model(torch.tensor([ids])).logits[0].double() / softness, -1) for model in models)
        if beta in (0, 1):
            p, q = (t, s) if beta == 0 else (s, t)
            each = (p.exp() * (p - q)).sum(-1)
        else:
            m = (beta * t.exp() + (1 - beta) * s.exp()).log()
            each = beta * (t.exp() * (t - m)).sum(-1) + (1 - beta) * (s.exp() * (s - m)).sum(-1)
        learned = [i - 1 for i, label in enumerate(labels) if label != -100]
        total += float(each[learned].sum())
        count += len(learned)
    return total / count


@pytest.mark.parametrize(("beta", "softness"), [(0.0, 1.0), (1.0, 1.0), (0.5, 1.0), (0.0, 2.0)])
def test_the_loss_is_the_divergence_of_the_distributions(
    base: Path, teacher: Path, trajectories: list[dict[str, str]], tmp_path: Path, beta: float, softness: float
) -> None:
    progress: list[Progress] = []
    settings = FAST.model_copy(update={"epochs": 1, "beta": beta, "softness": softness, "micro_batch_size": 7})
    train_distillation(base, teacher, trajectories, tmp_path / "out", settings, 0, progress.append)
    assert progress[0].loss == pytest.approx(divergence(base, teacher, trajectories, beta, softness), rel=1e-3)


@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_held_out_prompts_judge_the_student_by_its_divergence(
    base: Path, teacher: Path, trajectories: list[dict[str, str]], tmp_path: Path, beta: float
) -> None:
    more = {"epochs": 4, "batch_size": 8, "micro_batch_size": 2, "held_out": 0.2, "evaluations": 1, "beta": beta}
    report = train_distillation(base, teacher, trajectories, tmp_path / "out", FAST.model_copy(update=more), 0)
    learned, held_out = split(trajectories, 0.2, itemgetter("prompt"))
    assert (report.rows, report.held_out, len(report.evaluations)) == (len(learned), len(held_out), 4)
    assert report.kept == report.evaluations[-1]
    assert report.kept.accuracy is None
    assert report.kept.loss == pytest.approx(divergence(tmp_path / "out", teacher, held_out, beta), rel=1e-3)
    assert report.kept.loss < report.evaluations[0].loss


def test_the_best_student_is_kept(
    base: Path, teacher: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    """So large steps that it gets worse before the end."""
    wild = {"optimizer": "adamw", "learning_rate": 0.3, "schedule": "constant", "epochs": 3, "batch_size": 16}
    settings = FAST.model_copy(update=wild | {"held_out": 0.2, "keep_best": True})
    report = train_distillation(base, teacher, trajectories, tmp_path / "out", settings, 0)
    _, held_out = split(trajectories, 0.2, itemgetter("prompt"))
    assert report.kept == min(report.evaluations, key=lambda one: one.loss)
    assert report.kept.step < report.steps
    assert report.kept.loss == pytest.approx(divergence(tmp_path / "out", teacher, held_out, 0.0), rel=1e-3)


def test_the_student_comes_to_write_as_the_teacher_does(
    base: Path, teacher: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    report = train_distillation(base, teacher, trajectories, tmp_path / "out", FAST, 0)
    assert report.loss_end < 0.1 * report.loss_start
    assert divergence(tmp_path / "out", teacher, trajectories, 0.0) < 0.1 * divergence(base, teacher, trajectories, 0.0)


def test_the_report_counts_what_was_trained(
    base: Path, teacher: Path, tokenizer: Any, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    long = {"prompt": "Q:", "response": "x" * 300}
    settings = FAST.model_copy(update={"epochs": 3, "max_length": 200, "batch_size": 10})
    report = train_distillation(base, teacher, [*trajectories, long], tmp_path / "out", settings, 2)
    tokens = sum(len(tokenizer(row["prompt"] + row["response"])["input_ids"]) + 1 for row in trajectories)
    assert (report.rows, report.too_long, report.steps, report.tokens) == (20, 1, 6, 3 * tokens)
    record = read_record(tmp_path / "out")
    assert (record["kind"], record["start"], record["teacher"]) == ("distillation", str(base), str(teacher))
    assert DistillationSettings(**record["settings"]) == settings
    assert "rows" not in record  # they were in memory


def test_fewer_rows_than_a_batch_train_too(
    base: Path, teacher: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    settings = FAST.model_copy(update={"epochs": 2, "batch_size": 32})
    report = train_distillation(base, teacher, trajectories[:3], tmp_path / "out", settings, 0)
    assert (report.rows, report.steps) == (3, 2)
    assert math.isfinite(report.loss_end)


def test_a_teacher_with_another_vocabulary_is_an_error_that_says_what_to_do(
    base: Path, tokenizer: Any, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    other = AutoTokenizer.from_pretrained(base)
    other.add_tokens(["another"])
    AutoModelForCausalLM.from_pretrained(base).save_pretrained(tmp_path / "other")
    other.save_pretrained(tmp_path / "other")
    with pytest.raises(PonderosaError, match=r"has another tokenizer than .*train on its trajectories alone"):
        train_distillation(base, tmp_path / "other", trajectories, tmp_path / "out", FAST, 0)

    wider = AutoModelForCausalLM.from_pretrained(base)
    wider.resize_token_embeddings(len(tokenizer) + 8)
    wider.save_pretrained(tmp_path / "wider")
    tokenizer.save_pretrained(tmp_path / "wider")
    with pytest.raises(PonderosaError, match=f"a vocabulary of {len(tokenizer) + 8} and .* one of {len(tokenizer)}"):
        train_distillation(base, tmp_path / "wider", trajectories, tmp_path / "out", FAST, 0)
    assert not (tmp_path / "out").exists()


def test_nothing_to_learn_is_an_error_that_says_why(
    base: Path, teacher: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    with pytest.raises(PonderosaError, match="no trajectories to distil"):
        train_distillation(base, teacher, [], tmp_path / "out", FAST, 0)
    settings = FAST.model_copy(update={"max_length": 5})
    with pytest.raises(PonderosaError, match="of 20, 0 have no response and 20 exceed `max_length` 5"):
        train_distillation(base, teacher, trajectories, tmp_path / "out", settings, 0)
    with pytest.raises(PonderosaError, match=r"there is no checkpoint at .*nowhere"):
        train_distillation(base, tmp_path / "nowhere", trajectories, tmp_path / "out", FAST, 0)


def test_a_teacher_without_weights_is_named(
    base: Path, teacher: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    hollow = tmp_path / "hollow"
    shutil.copytree(teacher, hollow)
    (hollow / "model.safetensors").unlink()
    with pytest.raises(PonderosaError, match=r"cannot load the checkpoint .*hollow"):
        train_distillation(base, hollow, trajectories, tmp_path / "out", FAST, 0)


def test_a_loss_that_diverges_leaves_nothing(
    base: Path, teacher: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    settings = FAST.model_copy(update={"optimizer": "adamw", "learning_rate": 1e38, "schedule": "constant"})
    with pytest.raises(PonderosaError, match=r"the loss is nan at step \d+"):
        train_distillation(base, teacher, trajectories, tmp_path / "out", settings, 0)
    assert list(tmp_path.iterdir()) == []
