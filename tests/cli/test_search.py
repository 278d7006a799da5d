"""`ponderosa search` and `export` through the command, on the golden data of the public code."""

import json
import re
from pathlib import Path

import pytest

from ponderosa.cli import main
from ponderosa.core import CodeFormat

GOLDEN = Path(__file__).parents[3] / "shared" / "golden"
golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden data are not here")
RUNS = {
    "a_sample_mcts": ["--grader"],
    "b_sft_sample_mcts": ["--reward", "--grader"],
    "c_sft_eval_mcts": ["--reward"],
    "e_sft_eval_greedy": [],
}


def problems(path: Path, run: str) -> Path:
    script = json.loads((GOLDEN / f"{run}.trees.json").read_text())
    rows = [{"id": p["index"], "question": p["question"], "answer": p["answer"]} for p in script["problems"]]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def ponderosa(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    return int(end.value.code or 0)


def search(tmp_path: Path, run: str, *more: str, code: int = 0) -> Path:
    parts = {"--grader": "grader", "--reward": "reward"}
    scripts = [word for part in RUNS[run] for word in (part, f"scripted:{GOLDEN}/{run}.{parts[part]}.json")]
    greedy = run == "e_sft_eval_greedy"
    sizes = [] if greedy else ["--candidates", "4", "--rollouts", "8"]
    ended = ponderosa(
        "search", str(problems(tmp_path / "problems.jsonl", run)), "--preset", f"rstar-official/{run[2:]}",
        "--model", f"scripted:{GOLDEN}/{run}.policy.json", *scripts, *sizes, "--max-depth", "8",
        "--out", str(tmp_path / "run"), "--processes", "1", *more,
    )  # fmt: skip
    assert ended == code
    return tmp_path / "run"


def portable(value):
    """Import errors name the file of the module; numbers agree to 1e-9."""
    if isinstance(value, str):
        return re.sub(r"\((?:/[^)]*/)?site-packages/", "(", value)
    return pytest.approx(value, abs=1e-9) if isinstance(value, float | int) else value


@golden
@pytest.mark.parametrize("run", RUNS)
def test_a_search_exports_what_the_official_code_wrote(tmp_path, run, capsys):
    folder = search(tmp_path, run)
    assert ponderosa("export", str(folder), "--format", "rstar", "--out", str(tmp_path / "trees.jsonl")) == 0
    records = [json.loads(line) for line in (tmp_path / "trees.jsonl").read_text().splitlines()]
    expected = json.loads((GOLDEN / f"{run}.trees.json").read_text())["problems"]
    by_question = {record["question"]: record for record in records}
    assert len(by_question) == len(expected)
    for problem in expected:
        record = by_question[problem["question"]]
        assert record["answer"] == str(problem["answer"])
        assert list(record["rstar"]) == list(problem["rstar"])
        for tag, node in problem["rstar"].items():
            mine = record["rstar"][tag]
            assert mine.keys() == node.keys(), tag
            assert {k: portable(v) for k, v in node.items()} == {
                k: portable(v) if isinstance(v, str) else v for k, v in mine.items()
            }, tag


@golden
def test_a_second_run_does_nothing_and_another_setting_is_an_error(tmp_path, capsys):
    folder = search(tmp_path, "b_sft_sample_mcts")
    forest = {path: path.stat().st_mtime_ns for path in (folder / "forest").rglob("*")}
    search(tmp_path, "b_sft_sample_mcts")
    assert {path: path.stat().st_mtime_ns for path in (folder / "forest").rglob("*")} == forest
    search(tmp_path, "b_sft_sample_mcts", "--seed", "3", code=1)
    assert "seed: 0 -> 3" in capsys.readouterr().err


@golden
@pytest.mark.parametrize("format", ["sft", "pairs", "orm"])
def test_data_sets_name_the_trees_and_nodes_that_they_come_from(tmp_path, format):
    from datasets import load_dataset

    folder = search(tmp_path, "b_sft_sample_mcts")
    assert ponderosa("export", str(folder), "--format", format, "--out", str(tmp_path / format)) == 0
    rows = load_dataset(str(tmp_path / format), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(rows) > 20
    assert all("#" in row["tree_id"] for row in rows)
    assert "Made by Ponderosa" in (tmp_path / format / "README.md").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--preset", "nonsense"], "there is no preset nonsense: choose one of rstar-math"),
        (["--method", "nonsense"], "there is no search nonsense"),
        (["--format", "nonsense"], "there is no step format nonsense"),
        (["--set", "nonsense=1"], "mcts has no setting nonsense"),
        (["--preset", "rstar-official/sft_sample_mcts"], "needs a reward model"),
        (
            ["--preset", "rstar"],
            "the preset rstar needs a discriminator, a second policy: name one with --discriminator",
        ),
        (["--judged"], "has no answer"),
        (["--preset", "rstar", "--discriminator", "scripted:x", "--judged"], "leave --judged out"),
        (
            ["--preset", "rstar", "--discriminator", "scripted:x", "--set", "actions=[stpe]"],
            "mutual: `actions.0`: Input should be 'step'",
        ),
        (["--outcome-reward", "scripted:x"], "--outcome-reward is for --method mcts_playouts alone"),
    ],
)
def test_wrong_input_is_one_line(tmp_path, capsys, words, message):
    file = tmp_path / "problems.jsonl"
    file.write_text('{"id": "a", "question": "How many?"}\n')
    assert ponderosa("search", str(file), "--model", "scripted:x.json", "--out", str(tmp_path / "run"), *words) == 1
    assert message in capsys.readouterr().err


def test_problems_that_a_backend_refuses_are_told_and_all_of_them_are_an_error(tmp_path, capsys):
    known = CodeFormat().render("Known?").text
    said = [{"text": "<answer>\\boxed{1}", "stop_reason": "<end_of_answer>"}]
    (tmp_path / "policy.json").write_text(json.dumps({"prompt_prefix": "", "table": {known: said}}))
    for questions, code in ((["Known?", "Unknown?"], 0), (["Unknown?"], 1)):
        file = tmp_path / f"{code}.jsonl"
        file.write_text("".join(json.dumps({"question": question}) + "\n" for question in questions))
        words = [
            "--model",
            f"scripted:{tmp_path}/policy.json",
            "--method",
            "sample",
            "--set",
            "n=1",
            "--processes",
            "1",
        ]
        assert ponderosa("search", str(file), *words, "--out", str(tmp_path / f"run-{code}")) == code
        printed = capsys.readouterr()
        told = printed.err if code else printed.out
        assert ("every problem was refused" if code else "1 were refused by a backend, e.g. problem 1") in told


def test_an_empty_or_broken_problem_file_is_named(tmp_path, capsys):
    for text, message in (("", "holds no problems"), ("{}\n", "line 1: not a problem")):
        file = tmp_path / "problems.jsonl"
        file.write_text(text)
        assert ponderosa("search", str(file), "--model", "scripted:x.json", "--out", str(tmp_path / "run")) == 1
        assert message in capsys.readouterr().err
