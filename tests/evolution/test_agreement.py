"""A second model as a filter of training data, through the workers."""

import asyncio
import json
from pathlib import Path

import pytest

from ponderosa.evolution.rstar_math import RStarMath, extract, make_trees
from ponderosa.evolution.run import Run
from ponderosa.evolution.stages import Stages
from ponderosa.forest import PairRow, SFTRow, read_forest, read_rows
from ponderosa.view.progress import Progress

MODELS = '''
import re

from ponderosa.core import Completion, Ended


class First:
    """Says what is asked for, in two steps."""

    async def propose(self, prompt, n, sampling, seed):
        wanted = re.findall(r"\\\\d+", prompt.question)[0]
        text = f"It is \\\\\\\\boxed{{{wanted}}}." if prompt.body else "Let us see what is asked here."
        stop = (Ended.EOS, None) if prompt.body else (Ended.STOP, "\\n\\n")
        return [Completion(text, *stop, tokens=3)] * n


class Second:
    """Agrees about even numbers alone."""

    async def propose(self, prompt, n, sampling, seed):
        wanted = int(re.findall(r"\\\\d+", prompt.question)[0])
        return [Completion(f" So \\\\\\\\boxed{{{wanted + wanted % 2}}}.", Ended.EOS, tokens=2)] * n


class Gone:
    async def propose(self, prompt, n, sampling, seed):
        raise AssertionError("asked again")
'''.replace("\\\\\\\\", "\\\\").replace("\\\\d", "\\d")


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RStarMath:
    monkeypatch.chdir(tmp_path)
    Path("two_models.py").write_text(MODELS)
    for name, start in (("train", 0), ("test", 50)):
        rows = [{"id": f"{name}{i}", "question": f"Say {i}.", "answer": str(i)} for i in range(start, start + 4)]
        Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return RStarMath.model_validate(
        {
            "policy": "python:two_models:First",
            "format": "text",
            "problems": {"source": "files", "train": "train.jsonl", "test": "test.jsonl"},
            "workers": {"processes": 1, "shard": 2},
            "rounds": [{"problems": 4, "rollouts": 2}],
            "data": {"mutual": {"policy": "python:two_models:Second", "least": 0.75}},
        }
    )


async def made(run: Run[RStarMath]) -> None:
    async with Stages.open(run, Progress()) as stages:
        forests = await make_trees(stages, run.recipe, 1, stages.base, None)
        await extract(stages, run.recipe, 1, forests)


def test_only_trajectories_that_the_second_model_agrees_with_are_trained_on(recipe: RStarMath, tmp_path: Path) -> None:
    with Run.open(tmp_path / "run", recipe) as run:
        asyncio.run(made(run))
    round_ = tmp_path / "run" / "round-1"
    assert {row.problem_id for row in read_rows(round_ / "data" / "sft", SFTRow)} == {"train0", "train2"}
    counts = json.loads((round_ / "agreement.json").read_text())
    assert (counts["asked"], counts["kept"], counts["agreement"]) == (4, 2, {"0.00": 2, "1.00": 2})
    assert counts["generated_tokens"] == 4 * 4 * 2
    assert '"kept": 2' in (round_ / "data" / "sft" / "README.md").read_text()
    assert len(list(read_forest(round_ / "agreement"))) == 4
    assert read_rows(round_ / "data" / "pairs", PairRow) == []


def test_a_stage_that_was_stopped_goes_on_where_it_was(recipe: RStarMath, tmp_path: Path) -> None:
    with Run.open(tmp_path / "run", recipe) as run:
        asyncio.run(made(run))
    data = tmp_path / "run" / "round-1" / "data"
    first = read_rows(data / "sft", SFTRow)
    (data / "sft" / "train.parquet").unlink()
    (data / "sft" / "README.md").unlink()
    (data / "sft").rmdir()
    module = tmp_path / "two_models.py"
    module.write_text(module.read_text().replace("class Second:", "class Old:").replace("class Gone:", "class Second:"))
    with Run.open(tmp_path / "run", recipe) as run:
        asyncio.run(made(run))
    assert read_rows(data / "sft", SFTRow) == first
