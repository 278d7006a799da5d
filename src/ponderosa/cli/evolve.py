"""`ponderosa evolve`."""

import asyncio
import sys
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from ponderosa.core import PonderosaError, Tree
from ponderosa.evolution import Run, load_recipe
from ponderosa.evolution import evolve as run_rounds
from ponderosa.forest import read_forest
from ponderosa.view.progress import progress
from ponderosa.view.report import ReportData, write_report
from ponderosa.view.table import draw_rounds
from ponderosa.view.trajectories import best_correct, first_wrong
from ponderosa.view.tree import draw_trajectory


def evolve(
    recipe: str = "sapling",
    *,
    out: Path | None = None,
    set: Annotated[list[str], Parameter(negative="")] = [],  # noqa: B006 - the option's name; never changed
) -> None:
    """Evolve a model on problems with known answers, or go on with a run that was stopped.

    Parameters
    ----------
    recipe
        A recipe file, or the name of a bundled one: `sapling`, `sapling-quick`.
    out
        The run's folder, by default `runs/` and the recipe's name. The same command resumes.
    set
        Changes a setting: `--set evaluation.test=200 --set rounds.0.problems=50`.
    """
    console = Console()
    path = find_recipe(recipe)
    settings = load_recipe(path, set)
    folder = out or Path("runs") / path.stem
    with Run.open(folder, settings) as run, progress(console) as shown:
        results = asyncio.run(run_rounds(run, shown))
    _show(folder, results, " ".join(["ponderosa", *sys.argv[1:]]), console)


def find_recipe(name: str) -> Path:
    """A recipe by path, or by the name of a bundled one. Raises `PonderosaError` that names those."""
    if Path(name).is_file():
        return Path(name)
    package = Path(__file__).parents[1]
    for folder in (package / "recipes", package.parents[1] / "recipes"):  # installed; a checkout
        if (path := folder / f"{name}.yaml").is_file():
            return path
        if folder.is_dir():
            bundled = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
            raise PonderosaError(f"there is no recipe {name}: name a file, or one of {bundled}")
    raise PonderosaError(f"there is no recipe file {name}")


def _show(folder: Path, results: dict[str, Any], command: str, console: Console) -> None:
    """What a person sees at the end: the table, an example, the report, and where things are."""
    last = results["rounds"][-1]["round"]
    trees = list(islice(read_forest(folder / f"round-{last}" / "search" / "tree-0"), 500)) if last else []
    example = max((tree for tree in trees if best_correct(tree) and first_wrong(tree)), key=_telling, default=None)
    paths = {
        "report": str(folder / "report.html"),
        "results": str(folder / "results.json"),
        "policy": results["checkpoints"]["policy"],
        "PPM": results["checkpoints"]["ppm"] or "none",
        "trajectories and pairs": str(folder / f"round-{last}" / "data"),
        "search trees": str(folder / f"round-{last}" / "search"),
    }
    report = ReportData(
        results=results,
        q_values={f"round {number}": _q_values(folder, number) for number in range(1, last + 1)},
        example=example,
        trees=trees[:3],
        paths=paths,
        command=command,
    )
    write_report(folder, report)
    if example is not None:
        draw_example(example, console)
    draw_rounds(results, console)
    for name, path in paths.items():
        console.print(f"{name + ':':24}{path}", markup=False, highlight=False, soft_wrap=True)
    console.print(f'\nAsk it:  ponderosa solve "…" --model {folder}', markup=False, highlight=False)
    console.print(f"Look:    ponderosa show {folder}", markup=False, highlight=False)


def _telling(tree: Tree, steps: int = 6) -> int:
    """How much a tree shows as an example: a winning trajectory of some steps, but not a long one."""
    length = tree.nodes[best_correct(tree) or 0].depth
    return -abs(length - steps)


def _q_values(folder: Path, number: int, trees: int = 200) -> list[float]:
    forest: list[Tree] = list(islice(read_forest(folder / f"round-{number}" / "search" / "tree-0"), trees))
    return [node.q for tree in forest for node in tree.nodes[1:] if node.visits]


def draw_example(tree: Tree, console: Console) -> None:
    """A problem with its winning trajectory and its first wrong one."""
    won, lost = best_correct(tree), first_wrong(tree)
    console.print(f"\n[bold]An example:[/] {tree.question}")
    for title, node in (("[green]The winning trajectory[/]", won), ("[red]The first wrong one[/]", lost)):
        if node is not None:
            console.print(f"\n{title}")
            draw_trajectory(tree, node, console)
    console.print()
