"""`ForkServer`: runs programs in fresh, fenced children of warm servers."""

import asyncio
import itertools
import os
import re
import zlib
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any, Self

from ponderosa.core import BackendError, Execution
from ponderosa.execution.limits import Limits, Shortcuts
from ponderosa.execution.link import ServerLink
from ponderosa.execution.protections import Protection, protections
from ponderosa.execution.result import refusal, to_execution
from ponderosa.execution.tiers import Tier, tier_of

_WINDOW = 64  # programs given to a server beyond those it runs: enough that it never waits for its client
_ATTEMPTS = 2

Key = tuple[bool, str]
"""Under which a result is kept: was a shortcut allowed, and the program."""


@dataclass(slots=True, eq=False)
class _Request:
    """A program and those who await its result."""

    message: dict[str, Any]
    key: Key
    futures: list[asyncio.Future[Execution]]
    attempts: int = 0

    @property
    def abandoned(self) -> bool:
        return all(future.done() for future in self.futures)

    def resolve(self, result: Execution) -> None:
        for future in self.futures:
            if not future.done():
                future.set_result(result)

    def fail(self, reason: str) -> None:
        for future in self.futures:
            if not future.done():
                future.set_exception(BackendError(reason))


class _Pool:
    """The servers of one tier and the programs that wait for them, first come first served."""

    def __init__(self, executor: "ForkServer", tier: Tier) -> None:
        self._executor = executor
        self._tier = tier
        self._queue: deque[_Request] = deque()
        self._given: dict[ServerLink, dict[int, _Request]] = {}
        try:
            for _ in range(executor.servers):
                self._start()
        except BackendError:
            self.close("")
            raise

    @property
    def links(self) -> list[ServerLink]:
        return list(self._given)

    def submit(self, request: _Request) -> None:
        self._queue.append(request)
        self._distribute()

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Drops what an earlier event loop left behind; nobody awaits it any more."""
        self._queue.clear()
        for link, given in self._given.items():
            for request in given.values():
                request.futures.clear()
            link.attach(loop)

    def close(self, reason: str) -> None:
        """Ends the servers, which still have to be waited for, and fails what they had and what waited for them."""
        for request in [*itertools.chain(*(given.values() for given in self._given.values())), *self._queue]:
            self._executor.settled(request, None)
            request.fail(reason)
        self._queue.clear()
        for link in self._given:
            link.close()

    def _start(self) -> None:
        link = ServerLink(
            self._tier,
            self._executor.limits,
            self._executor.shortcuts,
            self._executor.jobs,
            on_answer=lambda message: self._answered(link, message),
            on_end=lambda reason: self._ended(link, reason),
        )
        self._given[link] = {}
        link.attach(asyncio.get_running_loop())

    def _distribute(self) -> None:
        most = _WINDOW + self._executor.jobs
        while self._queue:
            link = self._link(self._queue[0])
            if len(self._given[link]) >= most:
                return
            request = self._queue.popleft()
            if request.abandoned:
                self._executor.settled(request, None)
                continue
            self._given[link][request.message["id"]] = request
            link.send(request.message)

    def _link(self, request: _Request) -> ServerLink:
        """The steps of a group go to one server, which may have something of them; others to the one with least."""
        group = request.message.get("group")
        if group is not None:
            links = self.links
            return links[zlib.crc32(group.encode()) % len(links)]
        return min(self._given, key=lambda link: len(self._given[link]))

    def _answered(self, link: ServerLink, message: dict[str, Any]) -> None:
        request = self._given[link].pop(message["id"])
        result = to_execution(message, self._tier.value)
        self._executor.settled(request, result)
        request.resolve(result)
        if self._queue:
            self._distribute()

    def _ended(self, link: ServerLink, reason: str) -> None:
        """Replaces a server that died. Programs that it ran are run once more, those that waited just wait on."""
        given = list(self._given.pop(link).values())
        if not link.ready:
            self._queue.extendleft(reversed(given))
            self._give_up(
                f"the {self._tier} execution server could not start: {reason}; see `ponderosa sandbox check`. "
                "The backends `bwrap`, `command` (a container) and `subprocess` (weak) need less of the system"
            )
            return
        # A server starts programs in the order in which it gets them: those given first were running.
        for request in given[: self._executor.jobs]:
            request.attempts += 1
        for request in reversed(given):
            if request.attempts < _ATTEMPTS:
                self._queue.appendleft(request)
                continue
            self._executor.settled(request, None)
            request.fail(
                f"the execution server died twice while it ran this program ({reason}); "
                "look for the kernel's out-of-memory killer, or lower `jobs` or `memory_mb`"
            )
        try:
            self._start()
        except BackendError as error:
            self._give_up(str(error))
        else:
            self._distribute()

    def _give_up(self, reason: str) -> None:
        """Fails everything; the next program of this tier tries anew."""
        self.close(reason)
        for link in self.links:
            link.wait()
        self._executor.forget(self._tier)


class ForkServer:
    """An `Executor`: every program runs in a fresh child, forked from a warm process and fenced in by the kernel.

    `servers` per tier (see `Tier`), started when a program first needs them, run up to `jobs` children each at once;
    `cache_size` results are kept, for a search runs the same prefixes again and again (0: none). `shortcuts` are only
    taken by steps: programs that come with a `group`. One object may serve several event loops one after another, but
    one process only. Linux with seccomp; raises `BackendError` elsewhere.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        servers: int = 1,
        *,
        jobs: int | None = None,
        cache_size: int = 16_384,
        shortcuts: Shortcuts | None = None,
    ) -> None:
        self.shortcuts = shortcuts or Shortcuts()
        self.limits = limits or Limits()
        self.servers = servers
        self.jobs = jobs or max(2, len(os.sched_getaffinity(0)) // servers)
        self._pools: dict[Tier, _Pool] = {}
        self._pending: dict[Key, _Request] = {}
        self._results: OrderedDict[Key, Execution] = OrderedDict()
        self._cache_size = cache_size
        self._ids = itertools.count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = os.getpid()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def pids(self) -> list[int]:
        """The process ids of the servers that run now."""
        return [link.pid for pool in self._pools.values() for link in pool.links]

    async def run(self, code: str, after: str | None = None, group: str | None = None) -> Execution:
        """See `Executor.run`. With a cache the same program awaited twice at once runs once."""
        key = (group is not None, code)
        for known in ((False, code), key):  # a run of the whole program is as good as any shortcut
            if (result := self._results.get(known)) is not None:
                self._results.move_to_end(known)
                return result
        if (refused := refusal(code, self.limits)) is not None:
            return refused
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._attach(loop)
        future: asyncio.Future[Execution] = loop.create_future()
        if self._cache_size and (pending := self._pending.get(key)) is not None:
            pending.futures.append(future)
        else:
            tier = tier_of(code)
            if (pool := self._pools.get(tier)) is None:
                pool = self._pools[tier] = _Pool(self, tier)
            message: dict[str, Any] = {"id": next(self._ids), "code": code}
            if group is not None:
                message |= {"step": not _LATE.search(code), "after": _continued(code, after), "group": group}
            self._pending[key] = request = _Request(message, key, [future])
            pool.submit(request)
        return await future

    async def protections(self) -> list[Protection]:
        """What protects from the programs here, found out by a server. Raises `BackendError` if none can start."""
        await self.run(f"# {next(self._ids)}")
        return protections(next(iter(self._pools.values())).links[0].protections)

    async def close(self) -> None:
        """Ends every server and what it runs; returns when the processes are gone. The executor can be used again."""
        if asyncio.get_running_loop() is not self._loop:
            self._attach(asyncio.get_running_loop())
        pools = list(self._pools.values())
        self._pools.clear()
        for pool in pools:
            pool.close("the executor was closed before this program ended")
        for link in itertools.chain(*(pool.links for pool in pools)):
            await asyncio.to_thread(link.wait)

    def forget(self, tier: Tier) -> None:
        """A pool has given up."""
        self._pools.pop(tier, None)

    def settled(self, request: _Request, result: Execution | None) -> None:
        """A pool is done with a request: `result` is None if there is none to keep."""
        if self._pending.get(request.key) is request:
            del self._pending[request.key]
        if result is not None and self._cache_size:
            self._results[request.key] = result
            if len(self._results) > self._cache_size:
                self._results.popitem(last=False)

    def _attach(self, loop: asyncio.AbstractEventLoop) -> None:
        if os.getpid() != self._process:
            raise BackendError("this executor belongs to another process; create one in each process")
        self._loop = loop
        self._pending.clear()
        for pool in self._pools.values():
            pool.attach(loop)


# What a program does when it ends is not seen while its process is kept.
_LATE = re.compile(r"\b(atexit|__del__|weakref|finalize)\b")


def _continued(code: str, after: str | None) -> int:
    """How many characters of `code` are `after`, a prefix of whole lines; 0 if it is none."""
    if not after or not code.startswith(after):
        return 0
    return len(after) if after.endswith("\n") or code[len(after) : len(after) + 1] == "\n" else 0
