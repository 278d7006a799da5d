"""`ponderosa plan`, through the command."""

import json
from pathlib import Path

import pytest

from ponderosa.cli import main
from ponderosa.core import CodeFormat

FOLDER = Path(__file__).parents[2] / "recipes"
RECIPES = sorted([*FOLDER.glob("*.yaml"), *FOLDER.glob("eval/*.yaml")])
"""rStar-Math's and those of evaluations: there is no plan for other loops."""
FORMAT = CodeFormat()


def ponderosa(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    return int(end.value.code or 0)


def planned(capsys, *words: str) -> dict:
    capsys.readouterr()
    assert ponderosa("plan", *words, "--json") == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_can_be_planned(path, capsys):
    words = ["--assume", "policy_parameters=7e9"] if path.parent.name == "eval" else []
    found = planned(capsys, str(path), *words)
    assert found["total"]["generated"] == pytest.approx(sum(stage["generated"] for stage in found["stages"]))
    assert all(stage["gpu_hours"] > 0 and stage["how"] for stage in found["stages"])


def test_another_loop_is_refused(capsys):
    assert ponderosa("plan", "star/sapling") == 1
    assert "no plan for the loop star, only for rstar-math" in capsys.readouterr().err


def test_the_recipe_for_one_gpu_takes_less_than_three_days(capsys):
    assert 0 < planned(capsys, "rstar-math-1.5b-one-gpu", "--assume", "gpu=a100")["total"]["hours"] < 72


def test_a_person_sees_the_table_every_formula_and_every_assumption_with_its_source(capsys):
    assert ponderosa("plan", "sapling", "--assume", "depth=7") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "4 retry 1: 199 x" in shown  # 900 x (1 - 0.7786)
    assert "expansions of a tree = depth x (1 + (rollouts - 1) x fresh)" in shown
    assert "depth 7 stated" in shown
    assert "busy 0.5 default" in shown
    assert "0.6017, 0.666, 0.7786 paper" in shown
    assert "1.116e+06 recipe" in shown  # counted in the bundled checkpoint


def test_an_evaluation_recipe_counts_its_benchmark_and_takes_changes(capsys):
    words = ["eval/aime24", "--assume", "policy_parameters=7e9", "--set", "budgets=[1,2]"]
    found = {stage["name"]: stage for stage in planned(capsys, *words)["stages"]}
    assert found["samples"]["how"].startswith("30 x 2 chains")
    assert "mcts-2" in found
    limited = planned(capsys, *words, "--set", "problems=aime24?limit=10")["stages"]
    assert {stage["how"].split()[0] for stage in limited} == {"10"}


@pytest.fixture
def pilot(tmp_path) -> Path:
    """A run of `search` on two problems, each solved by its one step, which is drawn twice."""
    table, lines = {}, []
    for i in (1, 2):
        question = f"What is {i}?"
        answer = {"text": f"<answer>\\boxed{{{i}}}\n", "stop_reason": "<end_of_answer>"}
        table[FORMAT.render(question).text] = [answer] * 2
        lines.append(json.dumps({"id": str(i), "question": question, "answer": str(i)}) + "\n")
    (tmp_path / "policy.json").write_text(json.dumps({"prompt_prefix": "", "table": table}))
    (tmp_path / "problems.jsonl").write_text("".join(lines))
    words = [str(tmp_path / "problems.jsonl"), "--model", f"scripted:{tmp_path}/policy.json", "--candidates", "2"]
    assert ponderosa("search", *words, "--judged", "--rollouts", "4", "--out", str(tmp_path / "run")) == 0
    return tmp_path / "run"


def test_what_a_pilot_measures_takes_the_place_of_the_defaults(pilot, capsys):
    words = ["sapling-quick", "--pilot", str(pilot), "--set", "rounds.0.problems=50", "--set", "rounds.0.rollouts=4"]
    words += ["--set", "search.candidates=2", "--set", "search.answer_candidates=2"]
    found = planned(capsys, *words)
    (search,) = [stage for stage in found["stages"] if stage["name"] == "search"]
    assert search["nodes"] == pytest.approx(50)  # one of the two a tree
    (assumed,) = found["assumptions"]
    assert (assumed["depth"], assumed["fresh"], assumed["solved"], assumed["distinct"]) == (1.0, 0.0, 1.0, 0.5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nonsense"], "there is no recipe nonsense"),
        (["sapling", "--assume", "nonsense=1"], "there is no assumption nonsense: choose of bandwidth"),
        (["sapling", "--assume", "gpu=abacus"], "there is no GPU abacus"),
        (["sapling", "--assume", "depth=many"], "`depth`: Input should be a valid number"),
        (["sapling", "--assume", "depth"], "expected KEY=VALUE"),
        (["eval/aime24"], "how large is the policy model? Say so: --assume policy_parameters=7e9"),
        (["sapling", "--pilot", "no/such/folder"], "is not a run"),
    ],
)
def test_wrong_input_is_one_line(capsys, words, message):
    assert ponderosa("plan", *words) == 1
    assert message in capsys.readouterr().err
