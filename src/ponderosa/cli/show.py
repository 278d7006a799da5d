"""`ponderosa show`."""

from pathlib import Path

from rich.console import Console

from ponderosa.core import PonderosaError, Tree
from ponderosa.evolution import recipe_of
from ponderosa.evolution.run import read_json
from ponderosa.forest import read_forest
from ponderosa.view.table import draw_rounds
from ponderosa.view.trajectories import best_correct
from ponderosa.view.tree import draw_trajectory, draw_tree


def show(run: Path, *, problem: str | None = None, round: int | None = None) -> None:
    """Show a run's results and one of its search trees.

    Parameters
    ----------
    run
        A folder made by `ponderosa evolve`.
    problem
        The id of the problem whose tree is drawn; by default the first that was solved.
    round
        The round whose search is shown; by default the last.
    """
    console = Console()
    recipe_of(run)
    if problem is None and round is None:
        results = read_json(run / "results.json")
        if results is not None and "rounds" not in results:
            raise PonderosaError(f"{run} is not a run: its results.json holds no rounds")
        if results:
            draw_rounds(results, console)
    tree = _find(run, problem, round)
    draw_tree(tree, console)
    best = best_correct(tree)
    if best is not None:
        console.print("\n[bold]The best trajectory[/]")
        draw_trajectory(tree, best, console)


def _find(run: Path, problem: str | None, round: int | None) -> Tree:
    rounds = [round] if round is not None else range(99, 0, -1)
    folders = [folder for number in rounds for folder in sorted((run / f"round-{number}" / "search").glob("tree-*"))]
    for folder in folders:
        for tree in read_forest(folder):
            if tree.problem_id == problem or (problem is None and best_correct(tree) is not None):
                return tree
    if problem is None:
        raise PonderosaError(f"{run} holds no finished search yet")
    raise PonderosaError(
        f"{run} holds no tree for the problem {problem}; its problems are in round-*/search/*/problems.jsonl"
    )
