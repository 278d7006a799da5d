"""The servers of a run's models: each comes up before a search that wants it, and goes before training.

So the accelerator is free for training, and the next search has the new checkpoint.
"""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from ponderosa.cluster.model_server import ModelServer, answers, free_port, vllm_command
from ponderosa.core import PonderosaError, split_options
from ponderosa.evolution.recipe import ExternalServer, OwnServer, Role, ServerSettings
from ponderosa.evolution.run import Observer
from ponderosa.models import Spec


class _Server(Protocol):
    """What serves the models of one role, one after the other."""

    async def serve(self, checkpoint: str) -> str:
        """Serves `checkpoint` alone from now on; at which address."""
        ...

    async def keep_up(self) -> None:
        """Mends what fails until cancelled. Raises `PonderosaError` where that cannot be done."""
        ...

    async def stop(self) -> None:
        """Frees what it holds."""
        ...


class Servers:
    """The servers that the recipe names, by role ("policy", "ppm"); other models are run by the workers themselves.

    One that serves the wanted checkpoint already stays as it is. Raises `PonderosaError`, before anything is spent, if
    there is no vLLM where one is named.
    """

    def __init__(self, settings: Mapping[Role, ServerSettings], logs: Path, observer: Observer) -> None:
        self._servers: dict[Role, _Server] = {role: _server(role, one, logs) for role, one in settings.items()}
        self._options = {role: one.options for role, one in settings.items()}
        self._served: dict[Role, tuple[str, str]] = {}
        self._observer = observer

    @asynccontextmanager
    async def serving(self, models: Mapping[Role, str | None]) -> AsyncIterator[dict[Role, str | None]]:
        """The names under which `models`, by role, are to be asked meanwhile. Failing servers are started again."""
        names = dict(models)
        for role, model in models.items():  # one by one: a vLLM measures how much memory the others leave it
            if model is not None and role in self._servers and _is_checkpoint(model):
                names[role] = await self._serve(role, model)
        kept = [self._servers[role] for role in names if names[role] != models[role]]
        try:
            async with asyncio.TaskGroup() as group:
                watching = [group.create_task(server.keep_up()) for server in kept]
                yield names
                for task in watching:
                    task.cancel()
        except* Exception as errors:
            raise errors.exceptions[0] from None

    async def stop(self) -> None:
        """Ends the servers of our own."""
        self._served.clear()
        for server in self._servers.values():
            await server.stop()

    async def _serve(self, role: Role, model: str) -> str:
        served, name = self._served.pop(role, (None, ""))
        if served != model:
            view = self._observer.stage(f"starting the server of the {role}", 1, unit="servers")
            target, _ = split_options(model)
            url = await self._servers[role].serve(os.path.abspath(target) if os.path.exists(target) else target)
            name = f"{url}?{self._options[role]}" if self._options[role] else url
            view.update(done=1)
            view.finish()
        self._served[role] = model, name
        return name


class _Own:
    """vLLM processes of our own, each on a port of its own."""

    def __init__(self, role: Role, settings: OwnServer, logs: Path) -> None:
        _check_vllm(settings)
        self._settings = settings
        self._arguments = (*(("--runner", "pooling") if role == "ppm" else ()), *settings.arguments)
        self._log = logs / f"server-{role}.log"
        self._server: ModelServer | None = None

    async def serve(self, checkpoint: str) -> str:
        await self.stop()
        port = free_port()
        self._server = ModelServer(
            vllm_command(self._settings.python, checkpoint, port, *self._arguments),
            f"http://127.0.0.1:{port}",
            self._log,
            self._settings.ready_s,
            self._settings.environment,
        )
        await self._server.start()
        return self._server.url

    async def keep_up(self) -> None:
        assert self._server is not None
        await self._server.keep_up()

    async def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.stop()


class _External:
    """A server that somebody else runs, told by a command to serve another checkpoint."""

    def __init__(self, settings: ExternalServer, log: Path) -> None:
        self._settings = settings
        self._log = log

    async def serve(self, checkpoint: str) -> str:
        words = [word.replace("{checkpoint}", checkpoint) for word in self._settings.reload]
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            try:
                process = await asyncio.create_subprocess_exec(
                    *words, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
                )
            except OSError as error:
                raise PonderosaError(f"cannot run {words[0]}, which reloads {self._settings.url}: {error}") from error
            if code := await process.wait():
                raise PonderosaError(f"{' '.join(words)} ended with code {code}; what it said: {self._log}")
        try:
            async with asyncio.timeout(self._settings.ready_s):
                while not await asyncio.to_thread(answers, self._settings.url):
                    await asyncio.sleep(0.5)
        except TimeoutError:
            raise PonderosaError(
                f"{self._settings.url} does not serve {self._settings.ready_s:g} s after it was told to reload"
            ) from None
        return self._settings.url

    async def keep_up(self) -> None:
        """Its owner does; the clients wait for it."""

    async def stop(self) -> None:
        """It is not ours to stop."""


def _server(role: Role, settings: ServerSettings, logs: Path) -> _Server:
    if isinstance(settings, ExternalServer):
        return _External(settings, logs / f"reload-{role}.log")
    return _Own(role, settings, logs)


def _is_checkpoint(model: str) -> bool:
    """Is it weights to be served, not something that answers by itself (a server, a scripted table)?"""
    return ":" not in Spec.parse(model).target


def _check_vllm(settings: OwnServer) -> None:
    look = "from importlib.util import find_spec as find; exit(not (found := find('vllm')) or found.origin is None)"
    try:
        looked = subprocess.run(
            [settings.python, "-c", look], capture_output=True, env=os.environ | settings.environment, timeout=60
        )
        found = looked.returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        found = False
    if not found:
        raise PonderosaError(
            f"{settings.python} has no vLLM, which is to serve the run's models: install it there (pip install vllm), "
            "or name another with servers.policy.python and servers.ppm.python"
        )
