"""Training through `accelerate launch`: several GPUs or machines, FSDP and DeepSpeed, as accelerate's file says."""

import asyncio
import json
import os
import re
import signal
import sys
import tempfile
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from ponderosa.core import PonderosaError
from ponderosa.training.events import Told
from ponderosa.training.jobs import Job, parse_job
from ponderosa.training.server import ENVIRONMENT, died
from ponderosa.training.settings import FitSettings, LauncherSettings, OnProgress
from ponderosa.training.sharding import check_sharding, configured


class AccelerateLauncher:
    """Runs training jobs, one at a time, each in a fresh `accelerate launch`, and follows them as `Launcher` does.

    Every process loads the libraries anew (seconds), so that this is for trainings of minutes and more. On several
    machines each runs the same job, and says by `machine_rank` which it is; they need a file system in common.
    """

    def __init__(self, settings: LauncherSettings, processes: int = 1) -> None:
        self.config = accelerate_config(settings, processes)
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def run(self, job: Job | Mapping[str, Any], on_progress: OnProgress | None = None) -> dict[str, Any]:
        """Trains, and returns the report as plain values. Raises and is cancelled as `Launcher.run`, and as `check`."""
        parsed = parse_job(job)
        self.check(parsed.settings)
        async with self._turn:
            with tempfile.TemporaryDirectory(prefix="ponderosa-") as folder:
                config, request = Path(folder) / "accelerate.yaml", Path(folder) / "job.json"
                config.write_text(yaml.safe_dump(self.config), encoding="utf-8")
                request.write_text(json.dumps(parsed.model_dump(mode="json")), encoding="utf-8")
                try:
                    told = Told(on_progress)
                    process = await self._start(config, request)
                    return await told.until_stopped(partial(self._follow, process, told), parsed.out)
                finally:
                    await self.close()

    def check(self, settings: FitSettings) -> None:
        """Raises `PonderosaError` for settings of a training that cannot be had as this is told to launch it."""
        check_sharding(settings, configured(self.config))

    async def _start(self, config: Path, job: Path) -> asyncio.subprocess.Process:
        alone = self.config["num_machines"] == 1
        environment = {name: value for name, value in ENVIRONMENT.items() if alone or name != "GLOO_SOCKET_IFNAME"}
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)),
            *("--module", "ponderosa.training", str(job)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment | os.environ | {"PONDEROSA_DRIVER": str(os.getpid())},
            limit=1 << 24,
            start_new_session=True,
        )
        return self._process

    async def _follow(self, process: asyncio.subprocess.Process, told: Told) -> dict[str, Any]:
        assert process.stdout is not None
        assert process.stderr is not None
        said, _ = await asyncio.gather(_last_words(process.stderr), told.listen(process.stdout))
        code = await process.wait()
        if killed := _killed(said):  # the others then fail for want of it
            traces = "".join(error["trace"] for error in told.errors)
            raise PonderosaError(killed) from RuntimeError("".join(said) + traces)
        if told.errors:
            raise PonderosaError(told.errors[0]["message"]) from RuntimeError(told.errors[0]["trace"])
        if code == 0 and told.report is not None:
            return told.report
        raise PonderosaError(_ended(said, code)) from RuntimeError("".join(said))

    async def close(self) -> None:
        """Ends what runs at once; a training that was saved goes on from there when it is run again."""
        if self._process is None:
            return
        process, self._process = self._process, None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its workers end with it
        await process.wait()


async def _last_words(stream: asyncio.StreamReader) -> deque[str]:
    said: deque[str] = deque(maxlen=200)
    while line := await stream.readline():
        said.append(line.decode(errors="replace"))
    return said


def _killed(said: deque[str]) -> str | None:
    """Which process a signal ended, if one did: torch's launcher lists those that failed.

    The launcher itself ends the others by SIGTERM when one fails, and may list these too.
    """
    failed = re.findall(r"rank\s*: (\d+)[^\n]*\n[^\n]*exitcode\s*: (-\d+)", "".join(said))
    killed = [(rank, int(status)) for rank, status in failed if int(status) != -signal.SIGTERM]
    return next((f"training process {rank} {died(status)}" for rank, status in killed), None)


def _ended(said: deque[str], code: int) -> str:
    """What a launcher that failed for other reasons says of it."""
    last = next((line.strip() for line in reversed(said) if line.strip()), "no message")
    return f"`accelerate launch` ended with exit code {code}: {last}"


def accelerate_config(settings: LauncherSettings, processes: int) -> dict[str, Any]:
    """The content of accelerate's configuration file: what the settings say, and defaults for the rest.

    Raises `PonderosaError` for a file that cannot be read, or a value that the environment lacks.
    """
    given = settings.accelerate
    if isinstance(given, Path):
        try:
            given = yaml.safe_load(given.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise PonderosaError(f"cannot read accelerate's configuration {settings.accelerate}: {error}") from error
    config: dict[str, Any] = _from_environment(given or {})
    several = config.setdefault("num_processes", processes) > 1
    machines = config.setdefault("num_machines", 1)
    if file := (config.get("deepspeed_config") or {}).get("deepspeed_config_file"):
        if not Path(file).is_file():
            raise PonderosaError(f"there is no DeepSpeed configuration {file}")
        config["deepspeed_config"]["deepspeed_config_file"] = str(Path(file).resolve())
    if config.get("deepspeed_config"):
        kind = "DEEPSPEED"
    elif "fsdp_config" in config:
        kind = "FSDP"
        config["fsdp_config"] = _FSDP | (config["fsdp_config"] or {})
    else:
        kind = "MULTI_GPU" if several else "NO"  # by torchrun, also where there is no GPU
    return (
        {"compute_environment": "LOCAL_MACHINE", "distributed_type": kind, "mixed_precision": "no", "machine_rank": 0}
        | ({"main_process_port": 0} if machines == 1 else {})
        | config
    )


_FSDP = {
    "fsdp_version": 2,
    "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
    "fsdp_cpu_ram_efficient_loading": False,  # accelerate has it on: see `sharding.check_second_model`
}


def _from_environment(value: Any) -> Any:
    """`value` with each text `$NAME` in it replaced by what the environment says."""
    if isinstance(value, dict):
        return {key: _from_environment(part) for key, part in value.items()}
    if not (isinstance(value, str) and value.startswith("$")):
        return value
    if (found := os.environ.get(value[1:])) is None:
        raise PonderosaError(f"accelerate's configuration asks for {value}, which the environment does not have")
    return yaml.safe_load(found)
