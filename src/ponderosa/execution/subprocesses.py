"""`SubprocessExecutor`: a fresh interpreter a program, for systems without the kernel primitives of `ForkServer`."""

import asyncio
import contextlib
import logging
import math
import os
import resource
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from ponderosa.core import Execution
from ponderosa.execution.interpreter import ENVIRONMENT, command, package_folders
from ponderosa.execution.jail.verdict import ended
from ponderosa.execution.limits import Limits
from ponderosa.execution.result import refusal, to_execution

_logger = logging.getLogger(__name__)


class SubprocessExecutor:
    """An `Executor` that bounds time, memory and output, and nothing else: programs can read, write and connect.

    Up to `jobs` run at once. About ten times slower than `ForkServer`.
    """

    def __init__(self, limits: Limits | None = None, *, jobs: int | None = None) -> None:
        self.limits = limits or Limits()
        self._threads = ThreadPoolExecutor(jobs or os.cpu_count() or 1, "subprocess-executor")
        self._packages = package_folders()
        _logger.warning(
            "programs run in plain subprocesses: time, memory and output are limited, but files and the network are "
            "open to them; run on Linux, or in a container, for a sandbox"
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def run(self, code: str, after: str | None = None) -> Execution:
        """See `Executor.run`."""
        if (refused := refusal(code, self.limits)) is not None:
            return refused
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, code)

    async def close(self) -> None:
        """Waits for the programs that run; what has not started is dropped."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    def _run(self, code: str) -> Execution:
        limits = self.limits
        report, report_end = os.pipe()
        settings = {
            "report": report_end,
            "packages": self._packages,
            "memory_bytes": limits.memory_mb << 20,
            "cpu_s": math.ceil(limits.wall_s) + 1,
            "file_bytes": limits.output_bytes + 1,  # the kernel stops a flood; one byte more tells it from a fit
        }
        with tempfile.TemporaryFile() as stdout, os.fdopen(report, "rb") as reader:
            started = time.monotonic()
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            process = subprocess.Popen(
                command("alone", settings),
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=subprocess.DEVNULL,
                env=ENVIRONMENT,
                pass_fds=[report_end],
                start_new_session=True,
            )
            os.close(report_end)
            killed_for = None
            try:
                process.communicate(code.encode("utf-8", "surrogatepass"), timeout=limits.wall_s)
            except subprocess.TimeoutExpired:
                killed_for = "timeout"
            finally:
                _kill_group(process)
            wall_s = time.monotonic() - started
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            stdout.seek(0)
            output = stdout.read()
            if len(output) > limits.output_bytes:
                killed_for = "output_limit"
            record = ended(killed_for, process.returncode, reader.read())
        record["stdout"] = output[: limits.output_bytes].decode("utf-8", "replace")
        record["wall_s"] = wall_s
        record["cpu_s"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return to_execution(record, "subprocess")


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Ends the program and what it started, as far as that stayed in its session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nothing is left; macOS says so with the second
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
