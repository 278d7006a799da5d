import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ponderosa.api.training import load_job, train
from ponderosa.core import PonderosaError
from ponderosa.training.ppm import PPMSettings


@pytest.fixture
def start(tmp_path: Path) -> str:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text("{}")
    return str(tmp_path / "base")


def test_a_job_is_read_from_a_file_and_changed(tmp_path: Path, start: str) -> None:
    file = tmp_path / "job.yaml"
    given = {"kind": "ppm", "start": start, "rows": ["a.jsonl", "b"], "out": "out", "processes": 2}
    file.write_text(yaml.safe_dump(given | {"launcher": {"accelerate": {"num_machines": 2}}}))
    job, processes, launcher = load_job(file, changes=["settings.lora.rank=8", "seed=4"])
    assert (job.kind, job.rows, job.seed, processes) == ("ppm", (Path("a.jsonl"), Path("b")), 4, 2)
    assert isinstance(job.settings, PPMSettings)
    assert job.settings.lora is not None
    assert job.settings.lora.rank == 8
    assert launcher.accelerate == {"num_machines": 2}


def test_a_kind_and_what_it_takes_are_enough(start: str) -> None:
    job, processes, launcher = load_job("sft", ["rows.jsonl"], start=start, out="out")
    assert (job.kind, job.rows, job.out, job.seed, processes) == ("sft", (Path("rows.jsonl"),), Path("out"), 0, 1)
    assert launcher.accelerate is None


def test_the_record_of_a_checkpoint_is_a_job(tmp_path: Path, start: str) -> None:
    record = {"kind": "sft", "start": start, "rows": ["r"], "seed": 9, "settings": {"epochs": 3}}
    more = {"report": {"steps": 1}, "run": {"round": 2}, "card": "1f"}
    (tmp_path / "training.json").write_text(json.dumps(record | more))
    job, _, _ = load_job(tmp_path / "training.json", out="again")
    assert (job.seed, job.settings.epochs, job.out) == (9, 3, Path("again"))


@pytest.mark.parametrize(
    ("job", "more", "message"),
    [
        ("none.yaml", {}, r"none\.yaml is neither a file nor a kind of training: sft, ppm"),
        ("sft", {"out": "o"}, "the job does not say `start`"),
        ({"kind": "sft", "start": "/nowhere", "rows": "r", "out": "o"}, {}, "there is no checkpoint at /nowhere"),
        ({"kind": "sft", "processes": 0}, {}, "`processes` must be a number from 1, not 0"),
    ],
)
def test_a_wrong_job_is_one_line(job: Any, more: dict[str, Any], message: str) -> None:
    with pytest.raises(PonderosaError, match=message) as raised:
        train(job, **more)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["settings.epoch=1"], r"not a training job: settings\.epoch: Extra inputs"),
        (["launcher.accelerat=1"], "launcher: unknown key `accelerat`"),
        (["kind=magic"], "not a training job: `kind` must be one of sft, ppm"),
        (["rows=null"], "the job does not say `rows`"),
        (["rows=3"], "not a training job: rows: Input is not a valid path"),
        (
            ["settings.learning_rate=.inf"],
            r"settings\.learning_rate: Input should be a finite number",
        ),
    ],
)
def test_a_wrong_setting_is_named(changes: list[str], message: str, start: str) -> None:
    with pytest.raises(PonderosaError, match=message):
        load_job("sft", ["r"], start=start, out="o", changes=changes)


def test_a_command_that_is_stopped_by_a_person_or_a_scheduler_goes_on_from_its_last_step(tmp_path: Path) -> None:
    rows = [{"prompt": f"Is {number} even?", "response": f"{number % 2 == 0}"} for number in range(64)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    settings = ["attention=eager", "batch_size=8", "micro_batch_size=8", "epochs=500", "learning_rate=1e-6"]
    command = [sys.executable, "-m", "ponderosa", "train", "sft", str(tmp_path / "rows.jsonl"), "--start", "sapling"]
    command += ["--out", str(tmp_path / "policy"), *(word for one in settings for word in ("--set", f"settings.{one}"))]
    saved: list[int] = []
    for kill in (signal.SIGINT, signal.SIGTERM):
        states = list((tmp_path / ".policy.partial" / "scratch").glob("checkpoint-*"))
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        seen = ""
        while "steps" not in seen:
            assert process.poll() is None, seen
            seen = process.stdout.readline()
        process.send_signal(kill)
        last, error = process.communicate(timeout=60)
        assert process.returncode == 130
        assert error == "ponderosa: stopped; what is finished is kept, and the same command goes on from there\n"
        assert "sft training: stopped, " in last
        (state,) = set((tmp_path / ".policy.partial" / "scratch").glob("checkpoint-*")) - set(states)
        assert (state / "saved.json").exists()
        saved.append(int(state.name.removeprefix("checkpoint-")))
        begun = int(seen.split("/")[0].rpartition(" ")[2].replace(",", ""))
        assert begun <= saved[-1]
        assert len(saved) == 1 or begun > saved[0]
    assert not (tmp_path / "policy").exists()
