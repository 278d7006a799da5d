"""Problems as commands take them, and `ponderosa problems`."""

import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from cyclopts import App

from ponderosa.core import PonderosaError, Problem
from ponderosa.problems import (
    Benchmarks,
    ContaminationSettings,
    Decontamination,
    decontaminated,
    load_problems,
    stream_problems,
)

app = App(name="problems", help="Problems to train on: decontaminate them, synthesise new ones.")
app.command("ponderosa.cli.synthesize:synthesis", name="synthesize", help="Write new problems from solved ones.")

EXAMPLES = 5
"""Matches that are shown; the report has all."""


def problems_of(name: str | Sequence[Problem], data_dir: Path | None) -> list[Problem]:
    """The problems of that name, or those given; what is odd about them is said. Raises `PonderosaError`."""
    if not isinstance(name, str):
        return list(name)
    loaded = load_problems(name, data_dir)
    for note in loaded.notes:
        print(f"{name}: {note}", file=sys.stderr)
    return loaded.problems


@app.command
def decontaminate(
    train: str,
    *,
    against: str,
    out: Path,
    data_dir: Path | None = None,
    n: int | None = None,
    share: float = 0.5,
    common: int = 5,
) -> None:
    """Leave out the problems that stand in a benchmark, and say which they are (docs/training-data.md).

    Parameters
    ----------
    train
        The problems to train on, by name: a file (.jsonl, .json, .csv, .parquet), hub:OWNER/NAME, ...
        (docs/problems.md).
    against
        The problems to be measured on, by name, divided by commas: math500,aime24,test.jsonl
    out
        The file of what remains, a problem a line. Beside it OUT.removed.json says what was left out, and why.
    data_dir
        A folder with copies of benchmarks.
    n
        Words in a row that two problems have in common; by default 8 to 13 by the benchmark's lengths, as for GPT-3. 0:
        only the same question counts.
    share
        The share of the benchmark problem's words that must lie in such runs; 0 is content with one.
    common
        Runs of words that stand in so many different problems of the benchmarks are a way of speaking: they do not
        count.
    """
    from rich.console import Console
    from rich.table import Table

    from ponderosa.evolution.run import write_json
    from ponderosa.problems import write_problems

    if out.exists():
        raise PonderosaError(f"{out} exists: choose another --out, or remove it")
    names = [name.strip() for name in against.split(",") if name.strip()]
    settings = ContaminationSettings(n, share, common)
    benchmarks = Benchmarks({name: problems_of(name, data_dir) for name in names}, settings)
    found = Decontamination()
    write_problems(out, decontaminated(stream_problems(train, data_dir), [benchmarks], found))
    removed = out.with_suffix(".removed.json")
    write_json(removed, found.to_json([benchmarks]))
    console = Console()
    console.print(f"{found}\n{found.kept:,} remain: {out}")
    if found.matches:
        table = Table("problem", "benchmark", "its", "%", "in common", title=f"Some of them; all are in {removed}")
        for match in islice(sorted(found.matches, key=lambda match: match.share), EXAMPLES):
            text = match.text if len(match.text) <= 100 else f"{match.text[:97]}..."
            table.add_row(match.problem_id, match.benchmark, match.benchmark_id, f"{100 * match.share:.0f}", text)
        console.print(table)
