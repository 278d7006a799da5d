"""Worker processes on this machine."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from ponderosa.cluster.shard import Shard, ShardProgress
from ponderosa.core import PonderosaError

OnProgress = Callable[[ShardProgress], None]
THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class WorkerPool:
    """`processes` workers of `threads` threads each, started when first used and kept with their models until closed.

    `shards_per_worker` shards are in flight in each, so that the end of one, when few problems are left, is filled up
    with the beginning of the next. Worker logs go to `logs`.
    """

    def __init__(self, processes: int, logs: Path, threads: int = 1, shards_per_worker: int = 2) -> None:
        self._processes = processes
        self._threads = threads
        self._logs = logs
        self._slots = shards_per_worker
        self._workers: list[_Worker] = []

    async def __aenter__(self) -> "WorkerPool":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Starts the workers that are not running; their imports go on while the caller does something else."""
        self._workers = [worker for worker in self._workers if worker.alive]
        while len(self._workers) < self._processes:
            log = self._logs / f"worker-{len(self._workers)}.log"
            self._workers.append(await _Worker.start(log, self._threads))

    async def run(self, shards: Sequence[Shard], on_progress: OnProgress = lambda progress: None) -> ShardProgress:
        """Runs the shards that are not done; `on_progress` gets the sum over them. Raises `PonderosaError`."""
        waiting = [shard for shard in shards if not shard.done]
        progress = [ShardProgress() for _ in waiting]
        queue = list(enumerate(waiting))[::-1]
        await self.start()

        async def feed(worker: _Worker) -> None:
            while queue:
                number, shard = queue.pop()

                def update(news: ShardProgress, number: int = number) -> None:
                    progress[number] = news
                    on_progress(sum(progress, ShardProgress()))

                await worker.run(shard, update)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._slots):
                    for worker in self._workers:  # one each before any has two
                        group.create_task(feed(worker))
        except* PonderosaError as errors:
            raise errors.exceptions[0] from None
        return sum(progress, ShardProgress())

    async def free(self) -> None:
        """Makes idle workers drop their models, so that others can have the accelerator."""
        await asyncio.gather(*(worker.free() for worker in self._workers if worker.alive))

    async def close(self) -> None:
        """Ends the workers."""
        await asyncio.gather(*(worker.close() for worker in self._workers))
        self._workers = []


class _Worker:
    """One process and the shards it has in flight."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self._numbers = iter(range(sys.maxsize))
        self._running: dict[int, tuple[asyncio.Future[None], Callable[[ShardProgress], None]]] = {}
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, log: Path, threads: int) -> "_Worker":
        log.parent.mkdir(parents=True, exist_ok=True)
        environment = os.environ | dict.fromkeys(THREAD_SETTINGS, str(threads)) | {"TOKENIZERS_PARALLELISM": "false"}
        with log.open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "ponderosa.cluster.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env=environment,
                limit=2**24,
                start_new_session=True,  # Ctrl-C in a terminal is the driver's to handle
            )
        return cls(process, log)

    @property
    def alive(self) -> bool:
        return self._process.returncode is None and not self._reading.done()

    async def run(self, shard: Shard, update: Callable[[ShardProgress], None]) -> None:
        number = next(self._numbers)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._running[number] = (future, update)
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"shard": number, "job": shard.to_json()}).encode() + b"\n")
            await self._process.stdin.drain()
            await future
        except (BrokenPipeError, ConnectionResetError):
            raise self._died() from None
        finally:
            self._running.pop(number, None)

    async def free(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has ended: so have its models
            self._process.stdin.write(b'{"free": true}\n')
            await self._process.stdin.drain()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            message = json.loads(line)
            future, update = self._running.get(message["shard"], (None, None))
            if future is None or update is None or future.done():
                continue
            if "error" in message:
                future.set_exception(PonderosaError(message["error"]))
                continue
            update(ShardProgress(**message["progress"]))
            if message.get("done"):
                future.set_result(None)
        await self._process.wait()
        for future, _ in self._running.values():
            if not future.done():
                future.set_exception(self._died())

    def _died(self) -> PonderosaError:
        code = self._process.returncode
        why = "it was killed, perhaps for memory: lower `workers.concurrency`" if code and code < 0 else "see its log"
        return PonderosaError(
            f"a search worker ended with code {code} ({why}; log: {self._log}). "
            "Nothing generated is lost: the same command goes on."
        )

    async def close(self) -> None:
        if self._process.returncode is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                async with asyncio.timeout(3):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
        await self._process.wait()
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
