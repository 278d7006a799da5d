"""`ponderosa grade`."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

from ponderosa.core import Kind, PonderosaError, Problem, Verdict
from ponderosa.grading import MathGrader, ProblemGrader, extract_answer, normalise

WINDOW = 1000
"""Lines that are compared at a time."""


Row = tuple[str, Problem]
"""An answer, and the problem with the reference; of mathematics without the sentences around them."""


def grade(file: Path, *, timeout: float = 5.0, workers: int = 2) -> None:
    """Compare answers with references, and print one JSON object a line.

    Parameters
    ----------
    file
        A file of JSON lines {"answer", "reference"}; either may be a sentence with the answer in it. A line may also
        have a "tolerance", and a "kind" with "choices" or "tests" (docs/grading.md).
    timeout
        Seconds that a comparison may take.
    workers
        Processes that compare.
    """
    if timeout <= 0 or workers < 1:
        raise PonderosaError("a comparison needs more than 0 seconds, and at least one worker")
    counts = asyncio.run(_grade(list(_rows(file)), timeout, workers))
    right, lines = counts.pop("correct", 0), counts.total()
    other = ", ".join(f"{count} {status}" for status, count in counts.items() if status != "ok")
    print(f"{right} of {lines} correct{f'; {other}' if other else ''}", file=sys.stderr)


def _rows(file: Path) -> Iterator[Row]:
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise PonderosaError(f"cannot read {file}: {error}") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield _row(json.loads(line), str(number))
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                wanted = 'a JSON object {"answer": ..., "reference": ...}'
                raise PonderosaError(
                    f"{file}, line {number}: a line is {wanted}, of texts or numbers ({error!r})"
                ) from error


def _row(record: Any, id: str) -> Row:
    if not isinstance(record, Mapping):
        raise TypeError("no object")
    kind = Kind(record.get("kind", Kind.MATH))
    meta = {name: record[name] for name in ("choices", "tests", "tolerance") if name in record}
    for name in meta.keys() & {"choices", "tests"}:
        if not isinstance(meta[name], list):
            raise TypeError(f"{name} are a list")
    if not 0 <= float(meta.get("tolerance", 0)) < 1:
        raise ValueError("a tolerance is a share below 1")
    if kind is Kind.CODE:
        return _text(record["answer"]), Problem(id, "", meta=meta, kind=kind)
    answer, reference = (_text(record[side]) for side in ("answer", "reference"))
    if kind is Kind.MATH:
        answer, reference = extract_answer(answer), extract_answer(reference)
    return answer, Problem(id, "", reference, meta, kind)


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(f"{value!r} is neither a text nor a number")
    return str(value).encode(errors="replace").decode()  # JSON can say what UTF-8 cannot


async def _grade(rows: list[Row], timeout: float, workers: int) -> Counter[str]:
    """Prints the lines in their order as they come; how many there were of each status, and how many `correct`."""
    counts: Counter[str] = Counter()
    async for (answer, problem), verdict in _verdicts(rows, timeout, workers):
        record: dict[str, Any] = {"correct": verdict.correct, "status": verdict.status, "answer": normalise(answer)}
        if problem.answer is not None:
            record["reference"] = normalise(problem.answer)
        if verdict.detail:
            record["detail"] = verdict.detail
        print(json.dumps(record, ensure_ascii=False))
        counts[verdict.status] += 1
        counts["correct"] += verdict.correct
    return counts


async def _verdicts(rows: list[Row], timeout: float, workers: int) -> AsyncIterator[tuple[Row, Verdict]]:
    from ponderosa.execution import make_executor

    async with MathGrader(timeout, workers=workers) as math, make_executor() as executor:
        grader = ProblemGrader(math, executor)
        for start in range(0, len(rows), WINDOW):
            window = rows[start : start + WINDOW]
            asked = (grader.grade(answer, problem) for answer, problem in window)
            for row, verdict in zip(window, await asyncio.gather(*asked), strict=True):
                yield row, verdict
