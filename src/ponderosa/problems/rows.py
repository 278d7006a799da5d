"""From a row, in any shape that is known, to a problem."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ponderosa.core import Kind, PonderosaError, Problem, boxed_answer
from ponderosa.problems.choices import answer_letter, find_choices, listed
from ponderosa.problems.programs import find_tests

QUESTIONS = ("question", "problem", "prompt", "input", "question_stem", "text", "ctx", "Question", "question_content")
ANSWERS = ("answer", "final_answer", "expected_answer", "target", "solution")
IDS = ("id", "unique_id", "task_id", "question_id", "index", "idx")


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that were named, and what they say of all rows; None is to find out."""

    question: str | None = None
    answer: str | None = None
    id: str | None = None
    choices: str | None = None
    kind: str | None = None
    tolerance: str | None = None


def to_problem(row: Any, place: str, number: int, columns: Columns) -> Problem:
    """The problem of a row; `place` names it in errors. Raises `PonderosaError` if it is none."""
    if not isinstance(row, Mapping):
        raise PonderosaError(f"{place}: not a problem; an object with a question and an answer is expected")
    if isinstance(row.get("question"), Mapping):  # ARC's and CommonsenseQA's own files
        row = {**row, **row["question"], "question": row["question"].get("stem")}
    for named in filter(None, (columns.question, columns.answer, columns.id, columns.choices)):
        if named not in row:
            raise PonderosaError(f"{place}: there is no column {named}, only {', '.join(map(str, row))}")
    question = _column(row, columns.question, QUESTIONS)
    if not isinstance(question, str) or not question.strip():
        names = ", ".join(map(str, row))
        raise PonderosaError(
            f"{place}: not a problem, it has no question (its columns: {names}); name the column with ?question=COLUMN"
        )
    name = _column(row, columns.id, IDS)
    meta = row.get("meta")
    problem = Problem(
        str(number if name is None else name), question, meta=dict(meta) if isinstance(meta, Mapping) else {}
    )
    return _with_tolerance(_of_kind(problem, row, place, columns), row, place, columns)


def _of_kind(problem: Problem, row: Mapping[str, Any], place: str, columns: Columns) -> Problem:
    """The problem with its kind, its answer, and what its grader needs."""
    own = row.get("kind")
    kind = _kind(columns.kind, place) or (Kind(own) if own in list(Kind) else None)
    written = "choices" in problem.meta or "tests" in problem.meta  # a problem file of our own: nothing is to be found
    if kind in (None, Kind.CHOICE) and not written:
        if choices := find_choices(row, columns.choices, place):
            answer = answer_letter(row, choices, columns.answer, place)
            question, meta = listed(problem.question, choices.texts), {**problem.meta, "choices": list(choices.texts)}
            return replace(problem, question=question, answer=answer, kind=Kind.CHOICE, meta=meta)
        if kind is Kind.CHOICE:
            raise PonderosaError(f"{place}: there are no choices; name their column with ?choices=COLUMN")
    if kind in (None, Kind.CODE) and not written:
        if found := find_tests(row, problem.question, place):
            meta = {**problem.meta, "tests": found.tests}
            return replace(problem, question=found.question, answer=found.solution, kind=Kind.CODE, meta=meta)
        if kind is Kind.CODE:
            raise PonderosaError(f"{place}: there are no tests; docs/problems.md says where they may stand")
    kind = kind or Kind.MATH
    return replace(problem, answer=_answer(_column(row, columns.answer, ANSWERS), kind), kind=kind)


def _kind(name: str | None, place: str) -> Kind | None:
    if name is None:
        return None
    try:
        return Kind(name)
    except ValueError:
        raise PonderosaError(f"{place}: there is no kind {name!r}: choose one of {', '.join(Kind)}") from None


def _with_tolerance(problem: Problem, row: Mapping[str, Any], place: str, columns: Columns) -> Problem:
    """The problem with how far a number may be off, a column or the same for all."""
    if columns.tolerance is None:
        return problem
    value = row.get(columns.tolerance, columns.tolerance)
    if value is None:
        return problem
    try:
        tolerance = float(value)
    except (TypeError, ValueError):
        tolerance = -1.0
    if not 0 <= tolerance < 1:
        raise PonderosaError(f"{place}: the tolerance {value!r} is neither a share below 1 nor a column")
    return replace(problem, meta={**problem.meta, "tolerance": tolerance})


def _column(row: Mapping[str, Any], named: str | None, usual: tuple[str, ...]) -> Any:
    return next((row[name] for name in ([named] if named else usual) if row.get(name) is not None), None)


def _answer(value: Any, kind: Kind) -> str | None:
    """The answer alone: of GSM8K's solutions what follows the mark, of others what is in the box, of a list its one. Of
    a proof it is all.
    """
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    if value is None or value == [] or value != value:  # a table's empty cell may be not a number
        return None
    if isinstance(value, list):
        return ", ".join(map(str, value))
    text = str(value).strip()
    if kind is Kind.PROOF:
        return text or None
    _, mark, rest = text.rpartition("####")
    return (rest.strip() if mark else boxed_answer(text) or text) or None
