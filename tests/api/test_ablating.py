"""Whose folder a study's is; what the runs in it are is told in tests/end_to_end/test_ablate.py."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from ponderosa.api import ablating
from ponderosa.core import PonderosaError
from ponderosa.evolution.loops import load_recipe
from ponderosa.evolution.run import Run
from ponderosa.evolution.settings import find_recipe

STUDY: dict[str, Any] = {
    "name": "Tiny",
    "recipe": "sapling-quick",
    "seeds": [1],
    "variants": {"whole": {}, "random": {"set": {"data": {"choice": "random"}}}},
    "comparisons": [{"title": title, "sides": ["random", "whole"]} for title in ("One", "Another")],
}


def run(right: str) -> dict[str, Any]:
    greedy = {"right": right, "tokens": 100.0}
    tokens = {"generated": 10, "prompt": 0}
    record = {
        "problems": [f"p{i}" for i in range(len(right))],
        "greedy": greedy,
        "tokens": tokens,
        "trained_tokens": {"policy": 7},
        "searches": {"data": {"trees": 0, "rollouts": 0}},
    }
    return {"rounds": [record | {"round": n} for n in range(2)], "wall_s": 5.0, "finished": True}


@pytest.fixture
def ablate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`ablate` of a study with these changes, whose runs are already there."""

    async def carried_out(study: Any, *_: object) -> dict[str, Any]:
        return {name: [run("1101") for _ in study.seeds] for name in study.variants}

    monkeypatch.setattr(ablating, "carry_out", carried_out)

    def call(out: Path, **changes: Any) -> dict[str, Any]:
        file = tmp_path / "study.yaml"
        file.write_text(yaml.safe_dump(STUDY | changes))
        return ablating.ablate(file, out=out)

    return call


def test_a_study_that_compares_less_leaves_no_picture_of_what_it_compared_before(ablate: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ablate(out)
    assert len(list(out.glob("comparison-*.png"))) == 2
    ablate(out, comparisons=STUDY["comparisons"][:1], seeds=[1, 2])
    assert [path.name for path in out.glob("comparison-*.png")] == ["comparison-1.png"]
    assert yaml.safe_load((out / "study.yaml").read_text())["seeds"] == [1, 2]


def test_another_study_is_refused_its_folder(ablate: Any, tmp_path: Path) -> None:
    ablate(tmp_path / "out")
    before = (tmp_path / "out" / "results.json").read_text()
    with pytest.raises(PonderosaError, match=r"begun with other settings \(name: Tiny -> Large\): choose another"):
        ablate(tmp_path / "out", name="Large")
    assert (tmp_path / "out" / "results.json").read_text() == before


def test_a_run_is_not_overwritten_by_a_study(ablate: Any, tmp_path: Path) -> None:
    with Run.open(tmp_path / "run", load_recipe(find_recipe("sapling-quick"))):
        (tmp_path / "run" / "results.json").write_text('{"rounds": []}')
    with pytest.raises(PonderosaError, match=r"holds recipe\.yaml, results\.json but no study\.yaml: choose another"):
        ablate(tmp_path / "run")
    assert (tmp_path / "run" / "results.json").read_text() == '{"rounds": []}'
    assert not (tmp_path / "run" / "report.html").exists()


def test_a_study_goes_on_where_its_file_is_put_beside_its_runs(ablate: Any, tmp_path: Path) -> None:
    (tmp_path / "out" / "whole" / "seed-1").mkdir(parents=True)
    with pytest.raises(PonderosaError, match=r"no study\.yaml"):
        ablate(tmp_path / "out")
    shutil.copy(tmp_path / "study.yaml", tmp_path / "out" / "study.yaml")
    assert len(ablate(tmp_path / "out")["comparisons"]) == 2
