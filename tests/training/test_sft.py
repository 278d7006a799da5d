import json
import math
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, LlamaForSequenceClassification

from ponderosa.core import PonderosaError
from ponderosa.training import Progress, SFTSettings, read_record, train_sft
from ponderosa.training.checkpoint import staging
from ponderosa.training.encoding import IGNORED, encode_responses
from ponderosa.training.rows import split

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


def test_the_checkpoint_holds_model_tokenizer_card_record_and_metrics_only(trained: Any, base: Path) -> None:
    out, report, _ = trained
    assert {file.name for file in out.iterdir()} == {
        "README.md",
        "config.json",
        "generation_config.json",
        "metrics",
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

    with pytest.raises(PonderosaError, match="of 1, 0 have no response and 1 exceed `max_length` 200"):
        train_sft(base, [long], tmp_path / "other", settings, 0)


def test_max_steps_are_not_exceeded_where_the_last_batch_is_not_full(
    base: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    """20 rows are three steps of 8 an epoch, and one of 100."""
    for batch in (8, 100):
        settings = SFTSettings(epochs=50, max_steps=5, batch_size=batch, micro_batch_size=50)
        assert train_sft(base, trajectories, tmp_path / str(batch), settings, 0).steps == 5
    settings = SFTSettings(epochs=1, max_steps=5, batch_size=8)
    assert train_sft(base, trajectories, tmp_path / "epoch", settings, 0).steps == 3


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


def test_a_last_step_that_ruins_the_weights_is_seen_though_no_loss_tells(
    base: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    ruinous = {"optimizer": "adamw", "learning_rate": 1e30, "schedule": "constant", "max_steps": 1}
    with pytest.raises(PonderosaError, match=r"a weight of \S+ is 1e\+30 after the last step: training diverged"):
        train_sft(base, trajectories, tmp_path / "out", FAST.model_copy(update=ruinous), 0)
    assert list(tmp_path.iterdir()) == []


def test_one_step_learns_though_there_is_a_warm_up(
    base: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    train_sft(base, trajectories, tmp_path / "out", FAST.model_copy(update={"max_steps": 1, "warmup": 0.1}), 0)
    before, after = (load_file(folder / "model.safetensors") for folder in (base, tmp_path / "out"))
    assert any(not torch.equal(before[name].to(after[name].dtype), after[name]) for name in after)


def test_a_reward_model_is_no_policy(base: Path, trajectories: list[dict[str, str]], tmp_path: Path) -> None:
    LlamaForSequenceClassification(AutoConfig.from_pretrained(base, num_labels=1)).save_pretrained(tmp_path / "ppm")
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "ppm")
    with pytest.raises(PonderosaError, match=r"ppm is a reward model \(Llama\w+\).*name a policy"):
        train_sft(tmp_path / "ppm", trajectories, tmp_path / "out", FAST, 0)


def test_rows_that_are_no_json_are_named_by_their_line(base: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "response": "b"}\n\n{"prompt": "a\n')
    with pytest.raises(PonderosaError, match=r"rows\.jsonl, line 3 is not JSON: Unterminated"):
        train_sft(base, tmp_path / "rows.jsonl", tmp_path / "out", FAST, 0)


def test_training_is_silent(
    base: Path, trajectories: list[dict[str, str]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train_sft(base, trajectories, tmp_path / "out", FAST.model_copy(update={"epochs": 2}), 0)
    assert capfd.readouterr() == ("", "")


def test_packed_rows_are_learned_as_they_are_alone(
    base: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    """All rows are in every step; neither attention nor positions nor the loss may tell that they share sequences."""
    losses: dict[str, list[float]] = {}
    for name, more in {
        "alone": {},
        "eager": {"packing": 128, "attention": "eager"},
        "sdpa": {"packing": 128, "micro_batch_size": 3},
        "all in one": {"packing": 4096},
    }.items():
        settings = FAST.model_copy(update={"epochs": 3, "optimizer": "adamw", "learning_rate": 1e-3, **more})
        told: list[Progress] = []
        report = train_sft(base, trajectories, tmp_path / name, settings, 0, told.append)
        losses[name] = [p.loss for p in told]
        assert (report.rows, report.steps) == (20, 3)
        assert told[-1].tokens == report.tokens
        losses[name].append(report.tokens)
    for name in ("eager", "sdpa", "all in one"):
        assert losses[name] == pytest.approx(losses["alone"], rel=1e-4)


def test_held_out_rows_are_judged_by_their_tokens(
    base: Path, trajectories: list[dict[str, str]], tokenizer: Any, tmp_path: Path
) -> None:
    settings = FAST.model_copy(update={"epochs": 1, "held_out": 0.1, "packing": 100, "micro_batch_size": 2})
    extra = [{"prompt": "Other:", "response": "x = 1"}]
    empty = {"prompt": "Other:", "response": " "}
    report = train_sft(base, [*trajectories, empty], tmp_path / "out", settings, 0, held_out=extra)
    assert (report.rows + report.held_out, report.empty) == (21, 1)
    assert report.kept == report.evaluations[-1]

    _, held = split([*trajectories, empty], 0.1, itemgetter("prompt"))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    loss, right, count = 0.0, 0, 0
    rows = [row for row in [*held, *extra] if row["response"].strip()]
    for ids, labels in encode_responses(tokenizer, [r["prompt"] for r in rows], [r["response"] for r in rows]):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0, :-1]
        for predicted, label in zip(logits.log_softmax(-1), labels[1:], strict=True):
            if label != IGNORED:
                loss, right, count = loss - float(predicted[label]), right + int(predicted.argmax() == label), count + 1
    assert report.held_out == len(rows)
    assert report.kept.loss == pytest.approx(loss / count, rel=1e-4)
    assert report.kept.accuracy == pytest.approx(right / count)


def test_rows_without_a_response_are_left_out_and_a_data_set_of_them_is_an_error(base: Path, tmp_path: Path) -> None:
    with pytest.raises(PonderosaError, match="of 1, 1 have no response and 0 exceed"):
        train_sft(base, [{"prompt": "Q:", "response": ""}], tmp_path / "out", FAST, 0)


def test_only_one_process_trains_into_a_folder(base: Path, trajectories: list[dict[str, str]], tmp_path: Path) -> None:
    with staging(tmp_path / "out", main=True):
        with pytest.raises(PonderosaError, match=r"another process is training into .*out: wait for it"):
            train_sft(base, trajectories, tmp_path / "out", FAST, 0)


def test_a_folder_that_cannot_be_written_is_named(
    base: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PonderosaError, match=r"cannot write the checkpoint .*Not a directory"):
        train_sft(base, trajectories, tmp_path / "file" / "out", FAST, 0)
