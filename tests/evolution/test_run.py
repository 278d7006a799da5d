from pathlib import Path

import pytest

from ponderosa.core import PonderosaError
from ponderosa.evolution.loops import recipe_of
from ponderosa.evolution.rstar_math import RStarMath
from ponderosa.evolution.run import Run, read_json, write_json


def test_a_run_goes_on_with_the_same_recipe(tmp_path: Path) -> None:
    recipe = RStarMath(policy="p", seed=3)
    with Run.open(tmp_path / "run", recipe) as run, run.timed(1, "search"):
        pass
    with Run.open(tmp_path / "run", recipe) as run:
        assert "1.search" in run.times()
    assert recipe_of(tmp_path / "run") == recipe


def test_another_recipe_is_refused_with_what_differs(tmp_path: Path) -> None:
    with Run.open(tmp_path, RStarMath(policy="p")) as run, run.timed(1, "search"):
        pass
    with pytest.raises(PonderosaError, match="seed: 0 -> 1"), Run.open(tmp_path, RStarMath(policy="p", seed=1)):
        pass


def test_a_run_that_ended_before_it_made_anything_may_have_another_recipe(tmp_path: Path) -> None:
    with pytest.raises(PonderosaError, match="no such data set"), Run.open(tmp_path, RStarMath(policy="p")):
        raise PonderosaError("no such data set")
    with Run.open(tmp_path, RStarMath(policy="p", seed=1)):
        pass
    assert recipe_of(tmp_path).seed == 1


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(PonderosaError, match=r"thesis\.tex"), Run.open(tmp_path, RStarMath(policy="p")):
        pass


def test_two_processes_do_not_work_on_one_run(tmp_path: Path) -> None:
    recipe = RStarMath(policy="p")
    with (
        Run.open(tmp_path, recipe),
        pytest.raises(PonderosaError, match="another process"),
        Run.open(tmp_path, recipe),
    ):
        pass


def test_times_add_up_over_attempts(tmp_path: Path) -> None:
    write_json(tmp_path / "times.json", {"1.search": 100.0})
    run = Run(tmp_path, RStarMath(policy="p"))
    with pytest.raises(ValueError, match="stopped"), run.timed(1, "search"):
        raise ValueError("stopped")
    assert run.times()["1.search"] >= 100.0


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(PonderosaError, match="not a run"):
        recipe_of(tmp_path)
    assert read_json(tmp_path / "results.json") is None


def test_a_run_may_go_on_with_other_servers(tmp_path: Path) -> None:
    here, there = ({"policy": {"url": f"http://{host}:8000", "reload": ["true"]}} for host in ("here", "there"))
    with Run.open(tmp_path, RStarMath(policy="p", servers=here)):
        pass
    with Run.open(tmp_path, RStarMath(policy="p", servers=there)) as run:
        assert run.recipe.servers["policy"].url == "http://there:8000"
