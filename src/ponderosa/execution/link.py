"""The client's end of one execution server: the process, its socket, and the programs it has been given."""

import asyncio
import os
import socket
import subprocess
from collections.abc import Callable
from typing import Any

from ponderosa.core import BackendError
from ponderosa.execution.interpreter import ENVIRONMENT, command, package_folders
from ponderosa.execution.jail.frames import Decoder, encode
from ponderosa.execution.limits import Limits, Shortcuts
from ponderosa.execution.tiers import Tier

_CHUNK = 1 << 18


class ServerLink:
    """Starts a server and exchanges frames with it, on whichever event loop is attached.

    `on_answer(message)` is called for every program that ended, in the server's order, and `on_end(reason)` once
    when the server is gone.
    """

    def __init__(
        self,
        tier: Tier,
        limits: Limits,
        shortcuts: Shortcuts,
        jobs: int,
        on_answer: Callable[[dict[str, Any]], None],
        on_end: Callable[[str], None],
    ) -> None:
        self.ready = False
        self.protections: dict[str, Any] = {}
        self._on_answer = on_answer
        self._on_end = on_end
        self._decoder = Decoder()
        self._unsent = bytearray()
        self._flushing = False
        self._fatal = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket, theirs = socket.socketpair()
        settings = {
            "parent": os.getpid(),
            "jobs": jobs,
            "wall_s": limits.wall_s,
            "memory_bytes": limits.memory_mb << 20,
            "output_bytes": limits.output_bytes,
            "preload": tier.preload,
            "packages": package_folders(),
            "clock": limits.clock,
            **shortcuts.settings,
        }
        with theirs:
            try:
                self._process = subprocess.Popen(
                    command("server", settings),
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=ENVIRONMENT,
                    cwd="/",
                    start_new_session=True,  # Ctrl-C is for the client to handle
                )
            except OSError as error:
                self._socket.close()
                raise BackendError(f"the {tier} execution server could not start: {error}") from error
        self._socket.setblocking(False)

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Moves to `loop`; whichever was attached before is over."""
        self.detach()
        self._loop = loop
        self._flushing = False
        loop.add_reader(self._socket, self._receive)
        self._flush_soon()

    def detach(self) -> None:
        """Lets go of the event loop, if it still runs."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
        self._loop = None

    def send(self, message: dict[str, Any]) -> None:
        """Queues a program (see `jail.server.Job`); all that are queued in one turn of the loop leave in one write."""
        self._unsent += encode(message)
        self._flush_soon()

    def close(self) -> None:
        """Closes the socket, at which the server kills what runs and ends."""
        self.detach()
        self._socket.close()

    def wait(self, timeout_s: float = 2.0) -> None:
        """Blocks until the process is gone; kills it if it does not end by itself in time."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _flush_soon(self) -> None:
        if self._loop is not None and self._unsent and not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self._loop is None:
            return
        try:
            del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            self._unsent.clear()  # the end shows when reading
        if self._unsent:
            self._loop.add_writer(self._socket, self._flush)
        elif self._flushing:
            self._loop.remove_writer(self._socket)
            self._flushing = False

    def _receive(self) -> None:
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        for message in self._decoder.feed(data):
            if "id" in message:
                self._on_answer(message)
            elif "ready" in message:
                self.ready = True
                self.protections = message["ready"]
            else:
                self._fatal = str(message.get("fatal"))
        if not data:
            self.close()
            self.wait()
            self._on_end(self._fatal or f"it ended with exit code {self._process.returncode}")
