"""The jail from outside: its processes, what they say and print, and what the kernel asks about them.

Every process of the jail is a child of the one that this module runs in, and none can fork or send a signal unless
`Jail` lets it (see `seccomp.questions`). So there is always a full list of them, and a sure way to end them all.
"""

import contextlib
import errno
import os
import select
import signal
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from . import cell, kernel, seccomp
from .frames import Decoder, encode

_CHUNK = 1 << 16
_START_UP_S = 60.0


class JailError(Exception):
    """Something that only lack of memory, a bug or an attack explains: nothing of the jail is to be used any more."""


@dataclass(slots=True, eq=False)
class Cell:
    """A process of the jail."""

    channel: socket.socket
    stdout: int
    parent: "Cell | None" = field(repr=False)
    pid: int = 0
    """0 until it has said hello."""
    output: bytearray = field(default_factory=bytearray, repr=False)
    pending: "deque[Cell]" = field(default_factory=deque, repr=False)
    """What it was told to fork and has not forked yet: it may do so as many times."""
    decoder: Decoder = field(default_factory=Decoder)
    """Of its reports."""
    unsent: bytearray = field(default_factory=bytearray, repr=False)
    blocked: bool = False
    """Its socket is full: what is unsent waits for that."""

    @property
    def gone(self) -> bool:
        return self.channel.fileno() < 0


class Keeper(Protocol):
    """Who is told of what happens in cells."""

    def forked(self, cell: Cell) -> None:
        """Its parent is about to fork it."""
        ...

    def unborn(self, cell: Cell) -> None:
        """The process did not come: there are too many, or its parent, in which a program has run, did something else.
        Then that is gone too.
        """
        ...

    def reported(self, cell: Cell, report: dict[str, Any]) -> None:
        """It sent a frame. Raises ValueError if that makes no sense; the process is killed then."""
        ...

    def printed(self, cell: Cell) -> None:
        """More output is in `cell.output`."""
        ...

    def ended(self, cell: Cell, exit_code: int, cpu_s: float) -> None:
        """The process is gone; `exit_code` is negative for a signal."""
        ...


class Jail:
    """Starts a zygote by calling `start(channel)` in a new process, which must not return."""

    def __init__(
        self, keeper: Keeper, epoll: select.epoll, start: Callable[[socket.socket], None], largest_report: int
    ) -> None:
        self._keeper = keeper
        self._largest_report = largest_report
        self._epoll = epoll
        self._cells: dict[int, Cell] = {}  # by descriptor: channels and standard outputs
        self._by_pid: dict[int, Cell] = {}
        self._dying: set[int] = set()
        self._told: set[Cell] = set()
        self._clone = seccomp.clone_number()
        self.zygote, self._listener, self.fence = self._start(start)
        epoll.register(self._listener, select.EPOLLIN)

    def _start(self, start: Callable[[socket.socket], None]) -> tuple[Cell, int, dict[str, Any]]:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            try:
                os.setpgid(0, 0)
                os.dup2(theirs.fileno(), cell.CHANNEL)
                kernel.close_from(cell.CHANNEL + 1)
                start(socket.socket(fileno=cell.CHANNEL))
            except BaseException as error:
                os.write(cell.CHANNEL, encode({"fatal": f"{type(error).__name__}: {error}"}))
            finally:
                os._exit(1)
        theirs.close()
        ours.settimeout(_START_UP_S)
        message, descriptors, _, _ = socket.recv_fds(ours, _CHUNK, 1)
        fence = next(iter(Decoder().feed(message)), {"fatal": "the zygote ended without a word"})
        if not descriptors:
            raise OSError(str(fence.get("fatal")))
        ours.setblocking(False)
        zygote = Cell(ours, -1, None, pid)
        self._by_pid[pid] = zygote
        self._watch(zygote)
        return zygote, descriptors[0], fence

    # -- what the server does

    def fork(self, parent: Cell, order: dict[str, Any]) -> Cell:
        """Has `parent` fork a new cell, which gets `order`."""
        stdout, stdout_end = os.pipe2(os.O_CLOEXEC)
        ours, theirs = socket.socketpair()
        os.set_blocking(stdout, False)
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)  # the kernel says who says hello
        made = Cell(ours, stdout, parent, decoder=Decoder(self._largest_report))
        parent.pending.append(made)
        with theirs:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # shows when the parent is heard
                socket.send_fds(parent.channel, [cell.FORK], [stdout_end, theirs.fileno()])
            os.close(stdout_end)
        self._watch(made)
        self.tell(made, order)
        return made

    def tell(self, to: Cell, message: dict[str, Any]) -> None:
        """Queues a frame, which leaves with `send_all`."""
        to.unsent += encode(message)
        self._told.add(to)

    def send_all(self) -> None:
        """Sends what was told to cells since the last time, to each in one piece."""
        while self._told:
            to = self._told.pop()
            if not to.gone:
                self._push(to)

    def drain(self, of: Cell, limit: int) -> None:
        """Takes what was printed and has not been read yet, until it is more than `limit` bytes in all."""
        while len(of.output) <= limit and of.stdout >= 0 and (data := _read_ready(of.stdout)):
            of.output += data

    def close_output(self, of: Cell) -> None:
        """Its output is of no interest any more."""
        if of.stdout >= 0:
            self._forget(of.stdout)
            os.close(of.stdout)
            of.stdout = -1

    def kill(self, which: Cell) -> None:
        """Its end is still to be heard of."""
        os.kill(which.pid, signal.SIGKILL)

    def rest(self, which: Cell) -> None:
        """Puts a process to sleep in which a program has run, and which could go on by itself."""
        os.kill(which.pid, signal.SIGSTOP)

    def wake(self, which: Cell) -> None:
        """So that it can be forked."""
        os.kill(which.pid, signal.SIGCONT)

    def dismiss(self, which: Cell) -> None:
        """Ends a process about which nothing more is to be heard."""
        if which.pid:
            self.kill(which)
            self._dying.add(which.pid)
        self._close(which)

    @property
    def dying(self) -> bool:
        """Are there processes whose end must be waited for, by calling `reap`?"""
        return bool(self._dying)

    def reap(self) -> None:
        for pid in list(self._dying):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self._dying.remove(pid)
                del self._by_pid[pid]

    def stop(self) -> None:
        """Ends everything."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.zygote.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()

    # -- what the kernel tells

    def handle(self, descriptor: int, events: int) -> None:
        """Deals with what `epoll` says about one of the jail's descriptors."""
        if descriptor == self._listener:
            self._decide()
        elif (found := self._cells.get(descriptor)) is None:
            return  # closed in the same turn
        elif descriptor == found.stdout:
            self._read(found)
        else:
            if events & select.EPOLLOUT:
                self._push(found)
            if events & ~select.EPOLLOUT:
                self._hear(found)

    def _decide(self) -> None:
        """Answers the kernel's question: forks are for those who were told to fork, signals go to oneself."""
        question = kernel.next_question(self._listener)
        if question is None:
            return
        if question.number == self._clone:
            asker = self._by_pid.get(question.pid)
            allowed = asker is not None and bool(asker.pending)
            if asker is not None and allowed:
                self._keeper.forked(asker.pending.popleft())
        else:
            allowed = question.argument == question.pid
        kernel.answer(self._listener, question, 0 if allowed else errno.EPERM)

    def _read(self, found: Cell) -> None:
        try:
            data = os.read(found.stdout, _CHUNK)
        except BlockingIOError:
            return
        if data:
            found.output += data
            self._keeper.printed(found)
        else:
            self._forget(found.stdout)

    def _hear(self, found: Cell) -> None:
        if not found.pid and not self._greet(found):
            return
        try:
            data = found.channel.recv(_CHUNK)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        try:
            for report in found.decoder.feed(data):
                self._keeper.reported(found, report)
                if found.gone:
                    return
        except ValueError:  # no cell says that of its own accord
            self.kill(found)
        if not data:
            self._finish(found)

    def _greet(self, found: Cell) -> bool:
        """Takes a new cell's hello and, from the kernel, its process id. False if that has not come."""
        try:
            data, ancillary, _, _ = found.channel.recvmsg(1, socket.CMSG_SPACE(12))
        except BlockingIOError:
            return False
        except ConnectionResetError:
            data, ancillary = b"", []
        pid = int(struct.unpack("3i", ancillary[0][2])[0]) if data and ancillary else 0
        if pid == 0 or pid in self._by_pid or not _is_child(pid):
            self.give_up(found)
            return False
        found.channel.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
        found.pid = pid
        self._by_pid[pid] = found
        if found.parent is not None and found.parent is not self.zygote and not found.parent.pending:
            self.rest(found.parent)
        return True

    def give_up(self, unborn: Cell) -> None:
        """A cell that its parent did not fork as told. The zygote could not; a cell that has run a program ends, and so
        does whatever it may have forked instead.
        """
        parent = unborn.parent
        if parent is not self.zygote:
            if parent is not None and not parent.gone:
                self.dismiss(parent)
            for pid in _children() - self._by_pid.keys():
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        self._close(unborn)
        self._keeper.unborn(unborn)

    def _finish(self, found: Cell) -> None:
        """A process has hung up: it has ended, or lives on for no good."""
        if found is self.zygote:
            raise JailError("the zygote has ended")
        self.kill(found)  # which changes nothing for one that is about to end
        _, status, usage = os.wait4(found.pid, 0)
        del self._by_pid[found.pid]
        self._keeper.ended(found, os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime)
        self._close(found)

    # -- descriptors

    def _push(self, to: Cell) -> None:
        try:
            del to.unsent[: to.channel.send(to.unsent)]
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            to.unsent.clear()  # its end shows when it is heard
        if to.blocked or to.unsent:
            to.blocked = bool(to.unsent)
            events = select.EPOLLIN | (select.EPOLLOUT if to.blocked else 0)
            self._epoll.modify(to.channel.fileno(), events)

    def _watch(self, made: Cell) -> None:
        for descriptor in (made.stdout, made.channel.fileno()):
            if descriptor >= 0:
                self._cells[descriptor] = made
                self._epoll.register(descriptor, select.EPOLLIN)

    def _close(self, which: Cell) -> None:
        self.close_output(which)
        self._forget(which.channel.fileno())
        which.channel.close()

    def _forget(self, descriptor: int) -> None:
        """Closing is not enough for epoll while a process holds a copy."""
        if self._cells.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)


def _is_child(pid: int) -> bool:
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _children() -> set[int]:
    with open(f"/proc/self/task/{os.getpid()}/children", "rb") as children:
        return set(map(int, children.read().split()))


def _read_ready(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return b""
