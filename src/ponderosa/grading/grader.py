"""`MathGrader`: compares numbers exactly and by itself, everything else with math-verify in a process of its own."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Self

from ponderosa.core import Problem, Verdict
from ponderosa.grading.normal_form import LONGEST, normalise, tidy
from ponderosa.grading.number import read_number, same_number
from ponderosa.grading.wording import same_wording
from ponderosa.grading.worker import Worker


class MathGrader:
    """A `Grader` for answers in mathematics: numbers, expressions, tuples, sets, text.

    Equal normal forms and rational numbers are decided at once; the rest goes to math-verify, `timeout_s` at most, in
    one of `workers` processes, started when first needed. What could not be compared (timed out, crashed, not
    understood) is a verdict with its `failure` named. May serve several event loops.
    """

    def __init__(
        self, timeout_s: float = 5.0, *, workers: int = 1, memory_mb: int = 4096, cache_size: int = 65_536
    ) -> None:
        self._workers = [Worker(timeout_s, memory_mb) for _ in range(workers)]
        self._idle: SimpleQueue[Worker] = SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(workers, "grader")  # one for each worker, so that none waits for an idle one
        self._cache: dict[tuple[str, str], Verdict] = {}
        self._cache_size = cache_size

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def grade(self, answer: str, problem: Problem) -> Verdict:
        """Is `answer` right for `problem`? Never raises for anything that `answer` says."""
        if problem.answer is None:
            return Verdict(False, "the problem has no reference answer")
        return await self._compare(problem.answer, answer)

    async def equivalent(self, a: str, b: str) -> bool:
        """Symmetric: of two ways round, which math-verify may judge differently, one yes is enough."""
        return (await self._compare(a, b)).correct or (await self._compare(b, a)).correct

    async def close(self) -> None:
        """Ends the worker processes."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            await asyncio.to_thread(worker.close)

    async def _compare(self, gold: str, answer: str) -> Verdict:
        verdict = compare_quickly(gold, answer)
        if verdict is not None:
            return verdict
        gold, answer = tidy(gold), tidy(answer)
        if (known := self._cache.get((gold, answer))) is not None:
            return known
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._compare_slowly, gold, answer)

    def _compare_slowly(self, gold: str, answer: str) -> Verdict:
        """Runs in a thread, which waits for a worker's process."""
        if (known := self._cache.get((gold, answer))) is not None:  # by now: the same was asked several times at once
            return known
        worker = self._idle.get()
        try:
            verdict = Verdict(*worker.compare(gold, answer))
        finally:
            self._idle.put(worker)
        if len(self._cache) >= self._cache_size:
            self._cache.clear()
        self._cache[gold, answer] = verdict
        return verdict


def compare_quickly(gold: str, answer: str) -> Verdict | None:
    """The verdict where it takes no algebra: equal texts, two rational numbers, no answer at all; else None."""
    if normalise(gold) == normalise(answer):
        return Verdict(bool(answer.strip()))
    if not answer.strip():
        return Verdict(False)
    if (length := max(len(gold), len(answer))) > LONGEST:
        return Verdict(False, f"an answer of {length} characters; at most {LONGEST} are compared")
    if any(text.count("{") != text.count("}") for text in (gold, answer)):  # no LaTeX, and slow for a parser to tell
        return Verdict(False)
    gold, answer = tidy(gold), tidy(answer)
    a, b = read_number(gold), read_number(answer)
    if a is not None and b is not None:
        return Verdict(same_number(a, b))
    said = same_wording(gold, answer)
    return None if said is None else Verdict(said)
