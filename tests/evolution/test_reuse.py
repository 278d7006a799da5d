"""What a run takes over from another."""

import asyncio
import json
from pathlib import Path

import pytest

from ponderosa.core import PonderosaError
from ponderosa.evolution.loops import evolve, parse_recipe
from ponderosa.evolution.reuse import take_over
from ponderosa.evolution.run import Run
from ponderosa.view.progress import Progress


def test_what_is_reused_is_linked_once(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "round-1/search/tree-0").mkdir(parents=True)
    (old / "round-1/search/tree-0/shard.parquet").write_text("trees")
    (old / "round-1/summary.json").write_text("{}")
    take_over(old, new, ["round-1/search", "round-1/*.json"])
    take_over(old, new, ["round-1/search"])
    assert (new / "round-1/search/tree-0/shard.parquet").read_text() == "trees"
    assert (new / "round-1/search/tree-0/shard.parquet").samefile(old / "round-1/search/tree-0/shard.parquet")
    assert not (new / "round-1/summary.json").samefile(old / "round-1/summary.json")
    with pytest.raises(PonderosaError, match="no round-9 to reuse"):
        take_over(old, new, ["round-9"])


def test_what_a_run_writes_of_a_model_that_it_reused_stays_its_own(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "policy").mkdir(parents=True)
    (old / "policy/model.safetensors").write_text("weights")
    (old / "policy/training.json").write_text(json.dumps({"report": {}, "run": {"recipe": "whole"}}))
    take_over(old, new, ["policy"])
    assert (new / "policy/model.safetensors").samefile(old / "policy/model.safetensors")
    (new / "policy/training.json").write_text("{}")  # in place, as `training.cards.tell` does
    assert json.loads((old / "policy/training.json").read_text())["run"] == {"recipe": "whole"}


def test_what_neither_run_has_is_named(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    (new / "round-1/search").mkdir(parents=True)
    take_over(old, new, ["round-1/search"])  # was taken over before the old one went away
    with pytest.raises(PonderosaError, match="no round-2 to reuse"):
        take_over(old, new, ["round-2"])


RECIPE = {"policy": "sapling", "rounds": [{"problems": 1}]}


def test_only_a_run_of_the_same_policy_and_problems_is_reused(tmp_path: Path) -> None:
    for name, record in (("old", RECIPE), ("other", RECIPE | {"seed": 1, "problems": {"levels": [1]}})):
        with Run.open(tmp_path / name, parse_recipe(record, name)) as run:
            (run.path / "round-0").mkdir()
    reuse = {"of": str(tmp_path / "other"), "keep": ["round-0"]}
    with Run.open(tmp_path / "new", parse_recipe(RECIPE | {"reuse": reuse}, "new")) as run:
        with pytest.raises(PonderosaError, match=r"other cannot be reused.*seed: 1 -> 0; problems.levels: \[1\] ->"):
            asyncio.run(evolve(run, Progress()))
        assert not (run.path / "round-0").exists()


@pytest.mark.parametrize("pattern", ["results.json", "*", "round-0/../recipe.yaml"])
def test_only_what_is_in_rounds_is_reused(pattern: str) -> None:
    with pytest.raises(PonderosaError, match="what is in a round"):
        parse_recipe(RECIPE | {"reuse": {"of": "runs/old", "keep": [pattern]}}, "new")
