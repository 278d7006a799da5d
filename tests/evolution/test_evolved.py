from pathlib import Path

import pytest

from ponderosa.api.evaluating import evaluation_run
from ponderosa.core import PonderosaError
from ponderosa.evolution.eval_recipe import EvalRecipe
from ponderosa.evolution.evolved import embedded, evolved
from ponderosa.evolution.rstar_math import RoundSettings, RStarMath
from ponderosa.evolution.run import Run
from ponderosa.evolution.searching import search_run
from ponderosa.evolution.stages import checkpoint
from ponderosa.sapling import base_path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    recipe = RStarMath(policy="sapling", rounds=(RoundSettings(), RoundSettings(), RoundSettings()))
    with Run.open(tmp_path / "runs" / "demo", recipe):
        return tmp_path / "runs" / "demo"


def test_the_last_policy_comes_with_the_ppm_of_its_round(run: Path) -> None:
    for made in ("round-1/policy", "round-1/ppm", "round-2/policy", "round-3/search"):
        (run / made).mkdir(parents=True)
    found = evolved(str(run))
    assert found is not None
    assert (found.policy, found.ppm) == (str(run / "round-2" / "policy"), None)
    (run / "round-2" / "ppm").mkdir()
    found = evolved(str(run))
    assert found is not None
    assert found.ppm == str(run / "round-2" / "ppm")


def test_a_run_without_a_policy_is_an_error_and_so_is_another_folder(run: Path) -> None:
    with pytest.raises(PonderosaError, match="has no policy yet"):
        evolved(str(run))
    with pytest.raises(PonderosaError, match="is neither a run nor a checkpoint"):
        evolved(str(run.parent))


def test_a_checkpoint_and_what_is_no_folder_are_no_runs(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    for name in (str(tmp_path), "http://127.0.0.1:8000", "python:mine:Policy", "Qwen/Qwen2.5-Math-7B"):
        assert evolved(name) is None


def test_the_embedded_model_is_where_the_commands_leave_it(run: Path, monkeypatch) -> None:
    monkeypatch.chdir(run.parents[1])
    assert embedded() is None
    (run / "round-1" / "policy").mkdir(parents=True)
    assert embedded() == "runs/demo"


def test_an_embedded_base_is_a_model_by_name() -> None:
    base = str(base_path("sapling"))
    assert search_run("sapling", None, None, {}).policy == base
    assert evaluation_run("sapling", None, ["greedy"], {}, {}, EvalRecipe(problems="p")).policy == base
    assert checkpoint("sapling") == base
