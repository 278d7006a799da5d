"""Fifty thousand programs on one executor: nothing grows."""

import asyncio
import os
from pathlib import Path

import pytest

from ponderosa.core import Status
from ponderosa.execution import ForkServer, Limits, Shortcuts

pytestmark = pytest.mark.slow

PROGRAMS = 50_000
KINDS = [
    lambda i: (f"print({i})", Status.OK),
    lambda i: (f"x = {i}\nraise ValueError(x)", Status.ERROR),
    lambda i: (f"import os\nos.open('/etc/passwd', {i % 2})", Status.REFUSED),
    lambda i: (f"import os\nos._exit({i % 7})", Status.CRASHED),
    lambda i: (f"print('x' * {70_000 + i % 100})", Status.OUTPUT_LIMIT),
    lambda i: (f"x = bytearray(10**9 + {i})", Status.MEMORY),
]
"""Programs and how they end. A few run into the time limit, too; every third comes as a step of a tree."""
WALL_S = 3.0
"""Far above what the others need, so that a busy machine does not make one of so many late."""


def test_nothing_grows():
    async def main():
        limits, shortcuts = Limits(wall_s=WALL_S, memory_mb=256), Shortcuts(warm_mb=8)
        async with ForkServer(limits, cache_size=0, shortcuts=shortcuts) as executor:
            await run(executor, 0, 2000)
            before = standing(executor)
            for start in range(2000, PROGRAMS, 2000):
                await run(executor, start, start + 2000)
            after = standing(executor)
        return before, after

    before, after = asyncio.run(main())
    for name in ("client", "server", "zygote"):
        assert after[name] < before[name] + (8 << 20), (name, before, after)
    for name in ("processes", "descriptors of the client", "descriptors of the server"):
        assert after[name] <= before[name] + 8, (name, before, after)  # warm ones come and go


async def run(executor: ForkServer, start: int, stop: int) -> None:
    async def one(i: int) -> None:
        code, status = KINDS[i % len(KINDS)](i)
        if i % 2500 == 999:
            code, status = f"while {i}: pass", Status.TIMEOUT
        result = await executor.run(code, group=f"tree {i // 100}" if i % 3 == 0 else None)
        assert result.status is status, (code, result)

    await asyncio.gather(*(one(i) for i in range(start, stop)))


def standing(executor: ForkServer) -> dict[str, int]:
    """Memory in bytes, and counts of processes and descriptors."""
    (server,) = executor.pids
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return {
        "client": resident(os.getpid()),
        "server": resident(server),
        "zygote": resident(int(children[0])),
        "processes": len(children),
        "descriptors of the client": len(os.listdir("/proc/self/fd")),
        "descriptors of the server": len(os.listdir(f"/proc/{server}/fd")) if os.getuid() == 0 else 0,
    }


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
