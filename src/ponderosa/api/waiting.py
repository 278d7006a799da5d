"""Async work for callers who are not async: in a script, and where an event loop already runs (a notebook)."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

R = TypeVar("R")


def wait_for(coroutine: Coroutine[Any, Any, R]) -> R:
    """The coroutine's result. Where an event loop runs in this thread, it gets one in a thread of its own."""
    if not _in_a_loop():
        return asyncio.run(coroutine)
    from ponderosa.models.loop import LoopThread

    aside = LoopThread("ponderosa")
    try:
        return aside.start(coroutine).result()
    finally:
        aside.close()  # a KeyboardInterrupt here cancels it


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
