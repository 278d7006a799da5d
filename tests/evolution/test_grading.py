"""Which grader there is, and for which problems it will do."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from ponderosa.core import Kind, PonderosaError, Problem, Verdict
from ponderosa.evolution.grading import check_format, check_gradable, judged_by, open_grader
from ponderosa.models.judge import question_of

MATH, OPEN = Problem("m", "What is 1 + 1?", "2"), Problem("o", "Why?")
PROOF = Problem("p", "Prove it.", "As it is.", kind=Kind.PROOF)


@pytest.mark.parametrize(
    ("problem", "grader", "format", "message"),
    [
        (MATH, None, "rstar", None),
        (OPEN, "judge:x", "text", None),
        (PROOF, "judge:x", "proof", None),
        (MATH, "judge:x", "proof", None),
        (OPEN, None, "text", "problem o has no answer to compare with: give it one, or name a judge"),
        (PROOF, None, "proof", "can only be judged: name a judge"),
        (MATH, None, "proof", "can only be judged: name a judge"),
        (PROOF, "judge:x", "text", "problem p is a proof, all of which is its answer: use --format proof"),
    ],
)
def test_a_problem_needs_an_answer_or_a_judge_and_a_proof_its_format(
    problem: Problem, grader: str | None, format: str, message: str | None
) -> None:
    if message is None:
        check_gradable([MATH, problem], grader, format)
        return
    with pytest.raises(PonderosaError, match=message):
        check_gradable([MATH, problem], grader, format)


NOBODY: Any = None
"""Who runs programs, where there are none."""


def test_where_nothing_is_graded_a_proof_still_needs_its_format() -> None:
    check_format([PROOF, OPEN], "proof")
    check_format([MATH, OPEN], "text")
    with pytest.raises(PonderosaError, match="use --format proof"):
        check_format([OPEN, PROOF], "fenced")


def test_only_of_judges_is_it_said_that_they_judged() -> None:
    assert judged_by("judge?samples=1:x") == "judged by a model, not checked"
    assert judged_by("scripted:judge") == judged_by(None) == ""


def test_a_judge_is_opened_with_a_journal_that_answers_the_next_time(tmp_path: Path) -> None:
    script = tmp_path / "judge.json"
    reply = [{"text": "\\boxed{correct}", "stop_reason": None}]
    script.write_text(json.dumps({"table": {f"{question_of('So it is.', PROOF)}\n\n": reply}}))

    async def grade() -> Verdict:
        async with open_grader(f"judge?samples=1:scripted:{script}", NOBODY, tmp_path) as grader:
            return await grader.grade("So it is.", PROOF)

    assert asyncio.run(grade()) == Verdict(True, judged=True)
    script.write_text(json.dumps({"table": {}}))
    assert asyncio.run(grade()) == Verdict(True, judged=True)


def test_the_grader_of_each_kind_is_the_one_without_a_name(tmp_path: Path) -> None:
    async def grade() -> Verdict:
        async with open_grader(None, NOBODY, tmp_path) as grader:
            return await grader.grade("2.0", MATH)

    assert asyncio.run(grade()) == Verdict(True)
    assert list(tmp_path.iterdir()) == []
