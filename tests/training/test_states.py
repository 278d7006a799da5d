import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from test_launch import cancelled
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from ponderosa.core import PonderosaError
from ponderosa.training import (
    DistillationSettings,
    Launcher,
    LoRASettings,
    PPMSettings,
    Progress,
    SFTSettings,
    train_distillation,
    train_ppm,
    train_sft,
)

FAST: dict[str, Any] = {
    "epochs": 4,
    "batch_size": 8,
    "micro_batch_size": 4,
    "learning_rate": 1e-2,
    "precision": "float32",
    "save_precision": "float32",
    "save_steps": 3,
    "held_out": 0.2,
    "keep_best": True,
    "evaluations": 2,
}


class Killed(BaseException):
    """What a training does not expect."""


def kill_at(step: int) -> Any:
    def on_progress(progress: Progress) -> None:
        if progress.step == step:
            raise Killed

    return on_progress


@pytest.mark.parametrize(
    "more",
    [{}, {"optimizer": "muon"}, {"packing": 200}, {"lora": LoRASettings(rank=4, dropout=0.2)}],
    ids=["adamw", "muon", "packed", "lora with dropout"],
)
def test_a_killed_training_goes_on_and_ends_as_if_it_had_not_been(
    more: dict[str, Any], base: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    settings = SFTSettings(**FAST | more)
    whole = train_sft(base, trajectories, tmp_path / "whole", settings, 5)
    for step in (2, 5, 7):  # before anything is saved, after step 3, after step 6
        with pytest.raises(Killed):
            train_sft(base, trajectories, tmp_path / "killed", settings, 5, kill_at(step))
        assert (tmp_path / ".killed.partial").exists() is (step > 2)
    seen: list[Progress] = []
    report = train_sft(base, trajectories, tmp_path / "killed", settings, 5, seen.append)

    assert [p.step for p in seen] == [7, 8]
    assert (report.steps, report.tokens) == (whole.steps, whole.tokens)
    assert (report.loss_start, report.loss_end) == (whole.loss_start, whole.loss_end)
    assert (report.evaluations, report.kept) == (whole.evaluations, whole.kept)
    first, second = (AutoModelForCausalLM.from_pretrained(tmp_path / name).state_dict() for name in ("whole", "killed"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert {path.name for path in tmp_path.iterdir()} == {"whole", "killed"}


def test_a_killed_training_of_a_ppm_goes_on_too(base: Path, pairs: list[dict[str, Any]], tmp_path: Path) -> None:
    settings = PPMSettings(**FAST | {"batch_size": 4})
    whole = train_ppm(base, pairs, tmp_path / "whole", settings, 5)
    with pytest.raises(Killed):
        train_ppm(base, pairs, tmp_path / "killed", settings, 5, kill_at(11))
    report = train_ppm(base, pairs, tmp_path / "killed", settings, 5)
    assert report.evaluations == whole.evaluations
    assert report.kept == whole.kept
    first, second = (
        AutoModelForSequenceClassification.from_pretrained(tmp_path / name).state_dict() for name in ("whole", "killed")
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("other", ["rows", "seed", "settings"])
def test_another_training_begins_anew(
    other: str, base: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    settings = SFTSettings(**FAST)
    with pytest.raises(Killed):
        train_sft(base, trajectories, tmp_path / "out", settings, 5, kill_at(5))
    seen: list[Progress] = []
    rows = [*trajectories[1:], trajectories[0]] if other == "rows" else trajectories
    if other == "settings":
        settings = settings.model_copy(update={"learning_rate": 2e-2})
    train_sft(base, rows, tmp_path / "out", settings, 6 if other == "seed" else 5, seen.append)
    assert seen[0].step == 1


def test_when_it_saves_and_whom_it_tells_make_no_other_training(
    base: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        train_sft(base, trajectories, tmp_path / "out", SFTSettings(**FAST), 5, kill_at(5))
    seen: list[Progress] = []
    settings = SFTSettings(**FAST | {"save_steps": 0, "save_minutes": 1, "report_to": ()})
    train_sft(base, trajectories, tmp_path / "out", settings, 5, seen.append)
    assert seen[0].step == 4


def test_a_state_that_is_not_whole_is_not_gone_on_from(
    base: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    settings = SFTSettings(**FAST)
    with pytest.raises(Killed):
        train_sft(base, trajectories, tmp_path / "out", settings, 5, kill_at(5))
    half = tmp_path / ".out.partial" / "scratch" / "checkpoint-6"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    seen: list[Progress] = []
    train_sft(base, trajectories, tmp_path / "out", settings, 5, seen.append)
    assert seen[0].step == 4


def test_a_state_that_is_damaged_is_an_error_that_names_it(
    base: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        train_sft(base, trajectories, tmp_path / "out", SFTSettings(**FAST), 5, kill_at(5))
    state = tmp_path / ".out.partial" / "scratch" / "checkpoint-3"
    (state / "optimizer.pt").write_bytes((state / "optimizer.pt").read_bytes()[:100])
    with pytest.raises(PonderosaError, match=r"saved state .*checkpoint-3 cannot be read.*remove it to begin anew"):
        train_sft(base, trajectories, tmp_path / "out", SFTSettings(**FAST), 5)
    shutil.rmtree(state)
    seen: list[Progress] = []
    train_sft(base, trajectories, tmp_path / "out", SFTSettings(**FAST), 5, seen.append)
    assert seen[0].step == 1


def test_a_state_is_saved_when_its_minutes_have_passed(
    base: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    settings = SFTSettings(**FAST | {"save_steps": 0, "save_minutes": 1e-9})
    with pytest.raises(Killed):
        train_sft(base, trajectories, tmp_path / "out", settings, 5, kill_at(3))
    assert [path.name for path in (tmp_path / ".out.partial" / "scratch").glob("checkpoint-*")] == ["checkpoint-2"]


def test_metrics_of_a_training_that_went_on_are_in_one_folder(
    base: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.raises(Killed):
        train_sft(base, trajectories, tmp_path / "out", SFTSettings(**FAST), 5, kill_at(5))
    report = train_sft(base, trajectories, tmp_path / "out", SFTSettings(**FAST), 5)
    events = EventAccumulator(str(tmp_path / "out" / "metrics"))
    events.Reload()
    names = {"train/loss", "train/learning_rate", "train/grad_norm", "train/tokens_per_s", "eval/loss", "eval/accuracy"}
    assert names <= set(events.Tags()["scalars"])
    assert {event.step for event in events.Scalars("train/loss")} == set(range(1, 9))
    assert events.Scalars("eval/loss")[-1].value == pytest.approx(report.evaluations[-1].loss)


@pytest.fixture(scope="module")
def teacher(base: Path, trajectories: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("teacher") / "policy"
    train_sft(base, trajectories, out, SFTSettings(**FAST | {"save_steps": 0}), seed=1)
    return out


def test_a_killed_distillation_goes_on_too(
    base: Path, teacher: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    settings = DistillationSettings(**FAST)
    whole = train_distillation(base, teacher, trajectories, tmp_path / "whole", settings, 5)
    with pytest.raises(Killed):
        train_distillation(base, teacher, trajectories, tmp_path / "killed", settings, 5, kill_at(7))
    seen: list[Progress] = []
    report = train_distillation(base, teacher, trajectories, tmp_path / "killed", settings, 5, seen.append)
    assert [p.step for p in seen] == [7, 8]
    assert (report.steps, report.tokens) == (whole.steps, whole.tokens)
    assert (report.loss_start, report.loss_end) == (whole.loss_start, whole.loss_end)
    assert (report.evaluations, report.kept) == (whole.evaluations, whole.kept)
    first, second = (AutoModelForCausalLM.from_pretrained(tmp_path / name).state_dict() for name in ("whole", "killed"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_distillation_does_not_go_on_with_another_teacher(
    base: Path, teacher: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    settings = DistillationSettings(**FAST)
    wise = tmp_path / "wise"
    shutil.copytree(teacher, wise)
    with pytest.raises(Killed):
        train_distillation(base, wise, trajectories, tmp_path / "out", settings, 5, kill_at(7))
    shutil.rmtree(wise)
    shutil.copytree(base, wise)
    seen: list[Progress] = []
    train_distillation(base, wise, trajectories, tmp_path / "out", settings, 5, seen.append)
    assert seen[0].step == 1


@pytest.mark.slow
async def test_processes_go_on_in_the_middle_of_an_epoch_as_if_nothing_had_been(
    base: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("\n".join(map(json.dumps, trajectories)), encoding="utf-8")
    settings = FAST | {"batch_size": 4, "micro_batch_size": 2, "held_out": 0.0, "keep_best": False}
    job = {"kind": "sft", "start": str(base), "rows": str(rows), "seed": 5, "settings": settings}
    async with Launcher(processes=2) as launcher:
        await launcher.run(job | {"out": str(tmp_path / "whole")})  # five steps an epoch
        stopped = await cancelled(launcher, job | {"out": str(tmp_path / "killed")}, 8)
        seen: list[int] = []
        await launcher.run(job | {"out": str(tmp_path / "killed")}, lambda p: seen.append(p.step))
    assert seen[0] == stopped[-1].step + 1
    first, second = (AutoModelForCausalLM.from_pretrained(tmp_path / name).state_dict() for name in ("whole", "killed"))
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)
