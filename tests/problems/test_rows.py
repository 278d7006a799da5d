"""Rows in the shapes of the well-known data sets."""

import json
from pathlib import Path
from typing import Any

import pytest

from ponderosa.core import Kind, PonderosaError, Problem
from ponderosa.problems import load_problems

LISTED = "Which?\n(A) one\n(B) two\n(C) three"
TEXTS = ["one", "two", "three"]


def load(tmp_path: Path, *rows: dict[str, Any], options: str = "") -> list[Problem]:
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_problems(f"{path}{options}").problems


@pytest.mark.parametrize(
    "row",
    [
        {"question": "Which?", "choices": {"label": ["A", "B", "C"], "text": TEXTS}, "answerKey": "B"},
        {"question": "Which?", "choices": {"label": ["1", "2", "3"], "text": TEXTS}, "answerKey": "2"},
        {"question_stem": "Which?", "choices": {"label": ["A", "B", "C"], "text": TEXTS}, "answerKey": "B"},
        {"question": "Which?", "subject": "logic", "choices": TEXTS, "answer": 1},
        {"question": "Which?", "options": TEXTS, "answer": "B", "answer_index": 1},
        {"ctx": "Which?", "endings": TEXTS, "label": "1"},
        {"question": "Which?", "choices": TEXTS, "answer": "two"},
        {
            "question": {"stem": "Which?", "choices": [{"label": "ABC"[i], "text": t} for i, t in enumerate(TEXTS)]},
            "answerKey": "B",
        },
    ],
    ids=["CommonsenseQA", "ARC", "OpenBookQA", "MMLU", "MMLU-Pro", "HellaSwag", "by text", "ARC's own files"],
)
def test_choices_are_listed_and_the_answer_is_a_letter(tmp_path: Path, row: dict[str, Any]) -> None:
    assert load(tmp_path, row) == [Problem("0", LISTED, "B", {"choices": TEXTS}, Kind.CHOICE)]


def test_choices_may_stand_in_any_column(tmp_path: Path) -> None:
    row = {"q": "Which?", "alternatives": TEXTS, "right": 2}
    (problem,) = load(tmp_path, row, options="?question=q&answer=right&kind=choice&choices=alternatives")
    assert (problem.question, problem.answer, problem.kind) == (LISTED, "C", Kind.CHOICE)


def test_gpqas_answers_are_put_in_an_order_of_their_own(tmp_path: Path) -> None:
    rows = [
        {"Question": f"Which of {i}?", "Correct Answer": "yes\n"}
        | {f"Incorrect Answer {n}": f"no {n}" for n in (1, 2, 3)}
        for i in range(20)
    ]
    problems = load(tmp_path, *rows)
    assert all(p.meta["choices"]["ABCD".index(p.answer or "")] == "yes" for p in problems)
    assert {p.answer for p in problems} == set("ABCD")
    assert load(tmp_path, *rows) == problems


def test_tests_of_mbpp_become_one_and_name_what_they_call(tmp_path: Path) -> None:
    row = {
        "task_id": 7,
        "text": "Write a function that doubles.",
        "code": "def double(x): return 2 * x",
        "test_list": ["assert double(2) == 4", "assert math.isclose(double(.5), 1)"],
        "test_setup_code": "import math",
    }
    (problem,) = load(tmp_path, row)
    assert (problem.id, problem.kind, problem.answer) == ("7", Kind.CODE, row["code"])
    assert problem.question.endswith("assert double(2) == 4\nassert math.isclose(double(.5), 1)")
    code = "assert double(2) == 4\nassert math.isclose(double(.5), 1)"
    assert problem.meta["tests"] == [{"given": "import math", "calls": ["double"], "code": code}]


def test_tests_of_humaneval_check_the_entry_point(tmp_path: Path) -> None:
    prompt = 'def double(x):\n    """Twice x."""\n'
    row = {
        "task_id": "HumanEval/0",
        "prompt": prompt,
        "entry_point": "double",
        "canonical_solution": "    return 2 * x\n",
        "test": "def check(candidate):\n    assert candidate(2) == 4\n",
    }
    (problem,) = load(tmp_path, row)
    assert problem.answer == prompt + row["canonical_solution"]
    code = "def check(candidate):\n    assert candidate(2) == 4\n\ncheck(double)"
    assert problem.meta["tests"] == [{"given": prompt, "calls": ["double"], "code": code}]


@pytest.mark.parametrize(
    "column",
    [
        {"input_output": json.dumps({"inputs": ["1\n", "2\n"], "outputs": ["2\n", "4\n"]})},
        {"input_output": {"inputs": [["1", ""], ["2", ""]], "outputs": ["2\n", "4\n"]}},
        {"public_test_cases": json.dumps([{"input": f"{i}\n", "output": f"{2 * i}\n"} for i in (1, 2)])},
    ],
)
def test_what_is_read_and_printed_are_pairs(tmp_path: Path, column: dict[str, Any]) -> None:
    (problem,) = load(tmp_path, {"question": "Double what you read."} | column)
    assert problem.meta["tests"] == [{"stdin": "1\n", "stdout": "2\n"}, {"stdin": "2\n", "stdout": "4\n"}]
    assert (problem.kind, problem.answer, problem.checkable) == (Kind.CODE, None, True)


@pytest.mark.parametrize(
    "row",
    [
        {"input_output": {"fn_name": "add", "inputs": [[1, 2], [3, 4]], "outputs": [[3], [7]]}},
        {
            "public_test_cases": [{"input": "1\n2", "output": "3"}, {"input": "3\n4", "output": "7"}],
            "metadata": '{"func_name": "add"}',
        },
    ],
)
def test_calls_of_a_function_become_assertions(tmp_path: Path, row: dict[str, Any]) -> None:
    starter = "class Solution:\n    def add(self, a, b):"
    (problem,) = load(tmp_path, {"question": "Add.", "starter_code": starter} | row)
    assert problem.question == f"Add.\n\n{starter}"
    assert problem.meta["tests"][0]["calls"] == ["add"]
    assert problem.meta["tests"][0]["code"] == "assert add(*(1, 2)) == 3\nassert add(*(3, 4)) == 7"


def test_a_kind_of_a_data_sets_own_is_none_of_ours(tmp_path: Path) -> None:
    (problem,) = load(tmp_path, {"question": "?", "answer": "1", "kind": "algebra"})
    assert problem.kind is Kind.MATH


def test_a_tolerance_is_a_share_or_a_column(tmp_path: Path) -> None:
    rows = [{"question": "?", "answer": "9.8", "within": 0.1}, {"question": "??", "answer": "1", "within": None}]
    assert [p.meta for p in load(tmp_path, *rows, options="?tolerance=1e-3")] == [{"tolerance": 1e-3}] * 2
    assert [p.meta for p in load(tmp_path, *rows, options="?tolerance=within")] == [{"tolerance": 0.1}, {}]


def test_a_file_of_our_own_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "question": LISTED, "answer": "B", "meta": {"choices": TEXTS}, "kind": "choice"},
        {"id": "b", "question": "?", "meta": {"tests": [{"stdin": "", "stdout": "1"}]}, "kind": "code"},
        {"id": "c", "question": "Show it.", "kind": "proof"},
    ]
    first, second, third = load(tmp_path, *rows)
    assert first == Problem("a", LISTED, "B", {"choices": TEXTS}, Kind.CHOICE)
    assert (second.kind, second.meta) == (Kind.CODE, rows[1]["meta"])
    assert (third.kind, third.answer) == (Kind.PROOF, None)


@pytest.mark.parametrize(
    ("row", "options", "message"),
    [
        ({"choices": TEXTS, "answer": 3}, "", "line 1: the answer '3' is none of the choices A, B, C"),
        ({"choices": TEXTS, "answer": "four"}, "", "the answer 'four' is none of the choices"),
        ({"answer": "B"}, "?kind=choice", "there are no choices; name their column"),
        ({"answer": "B", "c": "one"}, "?choices=c", "the column c holds no choices"),
        ({"answer": "B"}, "?choices=c", "there is no column c"),
        ({"answer": "B"}, "?kind=code", "there are no tests"),
        ({"answer": "B"}, "?kind=essay", "there is no kind 'essay': choose one of math, choice, code, proof"),
        ({"answer": "1"}, "?tolerance=lots", "the tolerance 'lots' is neither a share below 1 nor a column"),
        ({"answer": "1"}, "?tolerance=2", "the tolerance '2' is neither"),
        ({"test_list": ["assert ("]}, "", "its tests cannot be read"),
        ({"input_output": "{"}, "", "its tests cannot be read"),
        ({"input_output": {"inputs": [1], "outputs": []}}, "", "its tests cannot be read"),
    ],
)
def test_a_row_that_is_no_problem_of_its_kind_is_named(
    tmp_path: Path, row: dict[str, Any], options: str, message: str
) -> None:
    with pytest.raises(PonderosaError, match=message):
        load(tmp_path, {"question": "Which?"} | row, options=options)
