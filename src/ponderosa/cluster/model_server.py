"""A model server of our own: started, waited for, and stopped, so that the accelerator is free when it has gone."""

import asyncio
import ctypes
import os
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from ponderosa.core import PonderosaError

READY_S = 900.0
"""How long a server may take until it serves: large weights are read from disk, kernels compiled."""
DRAIN_S = 30.0
"""How long it may take to end by itself."""


class ModelServer:
    """The server that `command` starts and that serves at `url`; what it prints goes to the file `log`.

    Also to be used as a context. It ends with this process, however that ends. Raises `PonderosaError` with its last
    words if it ends before it serves, or if it ends while it should serve (`check`).
    """

    def __init__(self, command: Sequence[str], url: str, log: Path, ready_s: float = READY_S) -> None:
        self.url = url
        self._command, self._log, self._ready_s = list(command), log, ready_s
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Starts it and returns when it answers."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is the driver's; and it ends with all its workers
                preexec_fn=_end_with_parent,
            )
        try:
            async with asyncio.timeout(self._ready_s):
                while not await asyncio.to_thread(_answers, self.url):
                    self.check()
                    await asyncio.sleep(0.5)
        except TimeoutError:
            await self.stop()
            raise PonderosaError(f"{self.url} does not serve after {self._ready_s:g} s; its log: {self._log}") from None
        except BaseException:
            await self.stop()
            raise

    @property
    def pid(self) -> int | None:
        """Its process, which leads a group of its own."""
        return self._process.pid if self._process else None

    def check(self) -> None:
        """Raises `PonderosaError` if it has ended."""
        if self._process is None or self._process.returncode is not None:
            code = None if self._process is None else self._process.returncode
            *_, last = ["", *filter(str.strip, self._log.read_text(errors="replace").splitlines())]
            raise PonderosaError(f"the server at {self.url} ended with code {code}: {last}; its log: {self._log}")

    async def stop(self) -> None:
        """Lets it end what it does, for a while, and ends it with all that it started."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_S):
                    await process.wait()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def vllm_command(python: str, model: str, port: int, *arguments: str) -> list[str]:
    """What serves the checkpoint `model` with the vLLM of the interpreter `python`."""
    server = [python, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", str(port)]
    return [*server, "--model", model, *arguments]


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/v1/models", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
