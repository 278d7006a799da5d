"""`ponderosa problems` and `ponderosa reflection`."""

import json
from pathlib import Path

import pytest

from ponderosa.cli import main
from ponderosa.core import Outcome, Problem, Tree
from ponderosa.evolution import Run
from ponderosa.evolution.star import STaR
from ponderosa.forest import SFTRow, read_rows, write_forest
from ponderosa.problems import write_problems


def rows(path: Path, *questions: str) -> str:
    path.write_text(
        "".join(json.dumps({"id": f"{path.stem}{i}", "question": q}) + "\n" for i, q in enumerate(questions))
    )
    return str(path)


def done(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == 0


def test_decontamination_writes_what_remains_and_what_was_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = rows(tmp_path / "train.jsonl", "What is 1 + 1?", "What is 5?", "what is  $1+1$")
    test = rows(tmp_path / "test.jsonl", "What is 1+1")
    out = tmp_path / "clean.jsonl"
    done("problems", "decontaminate", train, "--against", test, "--out", str(out))
    assert [json.loads(line)["question"] for line in out.read_text().splitlines()] == ["What is 5?"]
    report = json.loads((tmp_path / "clean.removed.json").read_text())
    assert [match["problem_id"] for match in report["matches"]] == ["train0", "train2"]
    assert (report["problems"], report["removed"]) == (3, 2)
    assert "2 of 3 problems stand in a benchmark" in capsys.readouterr().out.replace("\n", " ")


def test_nothing_that_is_there_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = rows(tmp_path / "train.jsonl", "What is 1 + 1?")
    with pytest.raises(SystemExit):
        main(["problems", "decontaminate", train, "--against", train, "--out", train])
    assert "exists" in capsys.readouterr().err


def test_reflection_is_counted_in_any_forest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = Tree("p:train:1", "How many?")
    node = 0
    for step in ("# Step 1\nb = 4", "# Step 2\nb = 12 + 4", "# Step 3\nprint(b)", "\\boxed{16}"):
        node = tree.add(node, step)
    tree.nodes[node].outcome, tree.nodes[node].answer, tree.nodes[node].reward = Outcome.ANSWERED, "16", 1.0
    write_forest(tmp_path / "trees.parquet", [tree])
    done("reflection", str(tmp_path))
    said = capsys.readouterr().out
    assert "p:train:1: a value computed anew, at step 1" in said
    assert "b = 12 + 4" in said


def test_exported_data_have_no_hint_in_their_questions(tmp_path: Path) -> None:
    """STaR tells the answer with the question; what is trained on is as if it had not."""
    run = tmp_path / "run"
    with Run.open(run, STaR(policy="base")):
        pass
    for place, hint, reward in ((0, "", -1.0), (1, " (The answer is 16.)", 1.0)):
        forest = run / "round-1" / "search" / f"tree-{place}"
        write_problems(forest / "problems.jsonl", [Problem("p", f"How many?{hint}", "16")])
        tree = Tree("p", f"How many?{hint}", index=place)
        tree.add(0, "\\boxed{16}", outcome=Outcome.ANSWERED, answer="16", reward=reward)
        write_forest(forest / "shard-00000.parquet", [tree])
    done("export", str(run), "--format", "sft", "--out", str(tmp_path / "rows"))
    (row,) = read_rows(tmp_path / "rows", SFTRow)
    assert row.question == "How many?"
    assert "The answer is" not in row.prompt


def test_synthesis_says_what_is_wrong_before_it_begins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    solved = rows(tmp_path / "solved.jsonl", "What is 1 + 1?")
    with pytest.raises(SystemExit):
        main(["problems", "synthesize", solved, "--model", "scripted:none.json", "--out", str(tmp_path / "out")])
    assert "answers are values" in capsys.readouterr().err
