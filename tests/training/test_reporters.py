"""What is told to wandb and trackio, of which there are stand-ins here that note how a run is begun."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ponderosa.training import Progress, SFTSettings, train_sft

FAST: dict[str, Any] = {"epochs": 2, "batch_size": 10, "precision": "float32", "save_steps": 2}

STUB = """
import json, os
from types import SimpleNamespace

run = None
config = type("Config", (dict,), {{"update": lambda self, *given, **more: None}})()
context_vars = SimpleNamespace(current_space_id=SimpleNamespace(get=lambda: None))

def init(**given):
    variables = {{name: value for name, value in os.environ.items() if name.startswith("WANDB_")}}
    with open({file!r}, "a") as file:
        print(json.dumps({{**given, **variables}}), file=file)

def log(*given, **more):
    pass

define_metric = finish = log
"""


WANDB = """
import sys
from types import ModuleType

for name in ("wandb.sdk", "wandb.sdk.lib", "wandb.sdk.lib.config_util"):
    sys.modules[name] = ModuleType(name)
sys.modules[name].ConfigError = RuntimeError
_noted = init

def init(**given):
    global run
    _noted(**given)
    run = SimpleNamespace(_label=log, summary={})
"""
"""What transformers asks of wandb beside."""


@pytest.fixture(params=["wandb", "trackio"])
def begun(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The reporter's name, and the runs that were begun."""
    file = tmp_path / "begun"
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / f"{request.param}.py").write_text(STUB.format(file=str(file)))
    if request.param == "wandb":
        with (tmp_path / "modules" / "wandb.py").open("a") as module:
            module.write(WANDB)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    yield request.param, lambda: [json.loads(line) for line in file.read_text().splitlines()]
    sys.modules.pop(request.param, None)


def train(name: str, base: Path, rows: Any, out: Path, on_progress: Any = None, **more: Any) -> None:
    train_sft(base, rows, out, SFTSettings(**FAST | more | {"report_to": (name,)}), 1, on_progress)
    sys.modules.pop(name, None)  # as in another process


def test_a_training_has_a_name_and_one_that_goes_on_the_same(
    begun: Any, base: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    class Killed(BaseException):
        pass

    def kill(progress: Progress) -> None:
        if progress.step == 3:
            raise Killed

    name, runs = begun
    out = tmp_path / "demo" / "round-1" / "policy"
    with pytest.raises(Killed):
        train(name, base, trajectories, out, kill)
    sys.modules.pop(name, None)
    train(name, base, trajectories, out)
    train(name, base, trajectories, tmp_path / "demo" / "round-2" / "policy")
    first, again, other = runs()
    assert first["project"] == "ponderosa"
    assert first["name"].startswith("demo/round-1/policy ")
    assert first == again
    assert other["name"].startswith("demo/round-2/policy ")
    if name == "wandb":
        assert (first["WANDB_RESUME"], len(first["WANDB_RUN_ID"])) == ("allow", 16)
        assert first["WANDB_RUN_ID"] != other["WANDB_RUN_ID"]
    else:
        assert first["resume"] == "allow"


def test_another_training_into_the_same_folder_is_another_run(
    begun: Any, base: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    import shutil

    name, runs = begun
    for rate in (1e-3, 2e-3):
        train(name, base, trajectories, tmp_path / "policy", learning_rate=rate)
        shutil.rmtree(tmp_path / "policy")
    first, other = runs()
    assert first["name"] != other["name"]
    assert first.get("WANDB_RUN_ID", 0) != other.get("WANDB_RUN_ID", 1)


def test_projects_and_runs_of_ones_own_stay(
    begun: Any, base: Path, trajectories: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    monkeypatch.setenv("TRACKIO_PROJECT", "mine")
    monkeypatch.setenv("WANDB_RUN_ID", "own")
    name, runs = begun
    train(name, base, trajectories, tmp_path / "policy")
    (run,) = runs()
    assert (run["project"], run["WANDB_RUN_ID"]) == ("mine", "own")
