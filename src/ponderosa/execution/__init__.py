"""Running programs that a model wrote: safely, each as if alone, and many a second."""

from ponderosa.execution.backends import Backend, ExecutionSettings, make_executor
from ponderosa.execution.forkserver import ForkServer
from ponderosa.execution.limits import Limits, Shortcuts
from ponderosa.execution.protections import Protection
from ponderosa.execution.subprocesses import SubprocessExecutor
from ponderosa.execution.tiers import Tier
from ponderosa.execution.unsafe import UnsafeInProcessExecutor

__all__ = [
    "Backend",
    "ExecutionSettings",
    "ForkServer",
    "Limits",
    "Protection",
    "Shortcuts",
    "SubprocessExecutor",
    "Tier",
    "UnsafeInProcessExecutor",
    "make_executor",
]
