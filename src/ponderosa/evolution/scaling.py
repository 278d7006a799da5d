"""A grid of saplings for scaling laws: each cell, a size on so many tokens, is pre-trained, its loss and accuracies are
measured, and what there is already is not made again.
"""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PositiveInt

from ponderosa.cluster import WorkerPool, warden
from ponderosa.cluster.local import THREAD_SETTINGS
from ponderosa.core import PonderosaError
from ponderosa.evaluation.accounting import Sizes
from ponderosa.evaluation.curves import Point
from ponderosa.evolution.evaluating import EvalRun, evaluate
from ponderosa.evolution.problems import problem_source
from ponderosa.evolution.recipe import ProblemSettings, WorkerSettings
from ponderosa.evolution.run import Observer, Titled, claimed, read_json, snapshot, write_json, write_whole
from ponderosa.evolution.settings import Part, known, parse, read_settings
from ponderosa.models.size import parameters
from ponderosa.search import SampleSettings

GRID = "grid.yaml"
POINTS = "points.jsonl"
CELL = "cell.json"
_MADE = "README.md"
"""What a checkpoint's folder has when all else is there."""
_SEEN = re.compile(r"^\s*([\d.]+)M of ")
"""How a pre-training says how many million tokens it has read."""


class Grid(Part):
    """What is trained and measured: every size on every number of tokens with every seed, but for cells of more than
    `most_flops`; with `methods` at numbers of `samples`, on the first `count` test problems.

    Fits are told `targets` (accuracies) and `queries` (numbers of problems); by default what suits the measurements.
    """

    name: str = "unnamed"
    sizes: tuple[str, ...] = Field(min_length=1)
    tokens: tuple[PositiveInt, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    most_flops: float | None = None
    tokenizer: str = "sapling"
    """All cells read by one tokenizer, without which losses would not compare."""
    documents: int = Field(512, ge=1)
    """Documents that the held-out loss is measured on."""
    problems: ProblemSettings = ProblemSettings()
    count: int = Field(500, ge=1)
    methods: tuple[str, ...] = Field(("greedy", "majority"), min_length=1)
    samples: tuple[PositiveInt, ...] = Field((1, 3, 5, 9, 17), min_length=1)
    sample: Annotated[SampleSettings, known(SampleSettings)] = SampleSettings(temperature=0.7, max_tokens=400)
    seed: int = 0
    """Of the evaluations."""
    targets: tuple[float, ...] | None = None
    queries: tuple[float, ...] | None = None
    workers: WorkerSettings = Field(default_factory=WorkerSettings)


@dataclass(frozen=True, slots=True)
class Cell:
    """A sapling of the grid."""

    size: str
    tokens: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.size}-{self.tokens}-{self.seed}"

    def flops(self) -> float:
        """About those of its training."""
        from ponderosa.sapling.model import shape

        return 6.0 * shape(self.size).parameters() * self.tokens


def load_grid(path: Path, changes: list[str] = []) -> Grid:  # noqa: B006 - never changed
    """Reads a grid and applies `a.b=c` changes. Raises `PonderosaError` that names every wrong key."""
    return parse(Grid, read_settings(path, changes), str(path))


def cells(grid: Grid) -> list[Cell]:
    """The cells, those of most FLOPs first, so that no long one is left for the end. Raises `PonderosaError`."""
    every = [Cell(size, tokens, seed) for size in grid.sizes for tokens in grid.tokens for seed in grid.seeds]
    made = [cell for cell in dict.fromkeys(every) if grid.most_flops is None or cell.flops() <= grid.most_flops]
    if not made:
        raise PonderosaError(f"every cell of the grid has more than most_flops = {grid.most_flops:g}: raise it")
    return sorted(made, key=Cell.flops, reverse=True)


async def run_grid(path: Path, grid: Grid, observer: Observer) -> Path:
    """Makes and measures the cells that are missing; returns the file of all measurements, one a row.

    Its columns are those of `ponderosa.evaluation.scaling.measurements.COLUMNS`. Raises `PonderosaError` for a folder
    that was begun with another grid, and where a training fails.
    """
    made = cells(grid)
    settings = grid.model_dump(mode="json")
    own = ("workers", "targets", "queries")  # where it runs and what is asked of it, not what it is

    def begun_with() -> dict[str, Any]:
        return {**snapshot(path, GRID, "scaling"), **{key: settings[key] for key in own}}

    _run_of(grid, "").check()
    with claimed(path, GRID, settings, begun_with):
        await _train(path, grid, made, observer)
        await _measure_losses(path, grid, made, observer)
        async with WorkerPool(grid.workers.processes, path / "logs") as pool:
            for cell in made:
                await _measure(path, grid, cell, pool, observer)
        rows = [json.dumps(row) for cell in made[::-1] for row in read_json(_folder(path, cell) / CELL)["rows"]]
        write_whole(path / POINTS, "\n".join(rows) + "\n")
    return path / POINTS


def _folder(path: Path, cell: Cell) -> Path:
    return path / "cells" / cell.name


async def _train(path: Path, grid: Grid, made: Sequence[Cell], observer: Observer) -> None:
    """Pre-trains the cells that are not done, several side by side in a process of one thread each."""
    waiting = [cell for cell in made if not (_folder(path, cell) / _MADE).exists()]
    if not waiting:
        return
    done = sum(cell.flops() for cell in made if cell not in waiting)
    whole = sum(cell.flops() for cell in made)
    view = observer.stage("pre-training", round(whole / 1e9), done=round(done / 1e9), unit="GFLOPs")
    progress: dict[Cell, float] = {}
    slots = asyncio.Semaphore(grid.workers.training)

    def told(cell: Cell, tokens: float) -> None:
        progress[cell] = min(1.0, tokens / cell.tokens)
        finished = sum(cell.flops() * share for cell, share in progress.items())
        left = sum(progress.get(other, 0.0) < 1 for other in waiting)
        view.update(done=round((done + finished) / 1e9), note=f"{left} of {len(made)} saplings left")

    async def train(cell: Cell) -> None:
        async with slots:
            await _pretrain(_folder(path, cell), grid, cell, partial(told, cell))
            told(cell, cell.tokens)

    try:
        async with asyncio.TaskGroup() as group:
            for cell in waiting:
                group.create_task(train(cell))
    except* PonderosaError as errors:
        raise errors.exceptions[0] from None
    view.finish()


async def _pretrain(folder: Path, grid: Grid, cell: Cell, told: Callable[[float], None]) -> None:
    """`ponderosa sapling pretrain` in a process of one thread, which ends with this one and resumes what was begun."""
    words = ["sapling", "pretrain", str(folder), "--size", cell.size, "--tokens", str(cell.tokens)]
    words += ["--seed", str(cell.seed), "--tokenizer", grid.tokenizer, "--processes", "1", "--audited", "0"]
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "pretrain.log"
    async with _process(log, [sys.executable, "-m", "ponderosa", *words]) as process:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            if seen := _SEEN.match(line.decode(errors="replace")):
                told(float(seen[1]) * 1e6)
        code = await process.wait()
    if code:
        last = next((line for line in reversed(log.read_text(errors="replace").splitlines()) if line.strip()), "")
        raise PonderosaError(f"pre-training {cell.name} ended with code {code}: {last} (log: {log})")


@asynccontextmanager
async def _process(log: Path, command: list[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A command whose standard output is read, and which ends with this process, however that ends."""
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", warden.__file__, *command),
            stdin=asyncio.subprocess.PIPE,  # its life line
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env=os.environ | dict.fromkeys(THREAD_SETTINGS, "1") | {"TOKENIZERS_PARALLELISM": "false"},
            start_new_session=True,  # Ctrl-C in a terminal is the driver's to handle
        )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def _measure_losses(path: Path, grid: Grid, made: Sequence[Cell], observer: Observer) -> None:
    """The held-out loss of the cells that have none yet, in each one's `loss.json`."""
    waiting = [cell for cell in made if not (_folder(path, cell) / "loss.json").exists()]
    if not waiting:
        return
    from ponderosa.sapling.loss import held_out_loss

    view = observer.stage("held-out loss", len(made), done=len(made) - len(waiting), unit="saplings")
    for count, cell in enumerate(waiting, len(made) - len(waiting) + 1):
        folder = _folder(path, cell)
        loss = await asyncio.to_thread(held_out_loss, folder, documents=grid.documents)
        write_json(folder / "loss.json", {"loss": loss, "documents": grid.documents})
        view.update(done=count, note=f"{cell.name}: {loss:.4f}")
    view.finish()


async def _measure(path: Path, grid: Grid, cell: Cell, pool: WorkerPool, observer: Observer) -> None:
    """The accuracies of a cell that has none yet, and its rows in `cell.json`."""
    folder = _folder(path, cell)
    if (folder / CELL).exists():
        return
    problems = problem_source(grid.problems, grid.seed, 0).held_out("test", grid.count)
    run = _run_of(grid, str(folder))
    with run.claim(folder / "evaluation"):
        measured = await evaluate(folder / "evaluation", run, problems, [], Titled(observer, cell.name), pool)
    size = parameters(str(folder))
    assert size is not None
    known = {
        "model": cell.name,
        "parameters": size,
        "non_embedding": size - _embedding(folder),
        "tokens": cell.tokens,
        "seed": cell.seed,
        "loss": read_json(folder / "loss.json")["loss"],
    }
    write_json(folder / CELL, {"rows": [known | _row(point, Sizes(size)) for point in measured.points]})


def _run_of(grid: Grid, policy: str) -> EvalRun:
    settings = {"methods": grid.methods, "budgets": sorted(set(grid.samples)), "sample": grid.sample, "seed": grid.seed}
    return parse(EvalRun, {**settings, "policy": policy, "workers": grid.workers.model_dump()}, "the grid")


def _row(point: Point, sizes: Sizes) -> dict[str, Any]:
    rates = point.accuracy.rates
    return {
        "method": point.method,
        "samples": point.budget,
        "accuracy": point.accuracy.estimate.value,
        "problems": len(rates),
        "test_flops": point.cost.flops(sizes),
        "rates": "".join(str(int(rate)) for rate in rates) if set(rates) <= {0, 1} else [round(r, 4) for r in rates],
    }


def _embedding(folder: Path) -> int:
    """Parameters of the embeddings; a sapling's are tied, so that they count once."""
    config = read_json(folder / "config.json")
    return int(config["vocab_size"] * config["hidden_size"])
