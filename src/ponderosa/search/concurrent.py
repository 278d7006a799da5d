"""Many things at once: problems, so many in flight and no lockstep between them; and the parts of one search."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def together(parts: Iterable[Coroutine[Any, Any, R]]) -> list[R]:
    """The results of `parts`, which run at once, in order.

    The first exception is raised when the others have been cancelled and have ended, so that nothing is still at work
    on a tree that is given away.
    """
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


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
