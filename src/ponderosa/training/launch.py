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
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from ponderosa.core import PonderosaError
from ponderosa.training.jobs import PPMJob, SFTJob, parse_job
from ponderosa.training.settings import Progress

OnProgress = Callable[[Progress], None]
Job = SFTJob | PPMJob | Mapping[str, Any]


class Launcher:
    """Runs training jobs, one at a time, each in `processes` local processes of one thread that share its work.

    An async context manager: entering starts the server without waiting for it, leaving ends it and all below it. They
    also end when this process dies, however it dies.
    """

    def __init__(self, processes: int = 1) -> None:
        self.processes = processes
        self._server: asyncio.subprocess.Process | None = None
        self._stderr: deque[str] = deque(maxlen=40)
        self._drain: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def run(self, job: Job, on_progress: OnProgress | None = None) -> dict[str, Any]:
        """Trains, and returns the report as plain values.

        Raises `PonderosaError` with what the training raised, or if a process of it died. Cancelling ends the training
        and leaves no checkpoint.
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
                return await self._result(server, on_progress)
            except PonderosaError:
                raise
            except BaseException:
                await self.close()  # its workers are still training
                raise

    async def _result(self, server: asyncio.subprocess.Process, on_progress: OnProgress | None) -> dict[str, Any]:
        assert server.stdout is not None
        report: dict[str, Any] = {}
        errors: list[dict[str, str]] = []
        while line := await server.stdout.readline():
            event, value = json.loads(line)
            match event:
                case "progress" if on_progress:
                    on_progress(Progress(**value))
                case "report":
                    report = value
                case "error":
                    errors.append(value)
                case "done" if errors:
                    raise PonderosaError(errors[0]["message"]) from RuntimeError(errors[0]["trace"])
                case "done":
                    return report
        code = await server.wait()
        if self._drain:
            await self._drain
        last = next((text for text in reversed(self._stderr) if text.strip()), "no message")
        raise PonderosaError(f"the training process ended with exit code {code}: {last.strip()}") from RuntimeError(
            "".join(self._stderr)
        )

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
        """Ends the server and its workers at once. Their partial checkpoints are removed by the next training."""
        if self._server is None:
            return
        server, self._server = self._server, None
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        await server.wait()
        if self._drain:
            await self._drain


ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",  # neither look-ups nor telemetry; a model must be here before it is trained
    "OMP_NUM_THREADS": "1",  # processes share the work; threads of small models only get into each other's way
    "TOKENIZERS_PARALLELISM": "false",
    "GLOO_SOCKET_IFNAME": "lo",
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # asking for a GPU must not initialise CUDA before the fork
}
"""What the server finds in its environment."""


async def run_job(job: Job, processes: int = 1, on_progress: OnProgress | None = None) -> dict[str, Any]:
    """Runs one job in a launcher of its own; see `Launcher.run`."""
    async with Launcher(processes) as launcher:
        return await launcher.run(job, on_progress)
