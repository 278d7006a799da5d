import asyncio
import threading
from collections.abc import Sequence

import pytest

from ponderosa.core import BackendError
from ponderosa.models.worker import Job, Worker


class Doubling:
    """Doubles numbers, one job a step; fails on negative ones, and holds zero back until it is aborted."""

    def __init__(self) -> None:
        self.waiting: list[Job[int, int]] = []
        self.thread = threading.current_thread()

    def add(self, jobs: Sequence[Job[int, int]]) -> None:
        self.waiting += jobs

    def step(self) -> bool:
        job = next((job for job in self.waiting if job.request), None)
        if job is None:
            return False
        if job.request < 0:
            raise ZeroDivisionError("negative")
        self.waiting.remove(job)
        job.resolve(2 * job.request)
        return any(job.request for job in self.waiting)

    def abort(self, error: BackendError) -> None:
        for job in self.waiting:
            job.fail(error)
        self.waiting.clear()


def test_a_worker_answers_concurrent_requests_of_several_event_loops() -> None:
    worker: Worker[int, int] = Worker("doubling", Doubling)

    async def ask(numbers: Sequence[int]) -> list[int]:
        return await asyncio.gather(*map(worker.ask, numbers))

    assert asyncio.run(ask(range(1, 50))) == list(range(2, 100, 2))
    assert asyncio.run(ask([7])) == [14]
    worker.close()


def test_an_error_of_the_engine_fails_what_it_holds_and_the_worker_goes_on() -> None:
    worker: Worker[int, int] = Worker("doubling", Doubling)

    async def ask() -> int:
        with pytest.raises(BackendError, match=r"doubling failed: ZeroDivisionError\('negative'\)"):
            await worker.ask(-1)
        return await worker.ask(4)

    assert asyncio.run(ask()) == 8
    worker.close()


def test_an_engine_that_cannot_be_made_fails_those_who_ask() -> None:
    def make() -> Doubling:
        raise BackendError("no weights")

    worker: Worker[int, int] = Worker("doubling", make)
    with pytest.raises(BackendError, match=r"^no weights$"):
        asyncio.run(worker.ask(1))
    worker.close()


def test_close_fails_what_is_pending_and_what_comes_later_and_ends_the_thread() -> None:
    engines: list[Doubling] = []

    def make() -> Doubling:
        engines.append(Doubling())
        return engines[0]

    worker: Worker[int, int] = Worker("doubling", make)

    async def close_while_pending() -> None:
        pending = asyncio.create_task(worker.ask(0))
        assert await worker.ask(1) == 2
        worker.close()
        with pytest.raises(BackendError, match="was closed"):
            await pending
        with pytest.raises(BackendError, match="is closed"):
            await worker.ask(1)

    asyncio.run(close_while_pending())
    assert not engines[0].thread.is_alive()


def test_a_caller_that_gives_up_cancels_its_job() -> None:
    job: Job[int, int] = Job(1)

    async def give_up() -> None:
        waiting = asyncio.create_task(job.answer())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(give_up())
    assert job.cancelled
    job.resolve(2)
    job.fail(BackendError("late"))
