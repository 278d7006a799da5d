import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ponderosa.core import BackendError
from ponderosa.models.loop import LoopThread


async def stubborn(tries: int) -> None:
    """Is not ended by the first cancellations, as a request of aiohttp whose timeout ends at the same time is not."""
    for _ in range(tries):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue
    await asyncio.sleep(60)


async def follows() -> None:
    """Begins something else when it is cancelled."""
    try:
        await asyncio.sleep(60)
    finally:
        asyncio.get_running_loop().create_task(asyncio.sleep(60))


async def fails() -> None:
    try:
        await asyncio.sleep(60)
    finally:
        raise ValueError


@pytest.mark.parametrize("make", [lambda: stubborn(1), lambda: stubborn(2), follows, fails])
def test_closing_ends_whatever_runs(
    make: Callable[[], Coroutine[Any, Any, None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponderosa.models.loop._PATIENCE_S", 0.05)
    thread = LoopThread("a test")
    going = thread.start(make())
    time.sleep(0.05)
    closing = threading.Thread(target=thread.close, daemon=True)
    closing.start()
    closing.join(20)
    assert not closing.is_alive()
    assert going.done()
    with pytest.raises(BackendError, match="a test is closed"):
        thread.start(stubborn(0))


def test_what_is_to_be_done_last_is_done_when_all_else_has_ended() -> None:
    thread = LoopThread("a test")
    order: list[str] = []

    async def first() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            order.append("first")

    async def last() -> None:
        order.append("last")

    thread.start(first())
    time.sleep(0.05)
    thread.close(last())
    assert order == ["first", "last"]
