"""`ponderosa eval` and `compare` through the command, with scripted models."""

import csv
import json
from pathlib import Path

import prm_checkpoints
import pytest

from ponderosa.cli import main
from ponderosa.core import CodeFormat, make_format
from ponderosa.forest import read_forest
from ponderosa.grading.normal_form import LONGEST
from ponderosa.problems import load_problems

FORMAT = CodeFormat()
SAMPLES = 8


def ponderosa(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    return int(end.value.code or 0)


@pytest.fixture
def scripts(tmp_path) -> Path:
    """Problem i's answer is i. Samples say i, 0, i, 0, ...; the reward prefers what is not 0, but for problem 1."""
    table, rewards, problems = {}, {}, []
    for i in range(1, 6):
        question = f"What is {i}?"
        prompt = FORMAT.render(question).text
        codes = [f"<code>\nprint({i if j % 2 == 0 else 0})\n" for j in range(SAMPLES)]
        table[prompt] = [{"text": code, "stop_reason": "<end_of_code>"} for code in codes]
        for value in (i, 0):
            shown = FORMAT.with_output(f"<code>\nprint({value})\n<end_of_code>", str(value))
            answer = f"\n<answer>\\boxed{{{value}}}\n"
            table[prompt + shown] = [{"text": answer, "stop_reason": "<end_of_answer>"}] * SAMPLES
            good = (value != 0) is (i != 1)
            rewards[prompt + shown] = rewards[prompt + shown + answer + "<end_of_answer>"] = 0.5 if good else -0.5
        problems.append({"id": str(i), "question": question, "answer": str(i)})
    (tmp_path / "policy.json").write_text(json.dumps({"prompt_prefix": "", "table": table}))
    (tmp_path / "reward.json").write_text(json.dumps({"prompt_prefix": "", "table": rewards}))
    (tmp_path / "problems.jsonl").write_text("".join(json.dumps(p) + "\n" for p in problems))
    return tmp_path


def evaluate(scripts: Path, out: str, *more: str, processes: int = 1) -> dict[tuple[str, int], dict]:
    words = ["--model", f"scripted:{scripts}/policy.json", "--budgets", "1,2,4", "--processes", str(processes)]
    assert ponderosa("eval", str(scripts / "problems.jsonl"), *words, "--out", str(scripts / out), *more) == 0
    points = json.loads((scripts / out / "results.json").read_text())["points"]
    return {(point["method"], point["budget"]): point for point in points}


def test_a_model_that_writes_another_format_is_not_only_a_zero(scripts, capsys):
    table = {
        FORMAT.render(f"What is {i}?").text: [{"text": f"It is {i}.", "stop_reason": None}] * SAMPLES
        for i in range(1, 6)
    }
    (scripts / "policy.json").write_text(json.dumps({"prompt_prefix": "", "table": table}))
    points = evaluate(scripts, "a", "--method", "greedy,majority")
    assert points["majority", 4]["accuracy"] == 0.0
    said = "10 of 10 searches ended without an answer: steps are expected in the format rstar (--format)"
    assert said in " ".join(capsys.readouterr().out.split())


def test_methods_are_measured_at_each_budget(scripts):
    points = evaluate(
        scripts, "a", "--reward", f"scripted:{scripts}/reward.json", "--set", "beam.candidates=2", "--candidates", "2"
    )
    assert points["greedy", 1]["accuracy"] == 1.0
    assert points["trees", 4]["accuracy"] == 0.8
    assert points["trees", 4]["tokens"] == 4 * points["trees", 1]["tokens"]
    assert points["majority", 4]["accuracy"] == 1.0  # of equals the first
    assert points["best_of_n", 1]["accuracy"] == 1.0
    assert points["best_of_n", 4]["accuracy"] == points["mcts", 4]["accuracy"] == points["beam", 4]["accuracy"] == 0.8
    assert points["pass", 1]["accuracy"] == pytest.approx(0.5)
    assert points["pass", 4]["accuracy"] > points["pass", 2]["accuracy"] > 0.5
    assert ("beam", 1) not in points  # narrower than one beam
    assert points["best_of_n", 4]["against_majority"]["value"] == pytest.approx(-0.2)
    assert points["majority", 4]["right"] == "11111"
    assert all(point["low"] <= point["accuracy"] <= point["high"] for point in points.values())


def test_it_writes_a_table_twice_and_pictures(scripts):
    evaluate(scripts, "a")
    rows = list(csv.DictReader((scripts / "a" / "table.csv").read_text().splitlines()))
    assert {row["method"] for row in rows} == {"greedy", "majority", "adaptive", "pooled", "pass"}
    text = (scripts / "a" / "table.md").read_text()
    assert text.startswith("| method | N |")
    assert "\n| greedy-1 | 5 | 0 | 2.0 |" in text  # what the searches cost: two requests for each of five problems


def test_a_second_run_searches_nothing_again_and_other_settings_are_an_error(scripts, capsys):
    evaluate(scripts, "a")
    made = {path: path.stat().st_mtime_ns for path in (scripts / "a" / "test").rglob("*.parquet")}
    evaluate(scripts, "a")
    assert {path: path.stat().st_mtime_ns for path in (scripts / "a" / "test").rglob("*.parquet")} == made
    words = ["eval", str(scripts / "problems.jsonl"), "--model", "scripted:x", "--out", str(scripts / "a")]
    assert ponderosa(*words) == 1
    assert "begun with other settings" in capsys.readouterr().err
    lines = (scripts / "problems.jsonl").read_text().splitlines(keepends=True)
    (scripts / "problems.jsonl").write_text("".join(lines[1:]))
    words = ["--model", f"scripted:{scripts}/policy.json", "--budgets", "1,2,4", "--processes", "1"]
    assert ponderosa("eval", str(scripts / "problems.jsonl"), *words, "--out", str(scripts / "a")) == 1
    assert "begun with other problems" in capsys.readouterr().err


def test_rates_are_in_the_order_of_the_problems_however_these_were_spread(scripts, capsys):
    lines = (scripts / "problems.jsonl").read_text().splitlines(keepends=True)
    (scripts / "problems.jsonl").write_text("".join(lines[1:] + lines[:1]))  # the first, where a PPM errs, is the last
    words = ["--reward", f"scripted:{scripts}/reward.json", "--method", "best_of_n"]
    for out, processes in (("one", 1), ("three", 3)):
        assert evaluate(scripts, out, *words, processes=processes)["best_of_n", 4]["right"] == "11110"
    (scripts / "problems.jsonl").write_text("".join(lines))
    assert evaluate(scripts, "listed", *words)["best_of_n", 4]["right"] == "01111"
    capsys.readouterr()
    assert ponderosa("compare", str(scripts / "listed"), str(scripts / "three")) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.count("+0.0 [+0.0, +0.0] 5") == 3, shown  # at each of three budgets


def test_it_goes_on_with_another_number_of_processes(scripts):
    evaluate(scripts, "a", "--method", "majority", processes=2)
    (lost, *_) = (scripts / "a" / "test" / "samples").glob("shard-*.parquet")
    lost.unlink()
    assert evaluate(scripts, "a", "--method", "majority", processes=5)["majority", 4]["right"] == "11111"
    assert len(list(read_forest(scripts / "a" / "test" / "samples"))) == 5


def test_two_evaluations_are_compared_problem_by_problem(scripts, capsys):
    evaluate(scripts, "a", "--method", "majority")
    evaluate(scripts, "b", "--method", "majority", "--seed", "1")
    capsys.readouterr()
    assert ponderosa("compare", str(scripts / "a"), str(scripts / "b")) == 0
    shown = capsys.readouterr().out
    assert "majority" in shown
    assert "+0.0" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "nonsense"], "there is no method nonsense: choose one of greedy"),
        (["--method", "weighted"], "weighted needs a reward model"),
        (["--budgets", "a,b"], "expected whole numbers"),
        (["--budgets", "0"], "budgets of at least 1"),
        (["--set", "c=1"], "name a setting of a search"),
        (["--set", "mcts.nonsense=1"], "unknown keys nonsense"),
        (["--set", "beam.aggregation=mena"], "`beam.aggregation`: Input should be 'last', 'min', 'mean' or 'product'"),
        (["--set", "mcts.c=high"], "`mcts.c`: Input should be a valid number"),
        (["--method", "beam", "--budgets", "2,3", "--reward", "scripted:x"], "no budget is large enough for beam"),
        (["--method", "majority", "--outcome-reward", "scripted:x"], "--outcome-reward is for playouts alone"),
        (["--format", "nonsense"], "there is no step format"),
    ],
)
def test_wrong_input_is_one_line(scripts, capsys, words, message):
    base = ["eval", str(scripts / "problems.jsonl"), "--model", f"scripted:{scripts}/policy.json"]
    assert ponderosa(*base, "--out", str(scripts / "a"), *words) == 1
    assert message in capsys.readouterr().err


def test_adaptive_votes_draw_as_many_at_a_time_as_they_are_told(scripts):
    """Each of the five problems has one sample right and the other wrong: the vote of four is never settled early."""
    evaluate(scripts, "a", "--method", "majority,adaptive", "--set", "batch=4")
    evaluate(scripts, "b", "--method", "majority,adaptive", "--set", "batch=1")
    by_four, by_one = (json.loads((scripts / run / "results.json").read_text())["searches"] for run in "ab")
    assert by_four["adaptive-4"]["policy_calls"] < by_one["adaptive-4"]["policy_calls"]
    assert by_four["samples"]["policy_calls"] == by_one["samples"]["policy_calls"]


def test_an_aggregation_is_that_of_searches_and_of_choices(scripts):
    """The right solution is doubtful at first and sure in the end; the wrong one is neither."""
    script = json.loads((scripts / "reward.json").read_text())
    for path in script["table"]:
        ends, right = "<answer>" in path, "<output>0<" not in path
        script["table"][path] = (0.9 if ends else -0.9) if right else -0.5
    (scripts / "reward.json").write_text(json.dumps(script))
    words = ["--reward", f"scripted:{scripts}/reward.json", "--method", "best_of_n,mcts", "--candidates", "2"]
    by_last = evaluate(scripts, "a", *words)
    dev = ["--dev", str(scripts / "problems.jsonl")]  # would choose better
    by_min = evaluate(scripts, "b", *words, *dev, "--aggregation", "min")
    assert {by_last[method, 4]["accuracy"] for method in ("best_of_n", "mcts")} == {1.0}
    assert {by_min[method, 4]["accuracy"] for method in ("best_of_n", "mcts")} == {0.0}
    assert by_min["best_of_n", 4]["choice"] == "min"


def test_a_process_reward_model_of_other_people_values_solutions(scripts):
    model = prm_checkpoints.rlhflow(scripts / "prm")
    evaluate(scripts, "a", "--reward", f"{model}?kind=rlhflow", "--method", "best_of_n", "--aggregation", "product")
    searches = json.loads((scripts / "a" / "results.json").read_text())["searches"]
    assert searches["samples"]["reward_tokens"] > 0
    trees = list(read_forest(scripts / "a" / "test" / "samples"))
    values = {node.value for tree in trees for node in tree.nodes if node.value is not None}
    assert len(values) > 5
    assert all(-1 <= value <= 1 for value in values)


def test_a_folder_without_an_evaluation_is_named(tmp_path, capsys):
    assert ponderosa("compare", str(tmp_path), str(tmp_path)) == 1
    assert "not a finished evaluation" in capsys.readouterr().err


def test_dev_and_test_problems_may_have_the_same_ids(scripts):
    lines = [json.loads(line) for line in (scripts / "problems.jsonl").read_text().splitlines()]
    dev = scripts / "dev.jsonl"
    dev.write_text("".join(json.dumps({**line, "id": str(6 - int(line["id"]))}) + "\n" for line in lines))
    assert evaluate(scripts, "a", "--dev", str(dev))["greedy", 1]["accuracy"] == 1.0


def test_a_reward_that_misleads_shows_as_over_optimised(scripts):
    """The fixture's reward prefers the wrong answer to problem 1, so that two samples are worse than one there."""
    evaluate(scripts, "a", "--reward", f"scripted:{scripts}/reward.json", "--method", "majority,best_of_n")
    rows = json.loads((scripts / "a" / "results.json").read_text())["by_aggregation"]
    best = {row["aggregation"]: row for row in rows if row["method"] == "best_of_n"}
    assert set(best) == {"last", "min", "mean", "product"}
    assert [at["accuracy"] for at in best["last"]["at"]] == [1.0, 0.8, 0.8]
    assert best["last"]["lost"]["value"] == pytest.approx(-0.2)
    assert "| best of N | last | 100.0 | 80.0 | 80.0 | -20.0" in (scripts / "a" / "table.md").read_text()
    assert (scripts / "a" / "accuracy-by-n.png").stat().st_size > 0


@pytest.mark.parametrize("method", ["particles", "revision"])
def test_searches_with_rollouts_of_their_own_can_be_evaluated(scripts, method):
    words = ["--reward", f"scripted:{scripts}/reward.json", "--method", method, "--set", "revision.enough=0.1"]
    points = evaluate(scripts, "a", *words)
    assert {budget for _, budget in points} == {1, 2, 4}
    assert all(point["accuracy"] >= 0.8 for point in points.values())


def test_mutual_reasoning_needs_a_discriminator_and_searches_by_what_the_format_has(scripts, capsys):
    base = [
        "eval",
        str(scripts / "problems.jsonl"),
        "--model",
        f"scripted:{scripts}/policy.json",
        "--method",
        "mutual",
    ]
    assert ponderosa(*base, "--out", str(scripts / "a")) == 1
    assert "mutual needs a discriminator, a second policy: name one with --discriminator" in capsys.readouterr().err
    second = ["--discriminator", f"scripted:{scripts}/policy.json", "--processes", "1", "--budgets", "2"]
    assert ponderosa(*base, *second, "--out", str(scripts / "b")) == 1
    assert "take a format whose steps are words" in capsys.readouterr().err


def script(folder: Path, format: str, said: dict[str, list[str]], stop: str) -> None:
    """A policy that says these completions to these questions."""
    table = {
        make_format(format).render(question).text: [{"text": text, "stop_reason": stop} for text in texts]
        for question, texts in said.items()
    }
    (folder / "policy.json").write_text(json.dumps({"prompt_prefix": "", "table": table}))


def results(folder: Path, problems: str, *words: str) -> dict:
    base = ["--model", f"scripted:{folder}/policy.json", "--processes", "1", "--method", "majority"]
    assert ponderosa("eval", problems, *base, "--out", str(folder / "out"), *words) == 0
    return json.loads((folder / "out" / "results.json").read_text())


def test_programs_are_evaluated_by_the_tests_of_their_problems(tmp_path):
    rows = [
        {"task_id": i, "text": f"Add {i}.", "test_list": [f"assert add(1) == {i + 1}"], "test_setup_code": ""}
        for i in (1, 2)
    ]
    (tmp_path / "mbpp.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    questions = [problem.question for problem in load_problems("mbpp", tmp_path).problems]
    programs = ["def add(x):\n    return x + 1  # one", "import sys\nsys.exit(0)", "def add(x):\n\n    return x + 1"]
    said = [f"Think.\n\n```python\n{program}\n" for program in programs]
    script(tmp_path, "program", dict.fromkeys(questions, said), "```\n")
    found = results(tmp_path, "mbpp", "--data-dir", str(tmp_path), "--format", "program", "--budgets", "3")
    points = {point["method"]: point for point in found["points"]}
    assert points["majority"]["right"] == "10"  # two votes for the same program
    assert points["pass"]["accuracy"] == 0.5
    assert found["grading"] == {"answers": 4, "judged": 0, "failed": {}}


def test_choices_are_evaluated_by_their_letters_and_texts(tmp_path):
    row = {"question": "Which is red?", "choices": {"label": ["A", "B"], "text": ["sky", "blood"]}, "answerKey": "B"}
    (tmp_path / "p.jsonl").write_text(json.dumps(row))
    said = [f"So \\boxed{{{answer}}}" for answer in ("A", "(B)", "blood")]
    script(tmp_path, "text", {"Which is red?\n(A) sky\n(B) blood": said}, "\n\n")
    found = results(tmp_path, str(tmp_path / "p.jsonl"), "--format", "text", "--budgets", "3")
    assert {point["method"]: point["accuracy"] for point in found["points"]} == {"majority": 1.0, "pass": 1.0}


def test_what_could_not_be_graded_is_counted(tmp_path):
    rows = [{"question": "Add.", "answer": "1"}, {"question": "Write.", "answer": "2"}]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    script(tmp_path, "text", {"Add.": ["\\boxed{1}"], "Write.": ["\\boxed{" + "x" * (LONGEST + 1) + "}"]}, "\n\n")
    found = results(tmp_path, str(tmp_path / "p.jsonl"), "--format", "text", "--budgets", "1")
    assert found["grading"] == {"answers": 2, "judged": 0, "failed": {"too_long": 1}}
    assert "Not graded, and counted as wrong: 1 too long, of 2 answers." in (tmp_path / "out" / "table.md").read_text()


def test_problems_that_a_backend_refused_are_said_and_where_it_was_all_there_is_no_result(
    scripts: Path, capsys
) -> None:
    path = scripts / "policy.json"
    script = json.loads(path.read_text())
    script["table"].pop(FORMAT.render("What is 1?").text)
    path.write_text(json.dumps(script))
    evaluate(scripts, "some", "--method", "majority,greedy")
    assert "Refused by a backend, and counted as wrong: 2 of 10 searches." in capsys.readouterr().out
    path.write_text('{"table": {}}')
    words = ["--model", f"scripted:{path}", "--method", "majority", "--budgets", "2", "--processes", "1"]
    assert ponderosa("eval", str(scripts / "problems.jsonl"), *words, "--out", str(scripts / "all")) == 1
    told = capsys.readouterr().err
    assert "ponderosa: every problem was refused: the script has no prompt" in told
    assert not (scripts / "all" / "results.json").exists()
    path.write_text("{}")
    assert ponderosa("eval", str(scripts / "problems.jsonl"), *words, "--out", str(scripts / "none")) == 1
    assert "policy.json is no script: an object" in capsys.readouterr().err
