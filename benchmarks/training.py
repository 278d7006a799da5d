"""How fast a training starts by each launcher, and what packing gains: `python benchmarks/training.py WHAT ROWS`.

The model is the embedded world's base. Start-up is of one step of one row, in seconds and in CPU seconds of all
processes. Throughput is in tokens a CPU second, start-up and the first step left out: a machine that is shared leaves
it as it is.
"""

import argparse
import asyncio
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from ponderosa.sapling import base_path
from ponderosa.training import LauncherSettings, Progress, SFTSettings, launching, train_sft


async def launchers(rows: Path, folder: Path) -> None:
    print("| launcher | s until the job is done | CPU s |\n|---|---|---|")
    for name, settings in (("fork server", None), ("`accelerate launch`", LauncherSettings(accelerate={}))):
        job: dict[str, Any] = {"kind": "sft", "start": str(base_path()), "rows": str(rows), "seed": 0}
        job["settings"] = {"max_steps": 1, "batch_size": 1, "max_length": 512, "report_to": ()}
        async with launching(1, settings) as launcher:
            for number in (1, 2):
                before, begun = _children(), time.monotonic()
                await launcher.run(job | {"out": str(folder / f"{name}-{number}")})
                used = f"{_children() - before:.1f}" if settings else ""
                print(f"| {name}, job {number} | {time.monotonic() - begun:.1f} | {used} |", flush=True)
            before = _children()
        if not settings:
            print(f"| {name}, both | | {_children() - before:.1f} |", flush=True)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def packing(rows: Path, folder: Path, steps: int) -> None:
    print("| rows | attention | tokens/s of CPU |\n|---|---|---|")
    for packed, attention in ((0, "eager"), (512, "eager"), (512, "sdpa"), (0, "sdpa")):
        seen: list[tuple[float, int]] = []

        def note(progress: Progress, seen: list[tuple[float, int]] = seen) -> None:
            seen.append((time.process_time(), progress.tokens))

        settings = SFTSettings(
            max_steps=steps,
            batch_size=32,
            micro_batch_size=8 if packed else 16,
            attention=attention,
            packing=packed,
            precision="float32",
            report_to=(),
        )
        train_sft(base_path(), rows, folder / f"{packed}-{attention}", settings, 0, note)
        (first, some), (last, tokens) = seen[0], seen[-1]
        name = f"packed to {packed}" if packed else "one by one"
        print(f"| {name} | {attention} | {(tokens - some) / (last - first):,.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("launchers", "packing"))
    parser.add_argument("rows", type=Path, help="JSON Lines with prompt and response, or a data set")
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.what == "launchers":
            asyncio.run(launchers(arguments.rows, Path(folder)))
        else:
            packing(arguments.rows, Path(folder), arguments.steps)


if __name__ == "__main__":
    main()
