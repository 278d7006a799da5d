"""Many problems at once: one coroutine a problem, at most so many in flight, no lockstep between them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def search_all(items: Iterable[T], run: Callable[[T], Awaitable[R]], concurrency: int) -> AsyncIterator[R]:
    """Yields `run(item)` for every item as each ends, with at most `concurrency` in flight.

    The first exception of a `run` cancels the others and is raised.
    """
    waiting = iter(items)
    running: set[asyncio.Task[R]] = set()
    try:
        while True:
            while len(running) < concurrency and (item := next(waiting, _END)) is not _END:
                running.add(asyncio.ensure_future(run(item)))  # type: ignore[arg-type]
            if not running:
                return
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


_END = object()
