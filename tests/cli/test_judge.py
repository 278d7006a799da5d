"""Judges through the commands, with scripted replies."""

import csv
import json
from pathlib import Path

import pytest

from ponderosa.cli import main
from ponderosa.core import Kind, Problem, make_format
from ponderosa.models.judge import critique, question_of

FORMAT = make_format("proof")
PROBLEMS = [Problem(str(i), f"Prove that {2 * i} is even.", kind=Kind.PROOF) for i in range(1, 5)]
RIGHT, WRONG = ("It is two times something.\n\n", "So it is even."), ("It ends with a digit.\n\n", "So it is even.")


def ponderosa(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    return int(end.value.code or 0)


def asked(text: str) -> str:
    return f"{text}\n\n"


def replies(*texts: str) -> list[dict]:
    return [{"text": text, "stop_reason": None} for text in texts]


def script(path: Path, table: dict) -> str:
    path.write_text(json.dumps({"table": table}))
    return f"scripted:{path}"


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """Every problem is proved wrongly first, then rightly; one judge knows the first wrong step, one the verdict."""
    proofs, steps, verdicts = {}, {}, {}
    for problem in PROBLEMS:
        proofs[FORMAT.render(problem.question).text] = replies(*("".join(proof) for proof in (WRONG, RIGHT)))
        for proof, first, verdict in ((WRONG, 0, "incorrect"), (RIGHT, -1, "correct")):
            steps[asked(critique(problem.question, proof))] = replies(f"\\boxed{{{first}}}", "I do not know.")
            verdicts[asked(question_of("".join(proof), problem))] = replies(f"\\boxed{{{verdict}}}")
    script(tmp_path / "policy.json", proofs)
    script(tmp_path / "steps.json", steps)
    script(tmp_path / "verdicts.json", verdicts)
    mute = dict.fromkeys((*steps, *verdicts), replies("Hm.", "Hm."))
    script(tmp_path / "mute.json", mute)
    (tmp_path / "proofs.jsonl").write_text("".join(json.dumps({"problem": p.question}) + "\n" for p in PROBLEMS))
    return tmp_path


def evaluation(scripts: Path, **changed: str) -> list[str]:
    options = {
        "format": "proof",
        "processes": "1",
        "model": f"scripted:{scripts}/policy.json",
        "reward": f"judge?samples=2:scripted:{scripts}/steps.json",
        "grader": f"judge?samples=1:scripted:{scripts}/verdicts.json",
        "method": "greedy,best_of_n",
        "budgets": "2",
        "out": f"{scripts}/eval",
    } | changed
    return ["eval", f"{scripts}/proofs.jsonl?kind=proof", *(f"--{name}={value}" for name, value in options.items())]


def test_proofs_are_chosen_and_graded_by_judges_and_every_figure_says_so(scripts: Path, capsys) -> None:
    assert ponderosa(*evaluation(scripts)) == 0
    shown = " ".join(capsys.readouterr().out.split())
    results = json.loads((scripts / "eval" / "results.json").read_text())
    accuracy = {point["method"]: point["accuracy"] for point in results["points"]}
    assert accuracy == {"greedy": 0.0, "best_of_n": 1.0, "pass": 1.0}
    assert results["grading"] == {"answers": 8, "judged": 8, "failed": {}}
    assert results["searches"]["samples"]["unread_scores"] == 0
    rows = list(csv.DictReader((scripts / "eval" / "table.csv").read_text().splitlines()))
    assert {row["judged_by_a_model"] for row in rows} == {"True"}
    assert "accuracy as judged by a model, % [95 %]" in (scripts / "eval" / "table.md").read_text()
    assert "Judged by a model (judge?samples=1:scripted:" in shown
    assert "not checked: 8 of 8 answers." in shown
    assert ponderosa("compare", f"{scripts}/eval", f"{scripts}/eval") == 0
    assert "eval: judged by a model, not checked" in " ".join(capsys.readouterr().out.split())


def test_a_second_run_asks_no_judge_again(scripts: Path) -> None:
    assert ponderosa(*evaluation(scripts)) == 0
    first = (scripts / "eval" / "results.json").read_text()
    for name in ("steps", "verdicts"):
        script(scripts / f"{name}.json", {})
    assert ponderosa(*evaluation(scripts)) == 0
    assert (scripts / "eval" / "results.json").read_text() == first


def test_a_judge_of_steps_that_cannot_be_read_is_said(scripts: Path, capsys) -> None:
    assert ponderosa(*evaluation(scripts, reward=f"judge?samples=2:scripted:{scripts}/mute.json")) == 0
    points = json.loads((scripts / "eval" / "results.json").read_text())["points"]
    assert {point["accuracy"] for point in points if point["method"] == "best_of_n"} == {0.0}  # of equals the first
    shown = " ".join(capsys.readouterr().out.split())
    assert "On 8 paths the judge of steps said nothing that could be read: they are worth 0." in shown


def test_a_grader_that_cannot_be_read_is_an_error_and_no_figure(scripts: Path, capsys) -> None:
    assert ponderosa(*evaluation(scripts, grader=f"judge?samples=1:scripted:{scripts}/mute.json")) == 1
    assert "the grader had no word on any of 8 answers: the judge gives no verdict: ...'Hm.'" in capsys.readouterr().err
    assert not (scripts / "eval" / "results.json").exists()


def test_a_judge_that_refuses_some_answers_costs_those(scripts: Path) -> None:
    path = scripts / "verdicts.json"
    table = json.loads(path.read_text())["table"]
    script(path, dict(list(table.items())[1:]))
    assert ponderosa(*evaluation(scripts)) == 0
    results = json.loads((scripts / "eval" / "results.json").read_text())
    assert results["grading"] == {"answers": 8, "judged": 7, "failed": {"refused": 1}}
    assert "Not graded, and counted as wrong: 1 refused, of 8 answers." in (scripts / "eval" / "table.md").read_text()


def searched(scripts: Path, *more: str, grader: str = "verdicts") -> list[str]:
    return [
        "search", f"{scripts}/proofs.jsonl?kind=proof", "--format", "proof", "--method", "sample", "--set", "n=2",
        "--model", f"scripted:{scripts}/policy.json", "--out", f"{scripts}/run", "--processes", "1",
        "--judged", "--grader", f"judge?samples=1:scripted:{scripts}/{grader}.json", *more,
    ]  # fmt: skip


def test_data_made_from_judged_problems_are_marked_as_such(scripts: Path, capsys) -> None:
    assert ponderosa(*searched(scripts)) == 0
    assert "4 of 4 problems solved, judged by a model" in " ".join(capsys.readouterr().out.split())
    assert ponderosa("export", f"{scripts}/run", "--format", "sft", "--out", f"{scripts}/sft") == 0
    card = (scripts / "sft" / "README.md").read_text()
    assert "Made by Ponderosa from run, judged by a model, not checked: trees" in card
    assert "| 4 | 4 | 4 |" in card  # the right proof of each


def test_what_a_judge_gives_no_verdict_on_makes_no_data(scripts: Path, capsys) -> None:
    assert ponderosa(*searched(scripts, grader="mute")) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "0 of 4 problems solved" in shown
    assert "8 of 8 answers have no verdict" in shown
    assert ponderosa("export", f"{scripts}/run", "--format", "orm", "--out", f"{scripts}/orm") == 0
    assert "0 rows" in capsys.readouterr().out


def test_solve_chooses_a_proof_by_a_judge(scripts: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("ponderosa.api.searching.SearchSettings", lambda: _settings())
    policy, judge = f"scripted:{scripts}/policy.json", f"judge?samples=2:scripted:{scripts}/steps.json"
    words = ["--model", policy, "--reward", judge, "--method", "best_of_n", "--format", "proof"]
    assert ponderosa("solve", PROBLEMS[0].question, *words) == 0
    shown = capsys.readouterr().out
    assert "Answer: It is two times something." in shown
    assert "confidence 1.00" in shown


def _settings():
    from ponderosa.search import SampleSettings, SearchSettings

    return SearchSettings(sample=SampleSettings(2, 1.0))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"format": "text"}, "problem 0 is a proof, all of which is its answer: use --format proof"),
        ({"model": "judge:x"}, "judge:x judges and proposes nothing"),
        ({"grader": "judge?n=3:x"}, "judge has no option n: choose of samples, temperature, max_tokens"),
        ({"grader": "judge"}, "judge names no model that judges"),
    ],
)
def test_wrong_input_is_one_line(scripts: Path, capsys, changed: dict[str, str], message: str) -> None:
    assert ponderosa(*evaluation(scripts, **changed)) == 1
    assert message in " ".join(capsys.readouterr().err.split())


def test_proofs_without_a_judge_are_an_error_that_says_what_to_do(scripts: Path, capsys) -> None:
    words = [f"{scripts}/proofs.jsonl?kind=proof", "--model", "scripted:x", "--format", "proof", "--out"]
    assert ponderosa("eval", *words, f"{scripts}/a") == 1
    assert "what --format proof makes can only be judged: name a judge with --grader" in capsys.readouterr().err
    assert ponderosa("search", *words, f"{scripts}/b", "--judged") == 1
    assert "name a judge with --grader judge:POLICY" in capsys.readouterr().err
    assert ponderosa("search", words[0], *words[1:3], "--out", f"{scripts}/c") == 1
    assert "problem 0 is a proof, all of which is its answer: use --format proof" in capsys.readouterr().err
