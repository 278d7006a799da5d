"""`ponderosa problems synthesize`."""

import asyncio
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from ponderosa.cli.problems import problems_of
from ponderosa.evolution.recipe import WorkerSettings
from ponderosa.evolution.searching import search_run
from ponderosa.evolution.settings import assignment, parse
from ponderosa.evolution.synthesis import PROBLEMS, SynthesisRun, synthesize
from ponderosa.view.progress import progress


def synthesis(
    problems: str,
    *,
    model: str,
    out: Path,
    solver: str | None = None,
    against: str | None = None,
    data_dir: Path | None = None,
    how: Literal["chat", "completion"] = "chat",
    begin: Literal["nothing", "sentence"] = "nothing",
    proposals: int = 4,
    shown: int = 3,
    trajectories: int = 8,
    method: str = "sample",
    temperature: float = 1.0,
    writing_temperature: float = 1.0,
    max_tokens: int = 1024,
    agreement: float = 0.6,
    margin: float = 0.2,
    too_easy: float | None = None,
    n: int | None = None,
    share: float = 0.5,
    format: str | None = None,
    few_shot: Path | None = None,
    grader: str | None = None,
    seed: int = 0,
    processes: int = 2,
    concurrency: int = 256,
    set: list[str] | None = None,
) -> None:
    """Write new problems from solved ones; the answers are those on which independent trajectories agree.

    The same command goes on with what was stopped. OUT/problems.jsonl is what recipes take as `train`
    (docs/training-data.md).

    Parameters
    ----------
    problems
        Solved problems, with answers, by name (docs/problems.md); new ones are written from each.
    model
        Who writes: a run of `ponderosa evolve`, a checkpoint, the address of a server, python:module:attribute.
    out
        The folder of the synthesis.
    solver
        Who solves what was written; by default who writes.
    against
        Problems that must not be written, by name, divided by commas: dev, test and benchmarks.
    data_dir
        A folder with copies of benchmarks.
    how
        `chat` asks a model that follows instructions; `completion` lets another go on with a question that is opened.
    begin
        What of the solved problem the completion begins with: `nothing`, or its first `sentence`.
    proposals
        New problems for each solved one.
    shown
        Solved problems that are shown at a time, for `chat`.
    trajectories
        Independent trajectories of a new problem: samples, or trees of another method.
    method
        The search that solves: `sample`, `mcts`, ...
    temperature
        Of samples that solve.
    writing_temperature
        Of writing.
    max_tokens
        Tokens of a proposal, and of a sample between executions.
    agreement
        The share of the trajectories that must give the answer.
    margin
        How much larger that share must be than the next answer's.
    too_easy
        The share from which a problem is too easy to be kept; by default none is.
    n
        Words in a row that a new problem may not have in common with those `against`; as `problems decontaminate`. 0:
        only the same question counts.
    share
        The share of the other problem's words that must lie in such runs.
    format
        How steps are written; by default as the run says, or `rstar`.
    few_shot
        A text file that stands before every question.
    grader
        Who says which answers are the same (docs/grading.md).
    seed
        The seed of all of it.
    processes
        Worker processes.
    concurrency
        Problems in flight in each process.
    set
        More settings of the search that solves, KEY=VALUE.
    """
    chosen: dict[str, Any] = dict(assignment(change) for change in set or [])
    sampled = method == "sample"
    if sampled:
        chosen = {"n": trajectories, "temperature": temperature, "max_tokens": max_tokens} | chosen
    examples = "" if few_shot is None else few_shot.read_text(encoding="utf-8")
    solving = search_run(
        solver or model,
        None,
        method,
        chosen,
        format=format,
        few_shot=examples or None,
        grader=grader,
        seed=seed,
        trees=1 if sampled else trajectories,
        workers=WorkerSettings(processes=processes, concurrency=concurrency),
    )
    writer = solving.policy if solver is None else search_run(model, None, None, {}).policy
    record = {
        "writer": writer,
        "writing": {
            "proposals": proposals,
            "how": how,
            "begin": begin,
            "temperature": writing_temperature,
            "max_tokens": max_tokens,
        },
        "shown": shown,
        "solving": solving,
        "keep": {"agreement": agreement, "margin": margin, "too_easy": too_easy},
        "contamination": {"n": n, "share": share},
        "seed": seed,
        "workers": solving.workers,
    }
    run = parse(SynthesisRun, record, "these settings")
    solved = problems_of(problems, data_dir)
    names = [name.strip() for name in (against or "").split(",") if name.strip()]
    console = Console()
    with progress(console) as observer:
        held_out = {name: problems_of(name, data_dir) for name in names}
        report = asyncio.run(synthesize(out, run, solved, held_out, observer))
    table = Table("", "problems", title=f"New problems: {out / PROBLEMS}")
    for name, count in report.items():
        if isinstance(count, int) and name != "trajectories":
            table.add_row(name.replace("_", " "), f"{count:,}")
    console.print(table)
    histogram = ", ".join(f"{share} {count:,}" for share, count in report["agreement"].items())
    console.print(f"by the share of trajectories that give the most frequent answer: {histogram}")
    tokens = report["tokens"]
    console.print(
        f"{tokens['writing']:,} tokens written, {tokens['solving']:,} in {report['trajectories']:,} trajectories"
    )
