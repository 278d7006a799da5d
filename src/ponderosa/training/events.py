"""What a training process tells its driver: an event a line on stdout, ["progress", ...] and the like in JSON."""

import asyncio
import json
import os
from asyncio import StreamReader
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

from ponderosa.core import PonderosaError
from ponderosa.training.checkpoint import ask_to_stop
from ponderosa.training.settings import OnProgress, Progress

T = TypeVar("T")


def send(events: int, event: str, value: Any) -> None:
    """Writes one event, as one line, to the file descriptor `events`."""
    os.write(events, json.dumps([event, value]).encode() + b"\n")


def sending(events: int) -> OnProgress:
    """Sends progress on."""
    return lambda progress: send(events, "progress", asdict(progress))


class Told:
    """What has been told of a job: its `report`, its `errors` (message and trace), and whether all of it is `done`.

    `death` is how a process of it died without a word, if one did: the cause of the others' errors.
    """

    def __init__(self, on_progress: OnProgress | None) -> None:
        self.report: dict[str, Any] | None = None
        self.errors: list[dict[str, str]] = []
        self.death: str | None = None
        self.done = False
        self._progress: Progress | None = None
        self._note = ""
        self._on_progress = on_progress

    async def listen(self, stream: StreamReader) -> None:
        """Takes in events until one says that the job is done, or the stream ends. Other lines are passed over."""
        while not self.done and (line := await stream.readline()):
            try:
                event, value = json.loads(line)
            except (TypeError, ValueError):
                continue  # a launcher, or a library, talks to itself
            match event:
                case "progress":
                    self._progress = Progress(**value)
                    self._tell()
                case "report":
                    self.report = value
                case "error":
                    self.errors.append(value)
                case "done":
                    self.done, self.death = True, value

    async def until_stopped(self, listen: Callable[[], Awaitable[T]], out: Path) -> T:
        """What `listen` comes to, which may be called again. Once cancelled it waits until the training into `out` has
        saved its state, if there is one yet; cancelled again it ends at once.
        """
        try:
            return await listen()
        except asyncio.CancelledError:
            if self._progress:
                self._note = "stopping: its state is being saved (Ctrl-C again: at once)"
                self._tell()
                ask_to_stop(out)
                with suppress(PonderosaError):
                    await listen()
            raise

    def _tell(self) -> None:
        if self._on_progress and self._progress:
            self._on_progress(replace(self._progress, note=self._note or self._progress.note))
