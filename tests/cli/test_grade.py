"""`ponderosa grade` through the command."""

import json
from pathlib import Path

import pytest

from ponderosa.cli import main


def grade(tmp_path: Path, *lines: object, words: tuple[str, ...] = ()) -> int:
    file = tmp_path / "answers.jsonl"
    file.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    with pytest.raises(SystemExit) as end:
        main(["grade", str(file), *words])
    return int(end.value.code or 0)


def test_every_line_gets_a_verdict_in_order(tmp_path, capsys):
    rows = [
        {"answer": "So the answer is 18.", "reference": "9 eggs.\n#### 18"},
        {"answer": 0.5, "reference": "\\frac{1}{2}"},
        {"answer": "\\sqrt{8}", "reference": "2\\sqrt{2}"},
        {"answer": "10^{10^{10}}", "reference": "10^{10^{9}}"},
        {"answer": "no", "reference": "yes"},
    ]
    assert grade(tmp_path, *rows, words=("--timeout", "2")) == 0
    printed = capsys.readouterr()
    found = [json.loads(line) for line in printed.out.splitlines()]
    assert [row["correct"] for row in found] == [True, True, True, False, False]
    assert [row["status"] for row in found] == ["ok", "ok", "ok", "timed_out", "ok"]
    assert (found[0]["answer"], found[0]["reference"]) == ("18", "18")
    assert printed.err == "3 of 5 correct; 1 timed_out\n"


def test_a_line_may_say_of_what_kind_it_is_and_how_far_it_may_be_off(tmp_path, capsys):
    choices = {"kind": "choice", "choices": ["an apple", "a pear"], "reference": "B"}
    rows = [
        {"answer": "The answer is 9.81.", "reference": "9.8", "tolerance": 0.01},
        {"answer": "9.81", "reference": "9.8"},
        {"answer": "The answer is (b).", **choices},
        {"answer": "an apple", **choices},
        {"answer": "print(int(input()) * 2)", "kind": "code", "tests": [{"stdin": "4", "stdout": "8"}]},
        {"answer": "It follows.", "reference": "x", "kind": "proof"},
    ]
    assert grade(tmp_path, *rows) == 0
    printed = capsys.readouterr()
    found = [json.loads(line) for line in printed.out.splitlines()]
    assert [row["correct"] for row in found] == [True, False, True, False, True, False]
    assert printed.err == "3 of 6 correct; 1 no_reference\n"


@pytest.mark.parametrize(
    "line",
    [
        *("{", "[1]", '{"answer": 1}', '{"answer": null, "reference": 1}'),
        '{"answer": 1, "reference": 1, "kind": "essay"}',
        '{"answer": 1, "reference": 1, "tolerance": 2}',
        '{"answer": 1, "reference": 1, "kind": "choice", "choices": 5}',
        "[" * 100_000,
    ],
)
def test_a_line_that_is_none_is_named(tmp_path, capsys, line):
    assert grade(tmp_path, {"answer": 1, "reference": 1}, line) == 1
    assert "line 2: a line is a JSON object" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["grade", str(tmp_path / "none")])
    assert "No such file or directory" in capsys.readouterr().err


def test_bytes_that_are_no_text_are_named_and_what_no_text_can_hold_is_wrong(tmp_path, capsys):
    assert grade(tmp_path, '\ufeff{"answer": "\\ud800", "reference": 1}') == 0
    assert json.loads(capsys.readouterr().out) == {"correct": False, "status": "ok", "answer": "?", "reference": "1"}
    file = tmp_path / "bytes.jsonl"
    file.write_bytes(b"\xff")
    with pytest.raises(SystemExit):
        main(["grade", str(file)])
    assert f"ponderosa: cannot read {file}: 'utf-8' codec" in capsys.readouterr().err
