"""A model server of our own: started, waited for, and stopped, so that the accelerator is free when it has gone."""

import asyncio
import logging
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from ponderosa.cluster import warden
from ponderosa.core import PonderosaError

READY_S = 900.0
"""How long a server may take until it serves: large weights are read from disk, kernels compiled."""
DRAIN_S = 30.0
"""How long it may take to end by itself."""
CHECK_S = 5.0
UNRESPONSIVE_S = 120.0
"""How long it may answer nobody: loaded servers are slow to say anything."""
RESTARTS = 3
"""How often it is started again while it should serve."""

logger = logging.getLogger(__name__)


class ModelServer:
    """The server that `command` starts and that serves at `url`; what it prints goes to the file `log`.

    Also to be used as a context. It and its workers end with this process, however that ends. Raises `PonderosaError`
    with its last words if it ends before it serves, or if it ends while it should serve (`check`).
    """

    def __init__(
        self,
        command: Sequence[str],
        url: str,
        log: Path,
        ready_s: float = READY_S,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.url = url
        self._command, self._log, self._ready_s = list(command), log, ready_s
        self._environment = os.environ | dict(environment)
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
                *(sys.executable, "-P", warden.__file__, *self._command),
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,  # Ctrl-C is the driver's; and it ends with all its workers
            )
        try:
            async with asyncio.timeout(self._ready_s):
                while not await asyncio.to_thread(answers, self.url):
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
        """The process that watches over it (`warden`), which leads a group of its own."""
        return self._process.pid if self._process else None

    def check(self) -> None:
        """Raises `PonderosaError` if it has ended."""
        if self._ended:
            code = None if self._process is None else self._process.returncode
            *_, last = ["", *filter(str.strip, self._log.read_text(errors="replace").splitlines())]
            raise PonderosaError(f"the server at {self.url} ended with code {code}: {last}; its log: {self._log}")

    async def keep_up(self) -> None:
        """Starts it again, at the same address, when it has ended or answers nobody. Runs until cancelled.

        Raises `PonderosaError` with its last words after `RESTARTS` of them.
        """
        restarts = 0
        answered = time.monotonic()
        while True:
            await asyncio.sleep(CHECK_S)
            if self._ended:
                if restarts == RESTARTS:
                    self.check()
            elif await asyncio.to_thread(answers, self.url):
                answered = time.monotonic()
                continue
            elif time.monotonic() - answered < UNRESPONSIVE_S:
                continue
            elif restarts == RESTARTS:
                raise PonderosaError(f"{self.url} serves nobody since {UNRESPONSIVE_S:g} s; its log: {self._log}")
            restarts += 1
            logger.warning("%s has failed; starting it again", self.url)
            await self.stop()
            await self.start()
            answered = time.monotonic()

    @property
    def _ended(self) -> bool:
        return self._process is None or self._process.returncode is not None

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


def answers(url: str) -> bool:
    """Does the server at `url` say which models it has, or that it wants a key for that? Blocks for seconds at most."""
    try:
        with _DIRECT.open(f"{url.rstrip('/').removesuffix('/v1')}/v1/models", timeout=5) as response:
            return bool(response.status == 200)
    except urllib.error.HTTPError as error:
        return error.code in (401, 403)
    except (OSError, HTTPException, ValueError):
        return False


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # as requests to models go: past any proxy
