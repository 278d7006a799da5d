import asyncio
import sys
from collections.abc import Callable, Iterator

import pytest

from ponderosa.core import Execution
from ponderosa.execution import ForkServer, Limits
from ponderosa.execution.jail import seccomp

collect_ignore = (
    []
    if sys.platform == "linux" and seccomp.supported()
    else ["test_forkserver.py", "test_protection.py", "test_semantics.py"]
)

Run = Callable[[str], Execution]


@pytest.fixture(scope="session")
def run() -> Iterator[Run]:
    """Runs one program, each time on a new event loop, with one executor for all tests."""
    executor = ForkServer(Limits(wall_s=1.0, memory_mb=256), cache_size=0)
    yield lambda code: asyncio.run(executor.run(code))
    asyncio.run(executor.close())
