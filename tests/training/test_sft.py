import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ponderosa.core import PonderosaError
from ponderosa.training import Progress, SFTSettings, read_record, train_sft

FAST = SFTSettings(
    epochs=100,
    batch_size=20,
    optimizer="muon",
    learning_rate=1e-2,
    muon_learning_rate=0.05,
    weight_decay=0,
    precision="float32",
    save_precision="float32",
)


@pytest.fixture(scope="module")
def trained(base: Path, trajectories: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("sft") / "policy"
    progress: list[Progress] = []
    report = train_sft(base, trajectories, out, FAST, seed=1, on_progress=progress.append)
    return out, report, progress


def test_training_memorises_twenty_rows(trained: Any, tokenizer: Any, trajectories: list[dict[str, str]]) -> None:
    out, report, progress = trained
    assert progress[0].loss == pytest.approx(math.log(len(tokenizer)), rel=0.05)  # a random model knows nothing
    assert report.loss_end < 0.2

    model: Any = AutoModelForCausalLM.from_pretrained(out)
    for row in trajectories[::5]:
        code, _, _ = row["response"].partition("\n<output>")
        prompt = tokenizer(row["prompt"], return_tensors="pt")
        generated = model.generate(**prompt, do_sample=False, max_new_tokens=len(tokenizer(code)["input_ids"]))
        assert tokenizer.decode(generated[0]) == row["prompt"] + code


def test_the_model_learns_to_end_its_text(trained: Any, trajectories: list[dict[str, str]]) -> None:
    out, _, _ = trained
    model = AutoModelForCausalLM.from_pretrained(out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    ids = tokenizer(trajectories[3]["prompt"] + trajectories[3]["response"], return_tensors="pt")
    assert model(**ids).logits[0, -1].argmax() == tokenizer.eos_token_id


def test_the_executors_output_is_not_learned(trained: Any, trajectories: list[dict[str, str]]) -> None:
    out, _, _ = trained
    model = AutoModelForCausalLM.from_pretrained(out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    row = trajectories[7]
    code, _, _ = row["response"].partition("\n<output>")
    with torch.no_grad():
        logits = model(**tokenizer(row["prompt"] + code + "\n", return_tensors="pt")).logits[0, -1]
    probability = logits.softmax(-1)[tokenizer.convert_tokens_to_ids("<output>")]
    assert probability < 0.5


def test_the_report_counts_what_was_trained(trained: Any, tokenizer: Any, trajectories: list[dict[str, str]]) -> None:
    _, report, _ = trained
    tokens = sum(len(tokenizer(row["prompt"] + row["response"])["input_ids"]) + 1 for row in trajectories)
    assert (report.rows, report.too_long, report.steps) == (20, 0, 100)
    assert report.tokens == 100 * tokens


def test_progress_is_told_at_every_step(trained: Any) -> None:
    _, report, progress = trained
    assert [p.step for p in progress] == list(range(1, 101))
    assert {p.steps for p in progress} == {100}
    assert progress[-1].seconds_left == 0
    assert progress[-1].tokens == report.tokens
    assert all(math.isfinite(p.loss) and p.tokens_per_s > 0 for p in progress)


def test_the_checkpoint_holds_model_tokenizer_and_record_only(trained: Any, base: Path) -> None:
    out, report, _ = trained
    assert {file.name for file in out.iterdir()} == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "training.json",
    }
    assert [file.name for file in out.parent.iterdir()] == ["policy"]
    record = read_record(out)
    assert record["kind"] == "sft"
    assert record["start"] == str(base)
    assert record["report"]["loss_end"] == report.loss_end
    assert SFTSettings(**record["settings"]) == FAST


def test_the_same_seed_gives_the_same_model(base: Path, trajectories: list[dict[str, str]], tmp_path: Path) -> None:
    settings = FAST.model_copy(update={"epochs": 2, "batch_size": 4})
    losses = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        losses[name] = train_sft(base, trajectories, tmp_path / name, settings, seed).loss_end
    assert losses["a"] == losses["b"] != losses["c"]


def test_a_checkpoint_in_half_precision_is_half_as_large(
    base: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    settings = FAST.model_copy(update={"epochs": 1, "precision": "bfloat16", "save_precision": "bfloat16"})
    train_sft(base, trajectories, tmp_path / "half", settings, 0)

    model = AutoModelForCausalLM.from_pretrained(tmp_path / "half")
    assert model.dtype == torch.bfloat16
    assert json.loads((tmp_path / "half" / "config.json").read_text())["dtype"] == "bfloat16"
    parameters = sum(p.numel() for p in model.parameters())  # tied weights count once
    assert (tmp_path / "half" / "model.safetensors").stat().st_size < 2 * parameters + 8192


def test_rows_that_are_too_long_are_left_out_and_counted(
    base: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    long = {"prompt": "Q:", "response": "x" * 300}
    settings = FAST.model_copy(update={"epochs": 1, "max_length": 200})
    report = train_sft(base, [*trajectories, long], tmp_path / "out", settings, 0)
    assert (report.rows, report.too_long) == (20, 1)

    with pytest.raises(PonderosaError, match="all 1 trajectories exceed `max_length` 200"):
        train_sft(base, [long], tmp_path / "other", settings, 0)


def test_no_data_is_an_error_that_says_so(base: Path, tmp_path: Path) -> None:
    with pytest.raises(PonderosaError, match="no trajectories to train"):
        train_sft(base, [], tmp_path / "out", FAST, 0)


def test_a_missing_checkpoint_is_named(trajectories: list[dict[str, str]], tmp_path: Path) -> None:
    with pytest.raises(PonderosaError, match=r"there is no checkpoint at .*nowhere"):
        train_sft(tmp_path / "nowhere", trajectories, tmp_path / "out", FAST, 0)


def test_a_checkpoint_without_weights_is_named(
    tokenizer: Any, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path / "hollow")
    with pytest.raises(PonderosaError, match=r"cannot load the checkpoint .*hollow"):
        train_sft(tmp_path / "hollow", trajectories, tmp_path / "out", FAST, 0)


def test_a_trained_model_is_never_overwritten(trained: Any, base: Path, trajectories: list[dict[str, str]]) -> None:
    out, _, _ = trained
    before = (out / "model.safetensors").read_bytes()
    with pytest.raises(PonderosaError, match="exists already"):
        train_sft(base, trajectories, out, FAST, 0)
    assert (out / "model.safetensors").read_bytes() == before


def test_a_loss_that_diverges_names_the_step_and_what_to_try(
    base: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    settings = FAST.model_copy(update={"optimizer": "adamw", "learning_rate": 1e38, "schedule": "constant"})
    with pytest.raises(PonderosaError, match=r"the loss is nan at step \d+ of 100.*lower `learning_rate`"):
        train_sft(base, trajectories, tmp_path / "out", settings, 0)
    assert list(tmp_path.iterdir()) == []


def test_training_is_silent(
    base: Path, trajectories: list[dict[str, str]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train_sft(base, trajectories, tmp_path / "out", FAST.model_copy(update={"epochs": 2}), 0)
    assert capfd.readouterr() == ("", "")
