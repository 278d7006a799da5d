"""One thread that runs a model for any number of event loops, so that these stay responsive."""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from ponderosa.core import BackendError

Q = TypeVar("Q")
A = TypeVar("A")


@dataclass(slots=True, eq=False)
class Job(Generic[Q, A]):
    """A request and the promise of its answer. A job whose caller has given up is `cancelled`."""

    request: Q
    _future: "Future[A]" = field(default_factory=Future)

    @property
    def cancelled(self) -> bool:
        return self._future.cancelled()

    def resolve(self, answer: A) -> None:
        with suppress(InvalidStateError):  # cancelled meanwhile: nobody waits
            self._future.set_result(answer)

    def fail(self, error: BackendError) -> None:
        with suppress(InvalidStateError):
            self._future.set_exception(error)

    async def answer(self) -> A:
        return await asyncio.wrap_future(self._future)


class Engine(Protocol[Q, A]):
    """What a worker drives, from its own thread only."""

    def add(self, jobs: Sequence[Job[Q, A]]) -> None:
        """Takes jobs in; may resolve or fail them at any time from now on."""
        ...

    def step(self) -> bool:
        """Does a bounded piece of work; False if none is left."""
        ...

    def abort(self, error: BackendError) -> None:
        """Fails every job that was taken in and is not done."""
        ...


class Worker(Generic[Q, A]):
    """Drives an engine in a thread that starts with the first request and ends with `close`.

    `make_engine` is called in that thread. An error of the engine fails the jobs in its hands, as `BackendError`, and
    the worker goes on.
    """

    def __init__(self, name: str, make_engine: Callable[[], Engine[Q, A]]) -> None:
        self._name = name
        self._make_engine = make_engine
        self._inbox: queue.SimpleQueue[Job[Q, A] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    async def ask(self, request: Q) -> A:
        job: Job[Q, A] = Job(request)
        with self._lock:
            if self._closed:
                raise BackendError(f"{self._name} is closed")
            self._inbox.put(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        return await job.answer()

    def close(self) -> None:
        """Fails what is pending and ends the thread; returns when it has ended."""
        with self._lock:
            self._closed = True
            self._inbox.put(None)
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        engine: Engine[Q, A] | None = None
        busy = False
        while True:
            jobs = [self._inbox.get()] if not busy else []
            while not self._inbox.empty():
                jobs.append(self._inbox.get())
            arrived = [job for job in jobs if job is not None]
            if len(arrived) < len(jobs):
                self._abort(engine, arrived, BackendError(f"{self._name} was closed"))
                return
            try:
                engine = engine or self._make_engine()
                if arrived:
                    engine.add(arrived)
                busy = engine.step()
            except Exception as error:  # whatever a model raises becomes the error of those who asked
                busy = False
                failure = error if isinstance(error, BackendError) else BackendError(f"{self._name} failed: {error!r}")
                failure.__cause__ = error if failure is not error else None
                self._abort(engine, arrived, failure)

    @staticmethod
    def _abort(engine: Engine[Q, A] | None, arrived: Sequence[Job[Q, A]], error: BackendError) -> None:
        for job in arrived:
            job.fail(error)
        if engine is not None:
            engine.abort(error)
