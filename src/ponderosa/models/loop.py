"""An event loop in a thread of its own, so that what is bound to one loop serves callers of any."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from ponderosa.core import BackendError

R = TypeVar("R")

_PATIENCE_S = 1.0
"""How long what was cancelled may take to end before it is cancelled again."""


class LoopThread:
    """Runs coroutines for any thread and any event loop; starts with the first, ends with `close`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    async def run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """The coroutine's result; it is cancelled when the caller is. Raises `BackendError` after `close`."""
        future = self.start(coroutine)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if self._closed and not _cancelling():
                raise BackendError(f"{self._name} was closed") from None
            raise

    def start(self, coroutine: Coroutine[Any, Any, R]) -> Future[R]:
        """The coroutine's result to come. Raises `BackendError` after `close`."""
        with self._lock:
            if self._closed:
                coroutine.close()
                raise BackendError(f"{self._name} is closed")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def close(self, last: Coroutine[Any, Any, None] | None = None) -> None:
        """Cancels what runs, runs `last`, and ends the thread; returns when it has ended."""
        with self._lock:
            first, self._closed = not self._closed, True
        if self._loop is None or self._thread is None or not first:
            if last is not None:
                last.close()
            return
        asyncio.run_coroutine_threadsafe(_end(last), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _cancelling() -> bool:
    """Is it the caller itself that is cancelled?"""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _end(last: Coroutine[Any, Any, None] | None) -> None:
    # Once is not always enough: aiohttp takes a cancellation for its own when a timeout of a request ends just then,
    # and what is cancelled may begin something else.
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in others:
            task.cancel()
        await asyncio.wait([asyncio.gather(*others, return_exceptions=True)], timeout=_PATIENCE_S)
    if last is not None:
        await last
