"""`UnsafeInProcessExecutor`: programs run in the search process itself. For measuring, and for programs one wrote."""

import contextlib
import io
import logging
import time
from typing import Self

from ponderosa.core import Execution, Status
from ponderosa.execution.jail.program import FILENAME
from ponderosa.execution.limits import Limits
from ponderosa.execution.result import refusal

_logger = logging.getLogger(__name__)


class UnsafeInProcessExecutor:
    """An `Executor` without any protection or time limit: a program can do whatever this process can, for ever."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        _logger.warning("programs run inside this process, unprotected: use this for programs that you wrote yourself")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def run(self, code: str, after: str | None = None, group: str | None = None) -> Execution:
        """See `Executor.run`."""
        if (refused := refusal(code, self.limits)) is not None:
            return refused
        stdout = io.StringIO()
        started, cpu_started = time.monotonic(), time.process_time()
        error: BaseException | None = None
        try:
            with contextlib.redirect_stdout(stdout):
                exec(compile(code, FILENAME, "exec", dont_inherit=True), {"__name__": "__main__"})
        except BaseException as raised:
            if not isinstance(raised, SystemExit) or raised.code:
                error = raised
        return Execution(
            Status.OK if error is None else Status.ERROR,
            stdout.getvalue(),
            type(error).__name__ if error is not None else None,
            str(error) if error is not None else None,
            wall_s=time.monotonic() - started,
            cpu_s=time.process_time() - cpu_started,
            tier="unsafe",
        )

    async def close(self) -> None:
        """There is nothing to close."""
