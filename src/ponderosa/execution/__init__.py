"""Running programs that a model wrote: safely, each as if alone, and many a second."""

import sys

from ponderosa.execution.forkserver import ForkServer
from ponderosa.execution.jail import seccomp
from ponderosa.execution.limits import Limits
from ponderosa.execution.subprocesses import SubprocessExecutor
from ponderosa.execution.tiers import Tier


def make_executor(limits: Limits | None = None, servers: int = 1) -> ForkServer | SubprocessExecutor:
    """The strongest executor for this system: `ForkServer` on Linux, else `SubprocessExecutor`, which logs that it is
    weaker. Where a Linux kernel turns out to lack a protection, `ForkServer` raises instead of going on without it.
    """
    if sys.platform == "linux" and seccomp.supported():
        return ForkServer(limits, servers)
    return SubprocessExecutor(limits)


__all__ = ["ForkServer", "Limits", "SubprocessExecutor", "Tier", "make_executor"]
