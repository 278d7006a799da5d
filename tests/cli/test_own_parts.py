"""A user's own policy, reward, grader and method, by import path, through the command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ponderosa.forest import read_forest


def ponderosa(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "ponderosa", *words]  # -P: as the installed command, which knows no folder
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    return done


def test_an_evaluation_of_nothing_but_own_parts(mine):
    words = ["eval", "problems.jsonl", "--model", "python:mine:Adder?off=0", "--reward", "python:mine:Likes?what=4"]
    words += ["--method", "majority,best_of_n,python:mine:METHOD", "--budgets", "1,2", "--format", "text"]
    done = ponderosa(mine, *words, "--processes", "1")
    folder = mine / "runs" / "eval-problems-python-mine-Adder-off-0"
    assert str(folder.relative_to(mine) / "results.json") in done.stdout
    points = json.loads((folder / "results.json").read_text())["points"]
    accuracy = {(point["method"], point["budget"]): point["accuracy"] for point in points}
    assert accuracy["python:mine:METHOD", 1] == accuracy["majority", 1] == 0.75  # the first sample adds rightly
    assert accuracy["python:mine:METHOD", 2] == accuracy["majority", 2] == 0.75  # of equals the first
    assert accuracy["best_of_n", 2] == 0.5  # 1 + 2 becomes 4, which the reward likes; 3 + 2 is 5, not 6
    assert "python:mine:METHOD" in (folder / "table.md").read_text()
    right = ponderosa(mine, *words, "--processes", "1", "--grader", "python:mine:AlwaysRight", "--out", "runs/right")
    assert "runs/right" in right.stdout
    points = json.loads((mine / "runs" / "right" / "results.json").read_text())["points"]
    assert {point["accuracy"] for point in points} == {1.0}


def test_a_search_of_nothing_but_own_parts(mine):
    words = ["search", "problems.jsonl", "--model", "python:mine:Adder", "--method", "python:mine:SEARCH", "--judged"]
    words += ["--grader", "python:mine:AlwaysRight", "--reward", "python:mine:Likes?what=5", "--set", "n=2"]
    done = ponderosa(mine, *words, "--format", "text", "--processes", "1", "--out", "trees")
    assert "4 of 4 problems solved" in done.stdout
    trees = {tree.question: tree for tree in read_forest(mine / "trees" / "forest" / "tree-0")}
    tree = trees["What is 3 + 2?"]
    assert [tree.nodes[end].answer for end in tree.rollouts] == ["5", "6"]
    assert [tree.nodes[end].value for end in tree.rollouts] == [0.9, -0.9]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "python:mine:Subtracter"], "python:mine:Subtracter: mine has no Subtracter"),
        (["--model", "python:mine:AlwaysRight"], "gives a AlwaysRight, which has no method propose"),
        (["--model", "python:mine:Adder", "--reward", "python:mine:Likes"], "missing a required argument: 'what'"),
        (["--model", "python:mine:Adder", "--method", "python:mine:SEARCH"], "a ponderosa.search.Method is wanted"),
        (
            ["--model", "python:mine:Adder", "--method", "python:mine:SHARING"],
            "only methods of the house share samples",
        ),
        (["--model", "python:mine:Adder", "--grader", "python:yours:Exact"], "there is no module yours"),
    ],
)
def test_what_is_wrong_with_a_part_is_one_line(mine, words, message):
    method = [] if "--method" in words else ["--method", "majority" if "--reward" not in words else "weighted"]
    options = ["--budgets", "1", "--format", "text", "--processes", "1"]
    failed = ponderosa(mine, "eval", "problems.jsonl", *words, *method, *options, code=1)
    (line,) = failed.stderr.strip().splitlines()
    assert message in line
