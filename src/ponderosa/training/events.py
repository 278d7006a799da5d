"""What a training process tells its driver: an event a line on stdout, ["progress", ...] and the like in JSON."""

import json
import os
from asyncio import StreamReader
from dataclasses import asdict
from typing import Any

from ponderosa.training.settings import OnProgress, Progress


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
        self._on_progress = on_progress

    async def listen(self, stream: StreamReader) -> None:
        """Takes in events until one says that the job is done, or the stream ends. Other lines are passed over."""
        while not self.done and (line := await stream.readline()):
            try:
                event, value = json.loads(line)
            except (TypeError, ValueError):
                continue  # a launcher, or a library, talks to itself
            match event:
                case "progress" if self._on_progress:
                    self._on_progress(Progress(**value))
                case "report":
                    self.report = value
                case "error":
                    self.errors.append(value)
                case "done":
                    self.done, self.death = True, value
