"""A warm execution server: forks a fenced child for every program that its client sends.

Single-threaded, one epoll loop. It talks frames (see `frames`) on the socket that is its standard input:

    -> {"id": 7, "code": "print(1)"}
    <- {"ready": {"landlock": 7, ...}}                                       once, when it can serve
    <- {"id": 7, "status": "ok", "stdout": "1\\n", "wall_s": 0.001, ...}      in the order in which programs end
    <- {"fatal": "why"}                                                      before it gives up

It ends when its client does: the socket reaches its end, and a descriptor of the parent process becomes readable.
"""

import gc
import math
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from . import child, kernel, seccomp, warmup
from .frames import Decoder, encode
from .verdict import ended

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server is started with, as JSON.

    `wall_s` in seconds; `memory_bytes` comes on top of what the server itself holds; `preload` names modules,
    `packages` the folders where they are installed.
    """

    parent: int
    jobs: int
    wall_s: float
    memory_bytes: int
    output_bytes: int
    preload: list[str]
    packages: list[str]


@dataclass(slots=True)
class _Child:
    """A running program."""

    id: int
    pid: int
    pidfd: int
    stdout: int
    result: int
    started: float
    output: bytearray
    verdict: str | None = None
    """Why the server killed it."""


class Server:
    """The loop. `protections` says what is active."""

    def __init__(self, settings: Settings, connection: socket.socket) -> None:
        self._settings = settings
        self._connection = connection
        self._decoder = Decoder()
        self._queue: deque[tuple[int, str]] = deque()
        self._children: dict[int, _Child] = {}  # by pid, oldest first; time limits are equal, so the first is due first
        self._by_descriptor: dict[int, _Child] = {}
        self._unsent = bytearray()
        self._epoll = select.epoll()
        self._pid = os.getpid()
        self._cpu_s = math.ceil(settings.wall_s) + 1
        self._memory_bytes = 0
        self._landlock = 0
        self._system_calls = b""
        self._parent = -1

    def prepare(self) -> None:
        """Loads what programs of this tier import, then gives up everything that serving does not need."""
        sys.path += self._settings.packages
        warmup.load(self._settings.preload)
        readable = [*sys.path, *_LIBRARIES]
        self._memory_bytes = kernel.address_space() + self._settings.memory_bytes
        self._parent = os.pidfd_open(self._settings.parent)
        if os.getppid() != self._settings.parent:
            raise OSError("the client has ended")
        kernel.give_up_privileges()
        self._landlock = kernel.landlock_abi()
        if self._landlock:
            kernel.restrict_files(readable)
        self._system_calls = seccomp.allow_list(open_files=self._landlock > 0)
        _prove_seccomp(self._system_calls)
        # Children copy a page when they write to it: keep the collector from touching what is loaded.
        gc.collect()
        gc.freeze()
        gc.disable()
        self._connection.setblocking(False)
        self._epoll.register(self._connection, select.EPOLLIN)
        self._epoll.register(self._parent, select.EPOLLIN)
        self._send({"ready": {"landlock": self._landlock, "seccomp": True}})

    def serve(self) -> None:
        """Until the client is gone."""
        while True:
            for descriptor, events in self._epoll.poll(self._patience()):
                if descriptor == self._connection.fileno():
                    if events & select.EPOLLOUT:
                        self._flush()
                    if events & (select.EPOLLIN | select.EPOLLHUP) and not self._receive():
                        return
                elif descriptor == self._parent:
                    return
                elif running := self._by_descriptor.get(descriptor):
                    if descriptor == running.pidfd:
                        self._finish(running)
                    else:
                        self._read(running)
            self._enforce()
            while self._queue and len(self._children) < self._settings.jobs:
                self._start(*self._queue.popleft())
            if self._unsent:
                self._flush()

    def stop(self) -> None:
        """Kills what still runs and waits until it is gone."""
        for running in self._children.values():
            signal.pidfd_send_signal(running.pidfd, signal.SIGKILL)
        for running in self._children.values():
            os.waitpid(running.pid, 0)

    def _patience(self) -> float | None:
        oldest = next(iter(self._children.values()), None)
        if oldest is None:
            return None
        return max(0.0, oldest.started + self._settings.wall_s - time.monotonic())

    def _receive(self) -> bool:
        try:
            data = self._connection.recv(_CHUNK)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        self._queue.extend((message["id"], message["code"]) for message in self._decoder.feed(data))
        return bool(data)

    def _start(self, id: int, code: str) -> None:
        stdout, stdout_end = os.pipe2(os.O_CLOEXEC)
        result, result_end = os.pipe2(os.O_CLOEXEC)
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            child.run(
                code,
                stdout_end,
                result_end,
                parent=self._pid,
                memory_bytes=self._memory_bytes,
                cpu_s=self._cpu_s,
                system_calls=self._system_calls,
            )
        os.close(stdout_end)
        os.close(result_end)
        os.set_blocking(stdout, False)
        os.set_blocking(result, False)
        running = _Child(id, pid, os.pidfd_open(pid), stdout, result, started, bytearray())
        self._children[pid] = running
        for descriptor in (running.pidfd, stdout):
            self._by_descriptor[descriptor] = running
            self._epoll.register(descriptor, select.EPOLLIN)

    def _read(self, running: _Child) -> None:
        """Takes what the program printed; more than the limit ends it."""
        try:
            data = os.read(running.stdout, _CHUNK)
        except BlockingIOError:
            return
        if not data:  # the program closed its output
            self._forget(running.stdout)
            return
        running.output += data
        if len(running.output) > self._settings.output_bytes:
            self._kill(running, "output_limit")

    def _kill(self, running: _Child, verdict: str) -> None:
        if running.verdict is None:
            running.verdict = verdict
            signal.pidfd_send_signal(running.pidfd, signal.SIGKILL)

    def _enforce(self) -> None:
        now = time.monotonic()
        for running in self._children.values():
            if now - running.started < self._settings.wall_s:
                break
            self._kill(running, "timeout")

    def _finish(self, running: _Child) -> None:
        _, status, usage = os.wait4(running.pid, 0)
        wall_s = time.monotonic() - running.started
        limit = self._settings.output_bytes
        while len(running.output) <= limit and (data := _read_ready(running.stdout)):
            running.output += data
        if len(running.output) > limit and running.verdict is None:
            running.verdict = "output_limit"
        record = ended(running.verdict, os.waitstatus_to_exitcode(status), _read_ready(running.result))
        record["id"] = running.id
        record["stdout"] = running.output[:limit].decode("utf-8", "replace")
        record["wall_s"] = round(wall_s, 6)
        record["cpu_s"] = round(usage.ru_utime + usage.ru_stime, 6)
        self._send(record)
        del self._children[running.pid]
        for descriptor in (running.pidfd, running.stdout, running.result):
            self._forget(descriptor)
            os.close(descriptor)

    def _forget(self, descriptor: int) -> None:
        """Closing is not enough: a child that was just forked still holds a copy, for which epoll would go on reporting
        under a number that is soon another program's.
        """
        if self._by_descriptor.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

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


# Shared libraries that extension modules load, and time zones.
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/usr/share/zoneinfo")


def _prove_seccomp(instructions: bytes) -> None:
    """Raises OSError unless a child can be fenced in: a program must never be the first to find out."""
    pid = os.fork()
    if pid == 0:
        try:
            kernel.allow_system_calls(seccomp.for_process(instructions, os.getpid()))
            os.fork()
        except PermissionError:
            os._exit(0)
        finally:
            os._exit(1)
    if os.waitpid(pid, 0)[1] != 0:
        raise OSError("this system does not let a process install a seccomp filter")


def _read_ready(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return b""


def main(settings: dict[str, Any]) -> None:
    """Serves on standard input until the client is gone."""
    connection = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    # 0 to 3 are taken now (`connection` is 3), so no pipe gets a number that children reuse.
    try:
        server = Server(Settings(**settings), connection)
        server.prepare()
        server.serve()
        server.stop()
    except BaseException as error:
        connection.setblocking(True)
        connection.sendall(encode({"fatal": f"{type(error).__name__}: {error}"}))
        raise
