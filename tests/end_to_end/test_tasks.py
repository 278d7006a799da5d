"""The same loop beyond mathematics: programs with tests, and multiple choice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ponderosa.core import Kind, boxed_answer
from ponderosa.forest import SFTRow, read_forest, read_rows
from ponderosa.forest.trajectory import is_correct
from ponderosa.problems import read_problems

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("name", "kind"), [("sapling-programs", Kind.CODE), ("sapling-choices", Kind.CHOICE)])
def test_two_rounds_find_and_learn_right_solutions(name: str, kind: Kind, tmp_path: Path) -> None:
    out = tmp_path / "run"
    changes = (
        "problems.levels=[1,2]",
        "rounds=[{problems: 24, rollouts: 4}, {problems: 12, rollouts: 4, reward: true}]",
        "sft.max_steps=4",
        "ppm.max_steps=4",
        "evaluation.test=12",
        "evaluation.final=0",
        "evaluation.dev=0",
        "workers.shard=12",
    )
    changed = [word for change in changes for word in ("--set", change)]
    command = [sys.executable, "-m", "ponderosa", "evolve", name, "--out", str(out), *changed]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    results = json.loads((out / "results.json").read_text())
    assert [entry["round"] for entry in results["rounds"]] == [0, 1, 2]
    (search,) = (out / "round-1" / "search").glob("*")
    problems = {problem.id: problem for problem in read_problems(search / "problems.jsonl")}
    assert {problem.kind for problem in problems.values()} == {kind}
    right = {tree.problem_id for tree in read_forest(search) if any(map(is_correct, tree.nodes))}
    rows = read_rows(out / "round-1" / "data" / "sft", SFTRow)
    assert rows
    assert {row.problem_id for row in rows} <= right
    if kind is Kind.CHOICE:
        assert all(boxed_answer(row.response) == problems[row.problem_id].answer for row in rows)
