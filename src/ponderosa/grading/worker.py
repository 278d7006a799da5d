"""The client's end of the process in `comparison`."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading

from ponderosa.core import BackendError, Graded, Verdict

_START = (
    "import sys; sys.path[:] = {path!r}; from ponderosa.grading import comparison; "
    "comparison.main({timeout_s!r}, {memory_bytes!r})"
)
_ATTEMPTS = 2


class Worker:
    """Starts the process when first needed and replaces it when it died. Thread-safe; one comparison at a time."""

    def __init__(self, timeout_s: float, memory_mb: int) -> None:
        start = _START.format(path=sys.path, timeout_s=timeout_s, memory_bytes=memory_mb << 20)
        self._command = [sys.executable, "-c", start]
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._closed = False

    def compare(self, gold: str, answer: str, tolerance: float = 0.0) -> Verdict:
        """Is `answer` right, and if that could not be found out, why. Blocks for the time-out at most, and the start.

        Raises BackendError if the process does not start.
        """
        request = json.dumps([gold, answer, tolerance]).encode("ascii") + b"\n"
        with self._lock:
            for _ in range(_ATTEMPTS):
                if self._closed:
                    raise BackendError("the grader is closed")
                if self._process is None:
                    self._process = self._start()
                if reply := _exchange(self._process, request):
                    correct, status, detail = json.loads(reply)
                    return Verdict(correct, Graded(status), detail)
                self._stop()
        return Verdict(False, Graded.CRASHED, "the comparison crashed")

    def close(self) -> None:
        """Ends the process, also in the middle of a comparison."""
        self._closed = True
        if (process := self._process) is not None:
            _kill(process)
        with self._lock:
            self._stop()

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},
            start_new_session=True,  # its own group, so that template and comparer end together
        )
        if not _exchange(process, b""):
            _reap(process)
            raise BackendError("the grader's process does not start; `python -c 'import math_verify'` tells why")
        return process

    def _stop(self) -> None:
        if self._process is not None:
            _reap(self._process)
            self._process = None


def _exchange(process: "subprocess.Popen[bytes]", request: bytes) -> bytes:
    """The line that answers `request`; empty if the process died instead."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(request)
        process.stdin.flush()
    except BrokenPipeError:
        return b""
    return process.stdout.readline()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _reap(process: "subprocess.Popen[bytes]") -> None:
    _kill(process)  # also where the template has ended: its comparer may not have
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # a request that could not be flushed
                pipe.close()
    process.wait()
