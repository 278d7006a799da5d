"""Reward models side by side, with the scoring done here in place of worker processes."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ponderosa.cluster import Shard
from ponderosa.core import Outcome, PonderosaError, Problem, Tree
from ponderosa.evolution import rewards as module
from ponderosa.evolution.rewards import RewardRun, compare_rewards
from ponderosa.forest import read_forest, write_forest
from ponderosa.problems import write_problems
from ponderosa.search.expansion import back_up
from ponderosa.view.rewards import markdown

PROBLEMS = [Problem(str(i), f"What is {i}?", str(i)) for i in range(6)]


def samples(problem: Problem) -> Tree:
    """Three samples, of which one is right; the wrong ones agree."""
    tree = Tree(problem.id, problem.question, method="sample")
    for i, answer in enumerate((problem.answer or "", "77", "77")):
        step = tree.add(0, f"step {i}")
        end = tree.add(step, f"so {answer}", outcome=Outcome.ANSWERED, answer=answer, tokens=5)
        tree.nodes[end].reward = 1.0 if answer == problem.answer else -1.0
        back_up(tree, end, tree.nodes[end].reward or 0.0)
        tree.rollouts.append(end)
    return tree


def scored(tree: Tree, model: str) -> Tree:
    """Values of a model that knows, or of one that is as sure of the opposite."""
    for node in tree.nodes[1:]:
        right = node.q > 0
        node.value = 0.8 if right == (model == "knows") else -0.8
    return tree


@pytest.fixture
def forest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    async def run_shards(pool: Any, work: Sequence[Shard], *_: Any) -> None:
        for shard in work:
            Path(shard.out).parent.mkdir(parents=True, exist_ok=True)
            trees = [scored(tree, shard.reward or "") for tree in read_forest(Path(shard.problems))]
            write_forest(Path(shard.out), trees)

    monkeypatch.setattr(module, "run_shards", run_shards)
    folder = tmp_path / "forest"
    folder.mkdir()
    write_problems(folder / "problems.jsonl", PROBLEMS)
    write_forest(folder / "shard-00000.parquet", map(samples, PROBLEMS))
    return folder


def test_the_model_that_knows_is_told_from_the_one_that_errs(forest: Path, tmp_path: Path) -> None:
    run = RewardRun(
        models={"errs": "errs", "knows": "knows"},
        samples=forest,
        dev=forest,
        siblings=forest,
        rollouts=forest,
        k=3,
        min_visits=1,
        pairs={"min_edit_distance": 1},  # type: ignore[arg-type]
    )
    found = asyncio.run(
        compare_rewards(tmp_path / "out", run, None, lambda p, steps: ["step 0" in steps] * len(steps))  # type: ignore[arg-type]
    )
    knows, errs = found["models"]["knows"], found["models"]["errs"]
    assert (knows["pair_accuracy"]["value"], errs["pair_accuracy"]["value"]) == (1.0, 0.0)
    assert (knows["choice"]["best_of_n"]["accuracy"], errs["choice"]["best_of_n"]["accuracy"]) == (1.0, 0.0)
    assert knows["choice"]["majority"]["accuracy"] == 0.0
    assert found["paired"]["best_of_n"]["knows"]["value"] == 1.0
    for part in ("outcomes", "steps"):
        assert knows[part]["ece"]["value"] == pytest.approx(0.1)  # p 0.9 of what is always right, 0.1 of what never is
        assert errs[part]["ece"]["value"] == pytest.approx(0.9)
    assert knows["auc"]["value"] == 1.0
    table = markdown(found)
    assert table.splitlines()[2].startswith("| errs | 0.0 ")
    assert "knows over errs: +100.0" in table


def test_what_is_no_forest_of_problems_is_said(forest: Path, tmp_path: Path) -> None:
    (forest / "problems.jsonl").unlink()
    with pytest.raises(PonderosaError, match=r"has no problems\.jsonl"):
        asyncio.run(compare_rewards(tmp_path, RewardRun(models={"a": "a"}, samples=forest), None))  # type: ignore[arg-type]
