"""Training in processes of its own, so that its memory is freed in the end and the driver stays responsive.

A `Launcher` starts `ponderosa.training.server` once, which loads the libraries (seconds) while the driver does other
things, and forks a fresh set of workers for every job.
"""

import asyncio
import json
import os
import signal
import sys
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Self

from ponderosa.core import PonderosaError
from ponderosa.training.accelerated import AccelerateLauncher
from ponderosa.training.events import Told
from ponderosa.training.jobs import Job, parse_job
from ponderosa.training.server import ENVIRONMENT, died
from ponderosa.training.settings import FitSettings, LauncherSettings, OnProgress


class Launcher:
    """Runs training jobs, one at a time, each in `processes` local processes of one thread that share its work.

    An async context manager: entering starts the server without waiting for it, leaving ends it and all below it. They
    also end when this process dies, however it dies.
    """

    def __init__(self, processes: int = 1) -> None:
        self.processes = processes
        self._server: asyncio.subprocess.Process | None = None
        self._stderr: deque[str] = deque(maxlen=200)
        self._drain: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def run(self, job: Job | Mapping[str, Any], on_progress: OnProgress | None = None) -> dict[str, Any]:
        """Trains, and returns the report as plain values.

        Raises `PonderosaError` with what the training raised, or if a process of it died. Cancelling has the training
        save its state and end (cancelled again, end at once), and leaves no checkpoint; the same job goes on from what
        was saved.
        """
        parsed = parse_job(job)
        async with self._turn:
            server = await self._start()
            assert server.stdin is not None
            request = {"job": parsed.model_dump(mode="json"), "processes": self.processes}
            try:
                with suppress(ConnectionError):  # a dead server shows below, where its last words are known
                    server.stdin.write(json.dumps(request).encode() + b"\n")
                    await server.stdin.drain()
                told = Told(on_progress)
                return await told.until_stopped(partial(self._result, server, told), parsed.out)
            except PonderosaError:
                raise
            except BaseException:
                await self.close()  # its workers are still training
                raise

    async def _result(self, server: asyncio.subprocess.Process, told: Told) -> dict[str, Any]:
        assert server.stdout is not None
        await told.listen(server.stdout)
        if told.done:
            if told.death:
                await asyncio.sleep(0)  # what it said at last came first, and is read by now
                raise PonderosaError(told.death) from RuntimeError("".join(self._stderr))
            if told.errors:
                raise PonderosaError(told.errors[0]["message"]) from RuntimeError(told.errors[0]["trace"])
            if told.report is None:
                raise PonderosaError("the training ended without a report") from RuntimeError("".join(self._stderr))
            return told.report
        code = await server.wait()
        if self._drain:
            await self._drain
        last = next((text for text in reversed(self._stderr) if text.strip()), "no message")
        how = died(code) if code < 0 else f"ended with exit code {code}: {last.strip()}"
        raise PonderosaError(f"the training process {how}") from RuntimeError("".join(self._stderr))

    async def _start(self) -> asyncio.subprocess.Process:
        if self._server is not None and self._server.returncode is None:
            return self._server
        self._stderr.clear()
        self._server = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ponderosa.training.server",
            str(os.getpid()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | ENVIRONMENT,
            limit=1 << 24,
            start_new_session=True,  # Ctrl-C is the driver's: it decides what ends
        )
        self._drain = asyncio.create_task(self._read_stderr(self._server))
        return self._server

    async def _read_stderr(self, server: asyncio.subprocess.Process) -> None:
        assert server.stderr is not None
        while line := await server.stderr.readline():
            self._stderr.append(line.decode(errors="replace"))

    async def close(self) -> None:
        """Ends the server and its workers at once. What a training saved is there for it to go on from."""
        if self._server is None:
            return
        server, self._server = self._server, None
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        await server.wait()
        if self._drain:
            await self._drain


def launching(
    processes: int = 1, settings: LauncherSettings | None = None, trainings: Iterable[FitSettings] = ()
) -> Launcher | AccelerateLauncher:
    """What runs jobs in so many processes: by `accelerate launch` if the settings say so, else by a fork server.

    Raises `PonderosaError` if one of the `trainings` that are to come could not be had so.
    """
    if settings is None or settings.accelerate is None:
        return Launcher(processes)
    launcher = AccelerateLauncher(settings, processes)
    for training in trainings:
        launcher.check(training)
    return launcher


async def run_job(
    job: Job | Mapping[str, Any],
    processes: int = 1,
    on_progress: OnProgress | None = None,
    settings: LauncherSettings | None = None,
) -> dict[str, Any]:
    """Runs one job in a launcher of its own; see `Launcher.run`."""
    async with launching(processes, settings) as launcher:
        return await launcher.run(job, on_progress)
