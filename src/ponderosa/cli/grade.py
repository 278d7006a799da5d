"""`ponderosa grade`."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ponderosa.core import PonderosaError, Problem, Verdict

WINDOW = 1000
"""Lines that are compared at a time."""
_STATUS = (
    ("timed out", "timed_out"),
    ("out of memory", "out_of_memory"),
    ("crashed", "crashed"),
    ("at most", "too_long"),
)


class Row(NamedTuple):
    """A line of the file."""

    answer: str
    reference: str


def grade(file: Path, *, timeout: float = 5.0, workers: int = 2) -> None:
    """Compare answers with references, and print one JSON object a line.

    Parameters
    ----------
    file
        A file of JSON lines {"answer", "reference"}; either may be a sentence with the answer in it.
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
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            try:
                record = json.loads(line)
                yield Row(_text(record["answer"]), _text(record["reference"]))
            except (ValueError, KeyError, TypeError) as error:
                wanted = 'a JSON object {"answer": ..., "reference": ...}'
                raise PonderosaError(
                    f"{file}, line {number}: a line is {wanted}, of texts or numbers ({error!r})"
                ) from error


def _text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(f"{value!r} is neither a text nor a number")
    return str(value)


async def _grade(rows: list[Row], timeout: float, workers: int) -> Counter[str]:
    """Prints the lines in their order as they come; how many there were of each status, and how many `correct`."""
    from ponderosa.grading import extract_answer, normalise

    counts: Counter[str] = Counter()
    async for row, verdict in _verdicts(rows, timeout, workers):
        status = _status(verdict)
        record = {
            "correct": verdict.correct,
            "status": status,
            "answer": normalise(extract_answer(row.answer)),
            "reference": normalise(extract_answer(row.reference)),
        }
        if verdict.failure:
            record["failure"] = verdict.failure
        print(json.dumps(record, ensure_ascii=False))
        counts[status] += 1
        counts["correct"] += verdict.correct
    return counts


async def _verdicts(rows: list[Row], timeout: float, workers: int) -> AsyncIterator[tuple[Row, Verdict]]:
    from ponderosa.grading import MathGrader, extract_answer

    async with MathGrader(timeout, workers=workers) as grader:
        for start in range(0, len(rows), WINDOW):
            window = rows[start : start + WINDOW]
            asked = (
                grader.grade(extract_answer(row.answer), Problem(str(i), "", extract_answer(row.reference)))
                for i, row in enumerate(window)
            )
            for row, verdict in zip(window, await asyncio.gather(*asked), strict=True):
                yield row, verdict


def _status(verdict: Verdict) -> str:
    if verdict.failure is None:
        return "ok"
    return next((status for words, status in _STATUS if words in verdict.failure), "error")
