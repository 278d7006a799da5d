"""`ponderosa export`."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from ponderosa.cluster.shard import read_problems
from ponderosa.core import PonderosaError, StepFormat, make_format
from ponderosa.evolution import Run
from ponderosa.evolution.run import RECIPE, write_whole
from ponderosa.evolution.searching import SETTINGS, SearchRun, forests
from ponderosa.forest import (
    OFFICIAL,
    LabelRow,
    PairRow,
    PreferenceSettings,
    SFTRow,
    label_rows,
    official_record,
    preference_pairs,
    read_forest,
    sft_rows,
    write_rows,
)

Format = Literal["rstar", "tree", "sft", "pairs", "orm"]


def export(run: Path, *, format: Format, out: Path, round: int | None = None, top: int = 2) -> None:
    """Write trees as training data, or as the official code does.

    Parameters
    ----------
    run
        A folder made by `ponderosa search` or `ponderosa evolve`.
    format
        `rstar`: the layout of rStar-Math's public code, a JSON object a line and problem. `tree`: whole trees, a JSON
        object a line. `sft`: the best correct trajectories; `pairs`: preference pairs; `orm`: all trajectories with
        their labels. The last three are folders that `datasets.load_dataset` reads, with a card.
    out
        The file or folder to write.
    round
        The round of an evolution whose search is exported; by default the last one that was searched.
    top
        Trajectories for each problem, for `sft`.
    """
    sources, steps, official, answers = _source(run, round)
    if format not in ("rstar", "tree") and (run / SETTINGS).exists() and SearchRun.of(run).search == "mutual":
        raise PonderosaError("mutual reasoning does not say which answers are right: export --format tree")
    if out.exists():
        raise PonderosaError(f"{out} exists: choose another --out, or remove it")
    source = f"{run}" + (f", round {round}" if round is not None else "")
    trees = (tree for forest in sources for tree in read_forest(forest))
    if format in ("rstar", "tree"):
        records = (official_record(t, answers.get(t.problem_id)) if format == "rstar" else t.to_json() for t in trees)
        count = _write_lines(out, records)
        Console().print(f"{count:,} trees: {out}")
        return
    settings = OFFICIAL if official else PreferenceSettings()
    match format:
        case "sft":
            rows: list[Any] = sft_rows(trees, steps, top)
            write_rows(out, SFTRow, rows, source=source, settings={"top": top})
        case "pairs":
            rows = preference_pairs(trees, steps, settings)
            write_rows(out, PairRow, rows, source=source, settings=asdict(settings))
        case _:
            rows = label_rows(trees, steps)
            write_rows(out, LabelRow, rows, source=source, settings={})
    Console().print(f"{len(rows):,} rows: {out}")
    if not rows:
        Console().print("Trees hold training data only if they were searched with the answers known (--judged).")


def _source(run: Path, round: int | None) -> tuple[list[Path], StepFormat, bool, dict[str, str | None]]:
    """The run's forests, the format of its steps, whether it is the official one, and the problems' answers."""
    if (run / SETTINGS).exists():
        settings = SearchRun.of(run)
        found = forests(run)
        if not found or not list(found[0].glob("*.parquet")):
            raise PonderosaError(f"{run} holds no finished search yet: go on with the same `ponderosa search`")
        answers = {problem.id: problem.answer for problem in read_problems(found[0] / "problems.jsonl")}
        return found, make_format(settings.format), settings.format.startswith("rstar-official"), answers
    if not (run / RECIPE).exists():
        raise PonderosaError(f"{run} is not a run: name a folder made by `ponderosa search` or `ponderosa evolve`")
    Run.recipe_of(run)
    numbers = [round] if round is not None else range(99, 0, -1)
    for number in numbers:
        found = sorted((run / f"round-{number}" / "search").glob("tree-*"))
        if found:
            problems = (problem for forest in found for problem in read_problems(forest / "problems.jsonl"))
            return found, make_format("rstar"), False, {problem.id: problem.answer for problem in problems}
    raise PonderosaError(f"{run} holds no search" + (f" of round {round}" if round is not None else " yet"))


def _write_lines(out: Path, records: Iterable[dict[str, Any]]) -> int:
    lines = list(_lines(records))
    write_whole(out, "".join(lines))
    return len(lines)


def _lines(records: Iterable[dict[str, Any]]) -> Iterator[str]:
    for record in records:
        yield json.dumps(record, ensure_ascii=True) + "\n"
