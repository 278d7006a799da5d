"""The training process: `python -m ponderosa.training.server DRIVER_PID`, started by `ponderosa.training.launch`.

It loads the libraries once, reads a job a line from stdin and forks the workers of each, so that a job starts at once
and its memory is gone when it ends. Events go to stdout, a line of JSON each: ["progress", ...], ["report", ...] or
["error", ...], and in the end, when all workers are gone, ["done", how one of them died, or null]. Whatever else is
printed goes to stderr.
"""

import ctypes
import json
import os
import signal
import socket
import sys
import traceback
from typing import Any, NoReturn

from ponderosa.core import PonderosaError
from ponderosa.training.events import send, sending
from ponderosa.training.jobs import parse_job

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",  # neither look-ups nor telemetry; a model must be here before it is trained
    "OMP_NUM_THREADS": "1",  # processes share the work; threads of small models only get into each other's way
    "TOKENIZERS_PARALLELISM": "false",
    "GLOO_SOCKET_IFNAME": "lo",
    "PYTHONFAULTHANDLER": "1",  # a death in native code says where it was
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # asking for a GPU must not initialise CUDA before the fork
}
"""What training processes find in their environment."""
_INSTALL = "`pip install 'ponderosa[train]'` installs what training needs"
_LIBRARIES = ("accelerate", "datasets", "peft", "torch", "transformers", "trl")
_PR_SET_PDEATHSIG = 1
_END = signal.SIGUSR2  # ends what a failed worker leaves; no other cause of death looks like it


def main() -> None:
    """Serves jobs until stdin ends."""
    die_with(int(sys.argv[1]))
    events = os.dup(1)
    os.dup2(2, 1)
    try:
        import ponderosa.training.trainers  # noqa: F401  loads torch, transformers and trl once, for all workers
    except ImportError as error:
        sys.exit(f"{error}; {_INSTALL}")

    for line in sys.stdin:
        request = json.loads(line)
        send(events, "done", serve(request["job"], request["processes"], events))


def serve(job: dict[str, Any], processes: int, events: int) -> str | None:
    """Runs a job in forked workers; returns how one of them died, if one did without a word.

    What the others then say is of its death only: a connection was lost.
    """
    parent = os.getpid()
    workers = {}
    with socket.create_server(("127.0.0.1", 0)) as meeting:
        for rank in range(processes):
            pid = os.fork()
            if pid == 0:
                work(job, rank, processes, meeting, parent, events)
            workers[pid] = rank
    death = None
    while workers:
        pid, status = os.wait()
        rank = workers.pop(pid)
        code = os.waitstatus_to_exitcode(status)
        if code not in (0, 1, -_END) and death is None:
            death = f"training process {rank} {died(code)}"
        if code != 0:
            for other in workers:
                os.kill(other, _END)
    return death


def died(code: int) -> str:
    """How a training process that ended with that exit code (negative: signal) died, and what to do."""
    if code == -signal.SIGKILL:
        return "was killed, probably for want of memory: lower `micro_batch_size` or `max_length`"
    return f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def work(job: dict[str, Any], rank: int, processes: int, meeting: socket.socket, parent: int, events: int) -> NoReturn:
    """One worker's life. The first serves the store by which they meet, at `meeting`."""
    die_with(parent)
    signal.signal(_END, signal.SIG_DFL)  # whatever was inherited
    if processes > 1:
        host, port = meeting.getsockname()
        if rank == 0:
            _served = _serve_store(meeting)  # as long as this process lives
        os.environ |= {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(processes),
            "LOCAL_WORLD_SIZE": str(processes),
            "MASTER_ADDR": host,
            "MASTER_PORT": str(port),
            "TORCHELASTIC_USE_AGENT_STORE": "True",  # torch's: the store is served, all are clients of it
        }
    os._exit(train(job, events, tells=rank == 0))


def _serve_store(meeting: socket.socket) -> Any:
    """Torch's store, on a port that is listened to already: one that was free a moment ago may be another's by now."""
    import torch.distributed

    host, port = meeting.getsockname()
    return torch.distributed.TCPStore(  # type: ignore[attr-defined]
        host, port, is_master=True, wait_for_workers=False, master_listen_fd=meeting.detach()
    )


def train(job: dict[str, Any], events: int, *, tells: bool) -> int:
    """Trains in this process; the one of a machine that `tells` sends the report. Returns the exit code.

    Exit code 1 says that the error was sent.
    """
    try:
        report = parse_job(job).run(sending(events))
        if tells:
            send(events, "report", report)
    except PonderosaError as error:
        send(events, "error", {"message": str(error), "trace": traceback.format_exc()})
        return 1
    except ImportError as error:
        advice = f"; {_INSTALL}" if error.name in _LIBRARIES else ""
        send(events, "error", {"message": f"{error}{advice}", "trace": traceback.format_exc()})
        return 1
    except Exception as error:
        message = f"training failed: {type(error).__name__}: {error}".splitlines()[0]
        send(events, "error", {"message": message, "trace": traceback.format_exc()})
        return 1
    return 0


def die_with(parent: int) -> None:
    """Has the kernel kill this process when its parent dies (Linux); ends it if that has happened already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(2)


if __name__ == "__main__":
    main()
