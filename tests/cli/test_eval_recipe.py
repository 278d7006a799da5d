"""Evaluation recipes: every bundled one, and one through the command with scripted models."""

import json
from pathlib import Path

import pytest

from ponderosa.cli import main
from ponderosa.core import CodeFormat, PonderosaError
from ponderosa.evolution.eval_recipe import evaluation_recipe, is_recipe
from ponderosa.evolution.evaluating import EvalRun
from ponderosa.evolution.settings import parse
from ponderosa.problems import BENCHMARKS

RECIPES = sorted(Path(__file__).parents[2].glob("recipes/eval/*.yaml"))
TABLE = {"math500", "aime24", "amc23", "olympiadbench", "collegemath", "gsm8k", "gaokao2023en"}
"""The benchmarks of the paper's main table (arXiv 2501.04519)."""
FORMAT = CodeFormat()


def ponderosa(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    return int(end.value.code or 0)


def test_every_benchmark_of_the_papers_table_has_one():
    assert {path.stem for path in RECIPES} == TABLE


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_names_its_benchmark_and_settings_that_its_searches_take(path):
    found = evaluation_recipe(path)
    assert found.problems == path.stem
    assert found.problems in BENCHMARKS
    run = parse(EvalRun, {"policy": "p", "reward": "r", **found.settings}, path.stem)
    run.check()
    assert run.mcts.candidates == 32
    assert max(run.budgets) == 64


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two problems whose policy writes two answers in turn, the right one first."""
    table, lines = {}, []
    for i in (1, 2):
        question = f"What is {i}?"
        answers = [{"text": f"<answer>\\boxed{{{a}}}\n", "stop_reason": "<end_of_answer>"} for a in (i, 0)]
        table[FORMAT.render(question).text] = answers
        lines.append(json.dumps({"id": str(i), "question": question, "answer": str(i)}) + "\n")
    (tmp_path / "policy.json").write_text(json.dumps({"prompt_prefix": "", "table": table}))
    (tmp_path / "problems.jsonl").write_text("".join(lines))
    (tmp_path / "mine.yaml").write_text(
        f"problems: {tmp_path}/problems.jsonl\nmethods: [greedy, majority]\nbudgets: [1, 2]\n"
        "sample: {temperature: 0.5, max_depth: 3}\nseed: 7\nworkers: {processes: 1}\n"
    )
    return tmp_path


def evaluate(folder: Path, out: str, *more: str) -> dict:
    words = [str(folder / "mine.yaml"), "--model", f"scripted:{folder}/policy.json", "--out", str(folder / out)]
    assert ponderosa("eval", *words, *more) == 0
    return json.loads((folder / out / "results.json").read_text())


def test_a_recipe_names_problems_and_settings(folder):
    found = evaluate(folder, "a")
    settings = found["settings"]
    assert (settings["seed"], settings["sample"]["temperature"], settings["sample"]["max_depth"]) == (7, 0.5, 3)
    assert settings["workers"]["processes"] == 1
    points = {(point["method"], point["budget"]): point["accuracy"] for point in found["points"]}
    assert set(points) == {("greedy", 1), ("majority", 1), ("majority", 2), ("pass", 1), ("pass", 2)}
    assert points["greedy", 1] == 1.0


def test_options_go_before_what_the_recipe_says(folder):
    words = ["--budgets", "1", "--seed", "3", "--temperature", "0.9", "--set", "sample.max_depth=4"]
    settings = evaluate(folder, "b", *words)["settings"]
    assert (settings["budgets"], settings["seed"], settings["methods"]) == ([1], 3, ["greedy", "majority"])
    assert (settings["sample"]["temperature"], settings["sample"]["max_depth"]) == (0.9, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("methods: [greedy]\n", "an evaluation names its `problems`"),
        ("problems: [a, b]\n", "an evaluation names its `problems`"),
        ("problems: aime24\nreward: x\n", "leave `reward` to the command"),
        ("- a\n", "a recipe is a mapping"),
    ],
)
def test_a_file_that_is_no_evaluation_is_refused(tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(PonderosaError, match=message):
        evaluation_recipe(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("bugdets: [1]\n", "unknown key `bugdets`"),
        ("mcts: 3\n", "`mcts` is not a mapping"),
        ("methods: [x]\n", "no method x"),
    ],
)
def test_a_wrong_setting_of_a_recipe_is_named(folder, capsys, line, message):
    (folder / "bad.yaml").write_text(f"problems: {folder}/problems.jsonl\n{line}")
    words = [str(folder / "bad.yaml"), "--model", f"scripted:{folder}/policy.json", "--out", str(folder / "z")]
    assert ponderosa("eval", *words) == 1
    assert message in capsys.readouterr().err


def test_names_of_problems_are_no_recipes():
    assert is_recipe("recipes/eval/aime24.yaml")
    assert is_recipe("eval/aime24")
    assert not any(map(is_recipe, (*BENCHMARKS, "problems.jsonl", "hub:a/b", "reasoning-gym:x?size=2")))
