"""A warm execution server: gives the programs that its client sends to processes of its jail, and watches over them.

Single-threaded, one epoll loop; it never runs a program itself. It talks frames (see `frames`) on the socket that is
its standard input:

    -> {"id": 7, "code": "print(1)"}                           to be run whole in a fresh process
    -> {"id": 8, "code": "x = 1\\ny = 2", "step": true, "after": 5, "group": "tree 3"}         see `Job`
    <- {"ready": {"landlock": 7, ...}}                         once, when it can serve
    <- {"id": 7, "status": "ok", "stdout": "1\\n", ...}         in the order in which programs end
    <- {"fatal": "why"}                                        before it gives up

It ends when its client does: the socket reaches its end, and a descriptor of the parent process becomes readable.
"""

import contextlib
import math
import os
import resource
import select
import socket
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from . import kernel, zygote
from .frames import Decoder, encode
from .jail import Cell, Jail, JailError
from .verdict import ended

_CHUNK = 1 << 16
_SHARED_WALL_S = 0.25  # a program that takes longer has no place in a process that others wait for
_SHARED_CPU_S = 60
_SHARED_GROWTH = 64 << 20  # bytes; a shared process that has grown by more is replaced
_SLOW_S = 0.02  # a step that took longer is worth a snapshot
_PATIENCE_S = 0.005  # with which the ends of killed processes are awaited
_START_UP_S = 60.0
_WARM_CELLS = 400
_WARM_S = 60.0  # a process that waited longer for a further step is let go
_REMEMBERED = 10_000  # programs
_SYNTAX_ERRORS = ("SyntaxError", "IndentationError", "TabError")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server is started with, as JSON.

    `jobs` programs run at once, each for `wall_s` seconds; `memory_bytes` comes on top of what the server has loaded;
    `preload` names modules, `packages` the folders where they are installed; `clock` is the time that programs see, in
    seconds since 1970, None for the real one. `share` and `snapshots` say which shortcuts steps may take, and
    `warm_bytes` how much memory the processes that wait for further steps may use.
    """

    parent: int
    jobs: int
    wall_s: float
    memory_bytes: int
    output_bytes: int
    preload: list[str]
    packages: list[str]
    clock: float | None
    share: bool
    snapshots: bool
    warm_bytes: int


@dataclass(slots=True, eq=False)
class Job:
    """A program to be run: whole in a fresh process, or, if it is one `step` of a search, by a shortcut.

    Programs of one `group` may share a process if they are plain (see `shared`). Where the first `after` characters ran
    before and took long, the rest may go on from there.
    """

    id: int
    code: str
    step: bool = False
    after: int = 0
    group: str | None = None


@dataclass(slots=True, eq=False)
class Work:
    """What a cell does. Only a shared one has more than one job, of which it does the first."""

    kind: Literal["once", "keep", "shared", "test"]
    key: str = ""
    jobs: deque[Job] = field(default_factory=deque)
    started: float = 0.0
    wall_s: float = 0.0
    """Time taken so far, also in the processes that it was forked from."""
    cpu_s: float = 0.0
    verdict: str | None = None
    """Why it was killed."""
    report: dict[str, Any] | None = None
    memory_bytes: int = 0
    used: float = 0.0
    """When it was last of use, for those that wait for further steps."""


class Server:
    """The loop, and what becomes of each program."""

    def __init__(self, settings: Settings, connection: socket.socket) -> None:
        _allow_many_descriptors()
        self._settings = settings
        self._connection = connection
        self._decoder = Decoder()
        self._unsent = bytearray()
        self._queue: deque[Job] = deque()
        self._work: dict[Cell, Work] = {}
        self._running: dict[Cell, Work] = {}
        self._warm: OrderedDict[str, Cell] = OrderedDict()
        """Cells that wait for further steps, by group or by the program that ran; the one used last at the end."""
        self._warm_bytes = 0
        self._slow: set[str] = set()
        """Programs that took long in a shared process: what follows on them is worth a snapshot."""
        self._epoll = select.epoll()
        self._parent = os.pidfd_open(settings.parent)
        if os.getppid() != settings.parent:
            raise OSError("the client has ended")
        server = os.getpid()
        self._jail = Jail(
            self,
            self._epoll,
            lambda channel: zygote.run(
                channel,
                server=server,
                preload=settings.preload,
                packages=settings.packages,
                memory_bytes=settings.memory_bytes,
                output_bytes=settings.output_bytes,
                clock=settings.clock,
            ),
            largest_report=8 * settings.output_bytes + (1 << 16),
        )
        kernel.give_up_privileges()
        self._prove()
        connection.setblocking(False)
        self._epoll.register(connection, select.EPOLLIN)
        self._epoll.register(self._parent, select.EPOLLIN)
        self._send({"ready": self._jail.fence})

    def _prove(self) -> None:
        """Raises OSError unless a cell is fenced in: a program must never be the first to find out."""
        test = self._fork(self._jail.zygote, Work("test"))
        work = self._work[test]
        deadline = time.monotonic() + _START_UP_S
        while not test.gone:
            if time.monotonic() > deadline:
                raise OSError("the self-test of the sandbox did not end")
            self._jail.send_all()
            for descriptor, events in self._epoll.poll(1.0):
                self._jail.handle(descriptor, events)
        if work.report is None:
            raise OSError("the sandbox's self-test was cut short: exec is not denied, or something killed it")
        if work.report["undenied"]:
            raise OSError(f"the sandbox does not deny {', '.join(work.report['undenied'])}")

    def serve(self) -> None:
        """Until the client is gone."""
        while True:
            for descriptor, events in self._epoll.poll(self._patience()):
                if descriptor == self._connection.fileno():
                    if events & select.EPOLLOUT:
                        self._flush()
                    if events & ~select.EPOLLOUT and not self._receive():
                        return
                elif descriptor == self._parent:
                    return
                else:
                    self._jail.handle(descriptor, events)
            self._enforce()
            self._jail.reap()
            self._place()
            self._jail.send_all()
            if self._unsent:
                self._flush()

    def stop(self) -> None:
        """Ends everything that runs."""
        self._jail.stop()

    # -- programs come in and are placed

    def _receive(self) -> bool:
        try:
            data = self._connection.recv(_CHUNK)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        self._queue.extend(Job(**message) for message in self._decoder.feed(data))
        return bool(data)

    def _place(self) -> None:
        """Gives waiting programs to cells, first come first served, as long as there is room."""
        while self._queue:
            job = self._queue[0]
            key = self._shared_key(job)
            shared = self._warm.get(key) if key is not None else None
            if shared not in self._running and len(self._running) >= self._settings.jobs:
                return
            self._queue.popleft()
            if key is None:
                self._run_alone(job)
            else:
                self._run_shared(job, key, shared)

    def _shared_key(self, job: Job) -> str | None:
        """The key of the process that it shares with its group; None if it is to be run by itself."""
        if job.group is None or not self._settings.share:
            return None
        if job.after and self._settings.snapshots:
            before = job.code[: job.after]
            if before in self._slow or _program_key(before) in self._warm:
                return None
        return f"group {job.group}"

    def _run_shared(self, job: Job, key: str, cell: Cell | None) -> None:
        if cell is None:
            cell = self._fork(self._jail.zygote, Work("shared", key))
            self._jail.close_output(cell)  # what plain programs print does not go there
            self._warm[key] = cell
        work = self._work[cell]
        self._use(key)
        if not work.jobs:
            work.started = time.monotonic()
            self._running[cell] = work
        work.jobs.append(job)
        self._jail.tell(cell, {"id": job.id, "code": job.code})

    def _run_alone(self, job: Job) -> None:
        work = Work("keep" if job.step and self._settings.snapshots else "once")
        work.jobs.append(job)
        work.started = time.monotonic()
        key = _program_key(job.code[: job.after])
        snapshot = self._warm.get(key) if job.after else None
        if snapshot is None:
            cell = self._fork(self._jail.zygote, work, job.code)
        else:
            self._use(key)
            before = self._work[snapshot]
            work.wall_s, work.cpu_s = before.wall_s, before.cpu_s
            self._jail.wake(snapshot)
            cell = self._fork(snapshot, work, job.code[job.after :])
            cell.output += snapshot.output
        self._running[cell] = work

    def _fork(self, parent: Cell, work: Work, code: str | None = None) -> Cell:
        cpu_s = _SHARED_CPU_S if work.kind == "shared" else math.ceil(self._settings.wall_s) + 1
        order: dict[str, Any] = {"kind": work.kind, "cpu_s": cpu_s}
        cell = self._jail.fork(parent, order if code is None else {**order, "code": code})
        self._work[cell] = work
        return cell

    # -- what happens to them (`jail.Keeper`)

    def forked(self, cell: Cell) -> None:
        """Now its time begins."""
        if cell in self._work:
            self._work[cell].started = time.monotonic()

    def unborn(self, cell: Cell) -> None:
        """The snapshot that was to be forked did something else, or there are too many processes: those that wait for
        further steps go. The program is run whole.
        """
        work = self._work[cell]
        self._forget(cell)
        if cell.parent is not self._jail.zygote:
            if cell.parent is not None:
                self._forget(cell.parent)
        elif not self._shed():
            raise JailError("the zygote cannot fork: there are too many processes, or too little memory")
        self._queue.extendleft(replace(job, step=False, after=0, group=None) for job in work.jobs)

    def printed(self, cell: Cell) -> None:
        if self._floods(cell):
            self._kill(cell, "output_limit")

    def _floods(self, cell: Cell) -> bool:
        return len(cell.output) > self._settings.output_bytes

    def reported(self, cell: Cell, report: dict[str, Any]) -> None:
        work = self._work[cell]
        if not work.jobs and work.kind != "test":
            raise ValueError("a report on nothing")
        if work.kind == "shared":
            self._shared_reported(cell, work, report)
        elif work.kind == "keep" and work.verdict is None:
            self._keep_reported(cell, work, report)
        else:
            work.report = report  # counts if the process ends well

    def ended(self, cell: Cell, exit_code: int, cpu_s: float) -> None:
        work = self._work[cell]
        if work.kind == "shared":  # the job that it was at is not to be waited for again
            for first, job in enumerate(work.jobs):
                self._queue.append(job if first else replace(job, group=None))
        elif work.jobs:
            self._jail.drain(cell, self._settings.output_bytes)
            if work.verdict is None and self._floods(cell):
                work.verdict = "output_limit"
            work.wall_s += time.monotonic() - work.started
            work.cpu_s += cpu_s
            self._answer(cell, work, ended(work.verdict, exit_code, work.report))
        self._forget(cell)

    def _shared_reported(self, cell: Cell, work: Work, report: dict[str, Any]) -> None:
        """The first of its programs went well, or is to be run by itself."""
        job = work.jobs[0]
        if report.get("id") != job.id:
            raise ValueError("a report on another program")
        stdout, cpu_s = report.get("stdout"), _cpu_s(report)
        work.jobs.popleft()
        now = time.monotonic()
        wall_s, work.started = now - work.started, now
        if stdout is None:
            self._queue.appendleft(replace(job, group=None))
        else:
            if wall_s > _SLOW_S:
                self._remember_slow(job.code)
            self._send(
                {"id": job.id, "status": "ok", "stdout": str(stdout), "wall_s": round(wall_s, 6), "cpu_s": cpu_s}
            )
        if not work.jobs:
            del self._running[cell]
            self._measure(cell, work)
            if work.memory_bytes > _SHARED_GROWTH:
                self._dismiss(cell)
            self._make_room()

    def _remember_slow(self, code: str) -> None:
        if len(self._slow) >= _REMEMBERED:
            self._slow.clear()
        self._slow.add(code)

    def _keep_reported(self, cell: Cell, work: Work, report: dict[str, Any]) -> None:
        """A step has ended, and its process can be forked for the next one."""
        cpu_s = _cpu_s(report)
        (job,) = work.jobs
        if cell.parent is not self._jail.zygote and report.get("error_type") in _SYNTAX_ERRORS:
            # No program by itself: the rest of a block, an `else`.
            self._dismiss(cell)
            self._queue.appendleft(replace(job, step=False, after=0, group=None))
            return
        self._jail.drain(cell, self._settings.output_bytes)
        self.printed(cell)
        if work.verdict is not None:
            return
        work.wall_s += time.monotonic() - work.started
        work.cpu_s += cpu_s
        self._answer(cell, work, ended(None, 0, report))
        work.jobs.clear()
        del self._running[cell]
        key = _program_key(job.code)
        if report.get("status") == "ok" and work.wall_s > _SLOW_S and key not in self._warm:
            work.key = key
            self._warm[key] = cell
            self._use(key)
            self._jail.close_output(cell)
            self._jail.rest(cell)
            self._measure(cell, work)
            self._make_room()
        else:
            self._dismiss(cell)

    def _answer(self, cell: Cell, work: Work, record: dict[str, Any]) -> None:
        record["id"] = work.jobs[0].id
        record["stdout"] = cell.output[: self._settings.output_bytes].decode("utf-8", "replace")
        record["wall_s"] = round(work.wall_s, 6)
        record["cpu_s"] = round(work.cpu_s, 6)
        self._send(record)

    # -- limits

    def _patience(self) -> float | None:
        """Seconds until something must be done though nothing is heard; None: for ever."""
        if self._jail.dying:
            return _PATIENCE_S
        due = [self._deadline(cell, work) for cell, work in self._running.items()]
        if self._warm:
            due.append(self._work[next(iter(self._warm.values()))].used + _WARM_S)
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _deadline(self, cell: Cell, work: Work) -> float:
        if not cell.pid and cell.parent is self._jail.zygote:  # which can be trusted, and has much to do
            return work.started + _START_UP_S
        return work.started + (_SHARED_WALL_S if work.kind == "shared" else self._settings.wall_s - work.wall_s)

    def _enforce(self) -> None:
        now = time.monotonic()
        for cell, work in list(self._running.items()):
            if work.verdict is None and now >= self._deadline(cell, work):
                if cell.pid:
                    self._kill(cell, "timeout")
                else:
                    self._jail.give_up(cell)
        while self._warm:
            cell = next(iter(self._warm.values()))
            if cell in self._running or now < self._work[cell].used + _WARM_S:
                break
            self._dismiss(cell)

    def _kill(self, cell: Cell, verdict: str) -> None:
        """The verdict is given when the process has ended."""
        work = self._work[cell]
        if work.verdict is None:
            work.verdict = verdict
            self._jail.kill(cell)

    def _use(self, key: str) -> None:
        self._warm.move_to_end(key)
        self._work[self._warm[key]].used = time.monotonic()

    def _measure(self, cell: Cell, work: Work) -> None:
        self._warm_bytes -= work.memory_bytes
        with contextlib.suppress(OSError):
            work.memory_bytes = kernel.private_memory(cell.pid)
        self._warm_bytes += work.memory_bytes

    def _shed(self) -> bool:
        """Ends all warm processes that nobody waits for; False if there is none."""
        idle = [cell for cell in self._warm.values() if cell not in self._running]
        for cell in idle:
            self._dismiss(cell)
        return bool(idle) or self._jail.dying

    def _make_room(self) -> None:
        """Ends warm processes that were not used for longest, until those left fit."""
        for cell in list(self._warm.values()):
            if self._warm_bytes <= self._settings.warm_bytes and len(self._warm) <= _WARM_CELLS:
                return
            if cell not in self._running:
                self._dismiss(cell)

    def _dismiss(self, cell: Cell) -> None:
        self._forget(cell)
        self._jail.dismiss(cell)

    def _forget(self, cell: Cell) -> None:
        work = self._work.pop(cell, None)
        if work is None:
            return
        self._running.pop(cell, None)
        if self._warm.get(work.key) is cell:
            del self._warm[work.key]
            self._warm_bytes -= work.memory_bytes

    # -- the client

    def _send(self, message: dict[str, Any]) -> None:
        self._unsent += encode(message)

    def _flush(self) -> None:
        try:
            sent = self._connection.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except (BrokenPipeError, ConnectionResetError):
            return  # the end of the socket shows in the loop
        del self._unsent[:sent]
        events = select.EPOLLIN | (select.EPOLLOUT if self._unsent else 0)
        self._epoll.modify(self._connection, events)


def _cpu_s(report: dict[str, Any]) -> float:
    """Its process's word on the time that it took. Raises ValueError if there is none."""
    cpu_s = report.get("cpu_s")
    if not isinstance(cpu_s, int | float):
        raise ValueError("a report without its time")
    return float(cpu_s)


def _program_key(code: str) -> str:
    return f"program {code}"


def _allow_many_descriptors() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main(settings: dict[str, Any]) -> None:
    """Serves on standard input until the client is gone."""
    connection = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    server = None
    try:
        server = Server(Settings(**settings), connection)
        server.serve()
    except BaseException as error:
        connection.setblocking(True)
        connection.sendall(encode({"fatal": f"{type(error).__name__}: {error}"}))
        raise
    finally:
        if server is not None:
            server.stop()
