"""The training process: `python -m ponderosa.training.server DRIVER_PID`, started by `ponderosa.training.launch`.

It loads the libraries once, reads a job a line from stdin and forks the workers of each, so that a job starts at once
and its memory is gone when it ends. Events go to stdout, a line of JSON each: ["progress", ...], ["report", ...] or
["error", ...], and in the end, when all workers are gone, ["done", null]. Whatever else is printed goes to stderr.
"""

import ctypes
import json
import os
import signal
import socket
import sys
import traceback
from dataclasses import asdict
from typing import Any, NoReturn

from ponderosa.core import PonderosaError
from ponderosa.training.jobs import parse_job, run_here

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serves jobs until stdin ends."""
    die_with(int(sys.argv[1]))
    events = os.dup(1)
    os.dup2(2, 1)
    try:
        import ponderosa.training.trainers  # noqa: F401  loads torch, transformers and trl once, for all workers
    except ImportError as error:
        sys.exit(f"{error}; `pip install 'ponderosa[train]'` installs what training needs")

    for line in sys.stdin:
        request = json.loads(line)
        failure = serve(request["job"], request["processes"], events)
        if failure:
            send(events, "error", {"message": failure, "trace": ""})
        send(events, "done", None)


def serve(job: dict[str, Any], processes: int, events: int) -> str | None:
    """Runs a job in forked workers; returns what went wrong where no worker lived to say it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    parent = os.getpid()
    workers = {}
    for rank in range(processes):
        pid = os.fork()
        if pid == 0:
            work(job, rank, processes, port, parent, events)
        workers[pid] = rank
    failure = None
    while workers:
        pid, status = os.wait()
        rank = workers.pop(pid)
        code = os.waitstatus_to_exitcode(status)
        if code != 0 and failure is None:
            failure = "" if code == 1 else f"training process {rank} {_died(code)}"
            for other in workers:
                os.kill(other, signal.SIGKILL)
    return failure or None


def _died(code: int) -> str:
    if code == -signal.SIGKILL:
        return "was killed, probably for want of memory: lower `micro_batch_size` or `max_length`"
    return f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def work(job: dict[str, Any], rank: int, processes: int, port: int, parent: int, events: int) -> NoReturn:
    """One worker's life. Exit code 1 says that it has sent the error itself."""
    die_with(parent)
    try:
        if processes > 1:
            os.environ |= {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(processes),
                "LOCAL_WORLD_SIZE": str(processes),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
            }
        report = run_here(parse_job(job), lambda progress: send(events, "progress", asdict(progress)))
        if rank == 0:
            send(events, "report", report)
    except PonderosaError as error:
        send(events, "error", {"message": str(error), "trace": traceback.format_exc()})
        os._exit(1)
    except Exception as error:
        message = f"training failed: {type(error).__name__}: {error}".splitlines()[0]
        send(events, "error", {"message": message, "trace": traceback.format_exc()})
        os._exit(1)
    os._exit(0)


def send(events: int, event: str, value: Any) -> None:
    """Writes one event as one line."""
    os.write(events, json.dumps([event, value]).encode() + b"\n")


def die_with(parent: int) -> None:
    """Has the kernel kill this process when its parent dies (Linux); ends it if that has happened already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(2)


if __name__ == "__main__":
    main()
