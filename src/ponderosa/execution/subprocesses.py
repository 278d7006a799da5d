"""`SubprocessExecutor`: a fresh interpreter a program, for systems without the kernel primitives of `ForkServer`."""

import asyncio
import contextlib
import json
import logging
import math
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

from ponderosa.core import BackendError, Execution
from ponderosa.execution.interpreter import CODE, ENVIRONMENT, INTERPRETER, command, package_folders
from ponderosa.execution.jail.verdict import ended
from ponderosa.execution.limits import Limits
from ponderosa.execution.result import refusal, to_execution

_REPORT_BYTES = 16 * 1024
_logger = logging.getLogger(__name__)


class SubprocessExecutor:
    """An `Executor` that bounds time, memory and output, and nothing else: programs can read, write and connect.

    `interpreter` starts Python; words before it can fence it in (see `bubblewrap`, or a container's command). Up to
    `jobs` run at once. About ten times slower than `ForkServer`. Raises `BackendError` if nothing starts.
    """

    def __init__(
        self, limits: Limits | None = None, *, jobs: int | None = None, interpreter: Sequence[str] = INTERPRETER
    ) -> None:
        self.limits = limits or Limits()
        self.interpreter = tuple(interpreter)
        self._threads = ThreadPoolExecutor(jobs or os.cpu_count() or 1, "subprocess-executor")
        self._packages = package_folders()
        if self.interpreter == INTERPRETER:
            _logger.warning(
                "programs run in plain subprocesses: time, memory and output are limited, but files and the network "
                "are open to them; run on Linux, or in a container, for a sandbox"
            )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def run(self, code: str, after: str | None = None, group: str | None = None) -> Execution:
        """See `Executor.run`."""
        if (refused := refusal(code, self.limits)) is not None:
            return refused
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, code)

    async def close(self) -> None:
        """Waits for the programs that run; what has not started is dropped."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    def _run(self, code: str) -> Execution:
        limits = self.limits
        settings = {
            "packages": self._packages,
            "memory_bytes": limits.memory_mb << 20,
            "cpu_s": math.ceil(limits.wall_s) + 1,
            "file_bytes": max(limits.output_bytes, _REPORT_BYTES) + 1,  # the kernel stops a flood
        }
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            started = time.monotonic()
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            try:
                process = subprocess.Popen(
                    command("alone", settings, self.interpreter),
                    stdin=subprocess.PIPE,
                    stdout=stdout,
                    stderr=stderr,
                    env=ENVIRONMENT,
                    start_new_session=True,
                )
            except OSError as error:
                raise BackendError(f"cannot start {self.interpreter[0]}: {error.strerror}") from error
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
            stderr.seek(0)
            record = ended(killed_for, process.returncode, _report(stderr.read()))
        record["stdout"] = output[: limits.output_bytes].decode("utf-8", "replace")
        record["wall_s"] = wall_s
        record["cpu_s"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return to_execution(record, "subprocess")


def _report(stderr: bytes) -> Any:
    """The report is the last line; what fences the interpreter in may have said something before."""
    try:
        return json.loads(stderr.splitlines()[-1])
    except (ValueError, IndexError):
        return None


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Ends the program and what it started, as far as that stayed in its session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nothing is left; macOS says so with the second
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def bubblewrap() -> tuple[str, ...]:
    """An interpreter in namespaces of its own that sees Python and its libraries, read-only, and no network.

    Needs `bwrap` and the right to make user namespaces, which containers seldom give.
    """
    folders = ["/usr", "/lib", "/lib64", "/bin", sys.base_prefix, sys.prefix, str(CODE), *package_folders()]
    mounts = [word for folder in dict.fromkeys(folders) for word in ("--ro-bind-try", folder, folder)]
    fence = ["--unshare-all", "--die-with-parent", "--new-session", "--proc", "/proc", "--dev", "/dev", "--chdir", "/"]
    return ("bwrap", *fence, *mounts, *INTERPRETER)
