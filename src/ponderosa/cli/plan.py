"""`ponderosa plan`."""

from dataclasses import asdict, fields
from json import dumps
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ponderosa.api.planning import Plan, plan_recipe
from ponderosa.evolution.assumptions import Assumptions
from ponderosa.evolution.planning import COSTS, FORMULAS, Stage, to_json, total
from ponderosa.evolution.settings import assignment

COLUMNS = {
    "generated": "written",
    "read": "read",
    "scored": "scored",
    "trained": "trained",
    "gpu_hours": "GPU-h",
    "hours": "hours",
    "gigabytes": "GB",
    "dollars": "$",
}
"""The table's columns; the first four are tokens."""


def plan(
    recipe: str,
    *,
    pilot: Path | None = None,
    assume: list[str] | None = None,
    set: list[str] | None = None,
    json: bool = False,
) -> None:
    """Say what a recipe will cost before anything is spent, stage by stage, with every assumption.

    Parameters
    ----------
    recipe
        A recipe or an evaluation recipe: a file, or the name of a bundled one.
    pilot
        A folder of `ponderosa search --judged` or `ponderosa evolve` on a few problems, on whose trees is measured what
        is otherwise assumed; a run of several rounds says it of each.
    assume
        States an assumption: `--assume gpu=h100 --assume gpus=4 --assume policy_parameters=7e9 --assume depth=8`.
    set
        Changes a setting of the recipe: `--set rounds.0.problems=50`.
    json
        Print JSON.
    """
    found = plan_recipe(recipe, pilot=pilot, stated=dict(map(assignment, assume or ())), changes=set or [])
    if json:
        rounds = list(map(asdict, found.rounds))
        print(dumps({"stages": to_json(found.stages), "total": total(found.stages), "assumptions": rounds}))
    else:
        _show(found, Console())


def _show(found: Plan, console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in COLUMNS:
        table.add_column(COLUMNS[name], justify="right", no_wrap=True)
    for stage in found.stages:
        row = asdict(stage.work) | {cost: getattr(stage, cost) for cost in COSTS}
        table.add_row(_place(stage), *(_short(row[name]) for name in COLUMNS))
    sums = total(found.stages)
    table.add_row("all", *(_short(sums[name]) for name in COLUMNS), style="bold")
    console.print(table)
    console.print("\n[bold]How[/]")
    for stage in found.stages:
        console.print(f"{_place(stage)}: {stage.how}", markup=False, highlight=False)
    console.print("\n[bold]Formulas[/] (docs/planning.md)")
    for line in FORMULAS:
        console.print(line, markup=False, highlight=False)
    console.print("\n[bold]Assumptions[/]: change them with --assume NAME=VALUE")
    shown = Table("name", "value", "from", "what it is", box=None, pad_edge=False)
    for f in fields(Assumptions):
        values = [getattr(one, f.name) for one in found.rounds]
        text = ", ".join(_value(v) for v in (values if len({*values}) > 1 else values[:1]))
        shown.add_row(f.name, text, found.sources.get(f.name, "default"), f.metadata["why"])
    console.print(shown)


def _place(stage: Stage) -> str:
    return stage.name if stage.round is None else f"{stage.round} {stage.name}"


def _value(value: object) -> str:
    return "of the model" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _short(value: float) -> str:
    """A figure with two or three digits: 12.3 k, 4.56 M."""
    if value < 0.01:
        return "<0.01" if value else "-"
    for limit, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e4, " k")):
        if value >= limit:
            return f"{value / (1e3 if unit == ' k' else limit):.3g}{unit}"
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}"
