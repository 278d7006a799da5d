"""Which executor programs are run with, by name."""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ponderosa.core import PonderosaError
from ponderosa.execution.forkserver import ForkServer
from ponderosa.execution.interpreter import CODE
from ponderosa.execution.jail import seccomp
from ponderosa.execution.limits import Limits, Shortcuts
from ponderosa.execution.subprocesses import SubprocessExecutor, bubblewrap
from ponderosa.execution.unsafe import UnsafeInProcessExecutor

Backend = Literal["auto", "fork_server", "bwrap", "command", "subprocess", "unsafe_in_process"]
_LIMITS, _SHORTCUTS = Limits(), Shortcuts()
AnyExecutor = ForkServer | SubprocessExecutor | UnsafeInProcessExecutor


@dataclass(frozen=True, slots=True)
class ExecutionSettings:
    """How programs are run. Backends, from the strongest:

    `fork_server`: `ForkServer`, with so many `servers` per tier and a cache of results; for Linux. `bwrap`: a fresh
    interpreter in bubblewrap for each program. `command`: a fresh one started by `command`, whose last words start
    Python, e.g. in a container; `{jail}` stands for the folder that it must be able to read. `subprocess`: a fresh one
    with limits of time, memory and output, but free to read, write and connect. `unsafe_in_process`: no protection at
    all. `auto` is `fork_server` on Linux, else `subprocess`.
    """

    backend: Backend = "auto"
    command: tuple[str, ...] = ()
    servers: int = 1
    cache_size: int = 16_384
    limits: Limits = _LIMITS
    shortcuts: Shortcuts = _SHORTCUTS

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "ExecutionSettings":
        """From what `dataclasses.asdict` made, also after JSON, or a part of it. Raises `PonderosaError`."""
        kinds: dict[str, Any] = {"limits": Limits, "shortcuts": Shortcuts}
        try:
            parts = {name: kind(**record[name]) for name, kind in kinds.items() if name in record}
            return cls(**{**record, **parts, "command": tuple(record.get("command", ()))})
        except TypeError as error:
            raise PonderosaError(f"not settings of an execution: {error}") from error


def make_executor(settings: ExecutionSettings | None = None, *, jobs: int | None = None) -> AnyExecutor:
    """The executor that `settings` name, up to `jobs` programs at once.

    It never falls back on a weaker one by itself: where the kernel lacks a protection, `ForkServer` raises
    `BackendError` when it is first used. Raises `PonderosaError` if a backend cannot be had here.
    """
    settings = settings or ExecutionSettings()
    limits = settings.limits
    match settings.backend:
        case "auto" if not (sys.platform == "linux" and seccomp.supported()):
            return SubprocessExecutor(limits, jobs=jobs)
        case "auto" | "fork_server":
            return ForkServer(
                limits, settings.servers, jobs=jobs, cache_size=settings.cache_size, shortcuts=settings.shortcuts
            )
        case "subprocess":
            return SubprocessExecutor(limits, jobs=jobs)
        case "bwrap":
            if shutil.which("bwrap") is None:
                raise PonderosaError("`bwrap` is not installed: install bubblewrap, or choose another backend")
            return SubprocessExecutor(limits, jobs=jobs, interpreter=bubblewrap())
        case "command":
            if not settings.command:
                raise PonderosaError("the backend `command` needs a command, whose last words start Python")
            words = [word.replace("{jail}", str(CODE)) for word in settings.command]
            return SubprocessExecutor(limits, jobs=jobs, interpreter=words)
        case "unsafe_in_process":
            return UnsafeInProcessExecutor(limits)
