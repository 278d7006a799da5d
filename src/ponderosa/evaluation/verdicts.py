"""What a grader said of all answers of an evaluation."""

import asyncio
from collections import Counter, defaultdict
from typing import Any

from ponderosa.core import Graded, Grader, PonderosaError, Problem, RefusedError, Verdict

CONCURRENCY = 64
"""Answers that are graded at a time."""
_Key = tuple[str, str, str | None, str]
_NO_WORD = (Graded.UNREADABLE, Graded.REFUSED)


class Verdicts:
    """`grader`, asked once about an answer. What it refuses is a verdict too, whose status says so."""

    def __init__(self, grader: Grader) -> None:
        self._grader = grader
        self._said: dict[_Key, Verdict] = {}
        self._asking: defaultdict[_Key, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._slots = asyncio.Semaphore(CONCURRENCY)

    async def grade(self, answer: str, problem: Problem) -> Verdict:
        key = (problem.id, problem.question, problem.answer, answer)  # questions alike may have other tests
        async with self._asking[key]:
            if key not in self._said:
                async with self._slots:
                    try:
                        self._said[key] = await self._grader.grade(answer, problem)
                    except RefusedError as error:
                        self._said[key] = Verdict(False, Graded.REFUSED, str(error))
        return self._said[key]

    async def equivalent(self, a: str, b: str, problem: Problem) -> bool:
        return await self._grader.equivalent(a, b, problem)

    def summary(self) -> dict[str, Any]:
        """How many `answers` were graded, how many a model `judged`, and how many could not be, by status.

        Raises `PonderosaError` where the grader had no word on any: that nothing is right would be no result.
        """
        said = list(self._said.values())
        if said and all(verdict.status in _NO_WORD for verdict in said):
            raise PonderosaError(f"the grader had no word on any of {len(said)} answers: {said[0].detail}")
        return {
            "answers": len(said),
            "judged": sum(verdict.judged for verdict in said),
            "failed": dict(Counter(str(verdict.status) for verdict in said if verdict.status is not Graded.OK)),
        }
