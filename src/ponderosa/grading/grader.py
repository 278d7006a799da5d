"""`MathGrader`: compares numbers exactly and by itself, everything else with math-verify in a process of its own."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Self

from ponderosa.core import Graded, Problem, Verdict
from ponderosa.grading.normal_form import LONGEST, tidy
from ponderosa.grading.number import read_decimal_comma, read_number, same_digits, same_number
from ponderosa.grading.units import split_unit
from ponderosa.grading.wording import same_wording
from ponderosa.grading.worker import Worker


class MathGrader:
    """A `Grader` for answers in mathematics: numbers, expressions, tuples, sets, text.

    Equal normal forms and rational numbers are decided at once; the rest goes to math-verify, `timeout_s` at most, in
    one of `workers` processes, started when first needed. What could not be compared (timed out, crashed, not
    understood) is a verdict whose `status` names the failure. A problem's `meta["tolerance"]` says how far a number may
    be off (see `same_number`). May serve several event loops.
    """

    def __init__(
        self, timeout_s: float = 5.0, *, workers: int = 1, memory_mb: int = 4096, cache_size: int = 65_536
    ) -> None:
        self._workers = [Worker(timeout_s, memory_mb) for _ in range(workers)]
        self._idle: SimpleQueue[Worker] = SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(workers, "grader")  # one for each worker, so that none waits for an idle one
        self._cache: dict[tuple[str, str, float], Verdict] = {}
        self._cache_size = cache_size

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def grade(self, answer: str, problem: Problem) -> Verdict:
        """Is `answer` right for `problem`? Never raises for anything that `answer` says."""
        if problem.answer is None:
            return Verdict(False, Graded.NO_REFERENCE, "the problem has no reference answer")
        return await self._compare(problem.answer, answer, _tolerance(problem))

    async def equivalent(self, a: str, b: str, problem: Problem) -> bool:
        """Symmetric: of two ways round, which math-verify may judge differently, one yes is enough."""
        tolerance = _tolerance(problem)
        return (await self._compare(a, b, tolerance)).correct or (await self._compare(b, a, tolerance)).correct

    async def close(self) -> None:
        """Ends the worker processes."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            await asyncio.to_thread(worker.close)

    async def _compare(self, gold: str, answer: str, tolerance: float) -> Verdict:
        verdict = compare_quickly(gold, answer, tolerance)
        if verdict is not None:
            return verdict
        asked = split_unit(tidy(gold))[0], split_unit(tidy(answer))[0], tolerance
        if (known := self._cache.get(asked)) is not None:
            return known
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._compare_slowly, asked)

    def _compare_slowly(self, asked: tuple[str, str, float]) -> Verdict:
        """Runs in a thread, which waits for a worker's process."""
        if (known := self._cache.get(asked)) is not None:  # by now: the same was asked several times at once
            return known
        worker = self._idle.get()
        try:
            verdict = worker.compare(*asked)
        finally:
            self._idle.put(worker)
        if len(self._cache) >= self._cache_size:
            self._cache.clear()
        self._cache[asked] = verdict
        return verdict


def _tolerance(problem: Problem) -> float:
    return float(problem.meta.get("tolerance") or 0.0)


def compare_quickly(gold: str, answer: str, tolerance: float = 0.0) -> Verdict | None:
    """The verdict where it takes no algebra: equal texts, two rational numbers, no answer at all; else None."""
    tidied = tidy(gold), tidy(answer)
    if (verdict := _compare_numbers(*tidied, tolerance)) is not None:
        return verdict
    if tidied[0] == tidied[1] or not tidied[1]:
        return Verdict(bool(tidied[1]))
    if (length := max(len(gold), len(answer))) > LONGEST:
        return Verdict(False, Graded.TOO_LONG, f"an answer of {length} characters; at most {LONGEST} are compared")
    if any(text.count("{") != text.count("}") for text in (gold, answer)):  # no LaTeX, and slow for a parser to tell
        return Verdict(False)
    if (said := same_wording(*tidied)) is not None:
        return Verdict(said)
    (gold, unit), (answer, other) = map(split_unit, tidied)
    if unit and other and unit != other:
        return Verdict(False)
    if gold == answer:
        return Verdict(True)
    if (verdict := _compare_numbers(gold, answer, tolerance)) is not None:
        return verdict
    said = same_digits(gold, answer)
    return None if said is None else Verdict(said)


def _compare_numbers(gold: str, answer: str, tolerance: float) -> Verdict | None:
    """None if one of the two is no rational number."""
    a, b = read_number(gold), read_number(answer)
    if a is not None or b is not None:
        a, b = a or read_decimal_comma(gold), b or read_decimal_comma(answer)
    return None if a is None or b is None else Verdict(same_number(a, b, tolerance))
