"""`ponderosa.evolve`: the rounds of a recipe, and the report of a run."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from ponderosa.api.waiting import wait_for
from ponderosa.core import Tree
from ponderosa.evolution import Observer, Recipe, Run, load_recipe
from ponderosa.evolution import evolve as run_rounds
from ponderosa.evolution.settings import find_recipe, own_folder
from ponderosa.forest import read_forest
from ponderosa.view.progress import Progress
from ponderosa.view.report import ReportData, write_report
from ponderosa.view.trajectories import best_correct, first_wrong


def evolve(
    recipe: str | Path | Recipe = "sapling",
    *,
    out: str | Path | None = None,
    changes: Iterable[str] = (),
    observer: Observer | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Evolves a model on problems with known answers, or goes on with a run that was stopped. The same call resumes.

    Parameters
    ----------
    recipe
        A recipe file, the name of a bundled one (`sapling`, `sapling-quick`), or a `Recipe`.
    out
        The run's folder, by default `runs/` and the recipe's name.
    changes
        Settings that differ from the recipe's: `["evaluation.test=200", "rounds.0.problems=50"]`.
    observer
        Who is told of the progress.
    command
        What reproduces the run, for the report.

    Returns
    -------
    dict
        What `results.json` in the folder holds; `checkpoints` has the paths of the policy and of the PPM.

    Raises
    ------
    PonderosaError
        For a wrong recipe, for a folder that was begun with another, and if a backend fails. What was finished by then
        is kept.
    """
    settings = recipe if isinstance(recipe, Recipe) else load_recipe(find_recipe(str(recipe)), list(changes))
    folder = Path(out) if out is not None else run_folder(recipe)
    with Run.open(folder, settings) as run:
        results = wait_for(run_rounds(run, observer or Progress()))
        write_report(folder, report(folder, results, command))
    return results


def run_folder(recipe: str | Path | Recipe) -> Path:
    """Where a recipe's run goes by itself: `runs/` and its name."""
    return Path("runs") / recipe.name if isinstance(recipe, Recipe) else own_folder(str(recipe))


def report(folder: Path, results: dict[str, Any], command: str = "") -> ReportData:
    """What the report of the run in `folder` shows: its results, an example, and where things are."""
    last = results["rounds"][-1]["round"]
    trees = _searched(folder, last, 500)
    made = {
        "trajectories and pairs": folder / f"round-{last}" / "data",
        "search trees": folder / f"round-{last}" / "search",
    }
    return ReportData(
        results=results,
        q_values={f"round {number}": _q_values(folder, number) for number in range(1, last + 1)},
        example=max((tree for tree in trees if best_correct(tree) and first_wrong(tree)), key=_telling, default=None),
        trees=trees[:3],
        paths={
            "report": str(folder / "report.html"),
            "results": str(folder / "results.json"),
            "policy": results["checkpoints"]["policy"],
            "PPM": results["checkpoints"]["ppm"] or "none",
            **{name: str(path) for name, path in made.items() if path.exists()},
        },
        command=command,
    )


def _telling(tree: Tree, steps: int = 6) -> int:
    """How much a tree shows as an example: a winning trajectory of some steps, but not a long one."""
    length = tree.nodes[best_correct(tree) or 0].depth
    return -abs(length - steps)


def _q_values(folder: Path, number: int, trees: int = 200) -> list[float]:
    return [node.q for tree in _searched(folder, number, trees) for node in tree.nodes[1:] if node.visits]


def _searched(folder: Path, number: int, most: int) -> list[Tree]:
    """The first trees of a round's search for data; none of a round that had no such search."""
    forest = folder / f"round-{number}" / "search" / "tree-0"
    return list(islice(read_forest(forest), most)) if forest.exists() else []
