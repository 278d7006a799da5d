"""`ponderosa export`."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from ponderosa.core import PonderosaError, Problem, StepFormat, Tree, make_format
from ponderosa.evolution import recipe_of
from ponderosa.evolution.grading import judged_by
from ponderosa.evolution.run import RECIPE, write_whole
from ponderosa.evolution.searching import SETTINGS, SearchRun, forests
from ponderosa.evolution.stages import Forest
from ponderosa.forest import (
    OFFICIAL,
    LabelRow,
    PairRow,
    PreferenceSettings,
    SFTRow,
    ValueRow,
    ValueRowSettings,
    label_rows,
    official_record,
    outcome_rows,
    preference_pairs,
    sft_rows,
    value_rows,
    write_rows,
)
from ponderosa.problems import read_problems

Format = Literal["rstar", "tree", "sft", "pairs", "orm", "values"]
Target = Literal["outcome", "end", "soft", "hard"]


def export(
    run: Path,
    *,
    format: Format,
    out: Path,
    round: int | None = None,
    top: int = 2,
    target: Target = "soft",
    min_visits: int = 1,
) -> None:
    """Write trees as training data, or as the official code does.

    Parameters
    ----------
    run
        A folder made by `ponderosa search` or `ponderosa evolve`.
    format
        `rstar`: the layout of rStar-Math's public code, a JSON object a line and problem. `tree`: whole trees, a JSON
        object a line. `sft`: the best correct trajectories; `pairs`: preference pairs; `orm`: all trajectories with
        their labels; `values`: paths with what their steps are worth, which ORMs and PRMs are trained on
        (docs/reward-models.md). The last four are folders that `datasets.load_dataset` reads, with a card.
    out
        The file or folder to write.
    round
        The round of an evolution whose search is exported; by default the last one that was searched.
    top
        Trajectories for each problem, for `sft`.
    target
        What a step is worth, for `values`: `outcome`, whether its solution is right; `end`, the same at the end of a
        solution alone; `soft`, the mean of
        what its rollouts came to, its Q; `hard`, whether any of them came to a right answer.
    min_visits
        Rollouts that must have gone through a step, for `soft` and `hard`; for a search of `rollouts` its completions.
    """
    sources, steps, official, judged = _source(run, round)
    if format not in ("rstar", "tree") and (run / SETTINGS).exists() and SearchRun.of(run).search == "mutual":
        raise PonderosaError("mutual reasoning does not say which answers are right: export --format tree")
    if out.exists():
        raise PonderosaError(f"{out} exists: choose another --out, or remove it")
    source = run.resolve().name + (f", round {round}" if round is not None else "") + (f", {judged}" if judged else "")
    trees = (tree for forest in sources for tree in forest.trees())
    if format in ("rstar", "tree"):
        answers = {problem.id: problem.answer for forest in sources for problem in forest.problems}
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
        case "values":
            rows, how = _values(trees, steps, target, min_visits)
            write_rows(out, ValueRow, rows, source=source, settings=how)
        case _:
            rows = label_rows(trees, steps)
            write_rows(out, LabelRow, rows, source=source, settings={})
    Console().print(f"{len(rows):,} rows: {out}")
    if not rows:
        Console().print(
            "Trees hold training data only if they were searched with the answers known (--judged), and pairs only "
            "where right and wrong steps differ by as much as is asked."
        )


def _values(
    trees: Iterable[Tree], steps: StepFormat, target: Target, min_visits: int
) -> tuple[list[ValueRow], dict[str, Any]]:
    """Step values, and how they were made."""
    match target:
        case "outcome":
            return outcome_rows(trees, steps), {"target": target}
        case "end":
            return outcome_rows(trees, steps, "end"), {"target": target}
        case estimation:
            settings = ValueRowSettings(estimation, min_visits)
            return value_rows(trees, steps, settings), asdict(settings)


def _source(run: Path, round: int | None) -> tuple[list[Forest], StepFormat, bool, str]:
    """The run's forests, the format of its steps, whether it is the official one, and what is to be said if a model
    judged the answers of the trees.
    """
    if (run / SETTINGS).exists():
        settings = SearchRun.of(run)
        found = forests(run)
        if not found or not list(found[0].glob("*.parquet")):
            raise PonderosaError(f"{run} holds no finished search yet: go on with the same `ponderosa search`")
        official = settings.format.startswith("rstar-official")
        return _as_asked(found), make_format(settings.format), official, judged_by(settings.grader)
    if not (run / RECIPE).exists():
        raise PonderosaError(f"{run} is not a run: name a folder made by `ponderosa search` or `ponderosa evolve`")
    recipe = recipe_of(run)
    numbers = [round] if round is not None else range(99, 0, -1)
    for number in numbers:
        found = sorted((run / f"round-{number}" / "search").glob("tree-*"))
        if found:
            return _as_asked(found), make_format(recipe.format), False, judged_by(recipe.grader)
    raise PonderosaError(f"{run} holds no search" + (f" of round {round}" if round is not None else " yet"))


def _as_asked(folders: Sequence[Path]) -> list[Forest]:
    """The forests with their problems as the first that has them asked them: a later one may have had hints."""
    first: dict[str, Problem] = {}
    return [
        Forest(folder, tuple(first.setdefault(p.id, p) for p in read_problems(folder / "problems.jsonl")))
        for folder in folders
    ]


def _write_lines(out: Path, records: Iterable[dict[str, Any]]) -> int:
    lines = list(_lines(records))
    write_whole(out, "".join(lines))
    return len(lines)


def _lines(records: Iterable[dict[str, Any]]) -> Iterator[str]:
    for record in records:
        yield json.dumps(record, ensure_ascii=True) + "\n"
