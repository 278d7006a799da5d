"""`ponderosa sandbox`."""

import asyncio
import json
import shlex
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter, validators
from rich.console import Console
from rich.table import Table

from ponderosa.core import PonderosaError
from ponderosa.execution import Backend, ExecutionSettings, ForkServer, Limits, Protection, make_executor

_POSITIVE = validators.Number(gt=0)
app = App(name="sandbox", help="Run programs that a model wrote, and see what protects this machine from them.")


@app.command
def check() -> None:
    """Print each protection and whether it is active here. The exit code is 0 if the sandbox serves."""
    executor = make_executor()
    if not isinstance(executor, ForkServer):
        raise PonderosaError(
            "this system has none of the sandbox's primitives (Linux on x86-64 or arm64); programs would run in plain "
            "subprocesses, with limits of time, memory and output only, unless a container is named as the backend"
        )
    protections = asyncio.run(_protections(executor))
    table = Table("protection", "active", "against", box=None, pad_edge=False)
    for protection in protections:
        table.add_row(protection.name, "[green]yes[/]" if protection.active else "[yellow]no[/]", protection.against)
    Console().print(table)


async def _protections(executor: ForkServer) -> list[Protection]:
    async with executor:
        return await executor.protections()


@app.command
def run(
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    timeout: Annotated[float, Parameter(validator=_POSITIVE)] = 2.0,
    memory: Annotated[int, Parameter(validator=_POSITIVE)] = 512,
    output: Annotated[int, Parameter(validator=_POSITIVE)] = 64,
    clock: float | None = None,
    repeat: Annotated[int, Parameter(validator=_POSITIVE)] = 1,
    jobs: Annotated[int | None, Parameter(validator=_POSITIVE)] = None,
    backend: Backend = "auto",
    command: str = "",
) -> None:
    """Run a program and print how it ended as one JSON object. The exit code is 0 whenever the sandbox itself worked.

    Parameters
    ----------
    file
        A Python program; `-` reads it from standard input. A file whose name ends with `.jsonl` holds several, one
        `{"code": ...}` a line: their results come in the same order, one a line.
    timeout
        Seconds that a program may take.
    memory
        MB that it may use on top of the interpreter.
    output
        KB that it may print.
    clock
        The time that programs see, in seconds since 1970, instead of the real one. Needs the package time-machine.
    repeat
        Run each program that many times and print the throughput instead of the results.
    jobs
        How many run at once; by default as many as there are processors.
    backend
        `fork_server` (the sandbox; the default on Linux), `bwrap`, `command`, `subprocess` (weak) or
        `unsafe_in_process` (no protection at all).
    command
        The command of the backend `command`, whose last words start Python; `{jail}` is the folder it must see, e.g.
        "docker run -i --rm --network none -v {jail}:{jail}:ro python:3.11 python3".
    """
    codes = _programs(file)
    limits = Limits(timeout, memory, output * 1024, clock=clock)
    settings = ExecutionSettings(backend, tuple(shlex.split(command)), limits=limits, cache_size=0)
    asyncio.run(_print_results(codes, settings, jobs) if repeat == 1 else _measure(codes * repeat, settings, jobs))


def _programs(file: str) -> list[str]:
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise PonderosaError(f"cannot read {file}: {error.strerror}") from error
    text = data.decode("utf-8", "surrogateescape")  # what is no text is the program's error, not ours
    if not file.endswith(".jsonl"):
        return [text]
    codes = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            record = json.loads(line)
            codes.append(record["code"] if line.strip() else None)
        except (ValueError, KeyError, TypeError):
            codes.append(None)
        if line.strip() and not isinstance(codes[-1], str):
            raise PonderosaError(f'{file}, line {number}: expected an object like {{"code": "print(1)"}}')
    return [code for code in codes if code is not None]


async def _print_results(codes: list[str], settings: ExecutionSettings, jobs: int | None) -> None:
    """As they come, in order."""
    async with make_executor(settings, jobs=jobs) as executor:
        running = [asyncio.ensure_future(executor.run(code)) for code in codes]
        for task in running:
            print(json.dumps(asdict(await task)), flush=True)


async def _measure(codes: list[str], settings: ExecutionSettings, jobs: int | None) -> None:
    async with make_executor(settings, jobs=jobs) as executor:
        await asyncio.gather(*map(executor.run, dict.fromkeys(codes)))  # the servers start
        started = time.monotonic()
        results = await asyncio.gather(*map(executor.run, codes))
        seconds = time.monotonic() - started
    statuses = Counter(str(result.status) for result in results)
    print(
        json.dumps(
            {
                "programs": len(codes),
                "programs_per_s": round(len(codes) / seconds, 1),
                "seconds": round(seconds, 3),
                "statuses": dict(statuses),
            }
        )
    )
