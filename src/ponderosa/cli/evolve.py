"""`ponderosa evolve`."""

import shlex
from pathlib import Path

from rich.console import Console

from ponderosa.api import evolving
from ponderosa.cli.reproduce import command_line
from ponderosa.core import Tree
from ponderosa.view.progress import progress
from ponderosa.view.table import draw_rounds
from ponderosa.view.trajectories import best_correct, first_wrong
from ponderosa.view.tree import draw_trajectory


def evolve(
    recipe: str = "sapling",
    *,
    out: Path | None = None,
    set: list[str] | None = None,
) -> None:
    """Evolve a model on problems with known answers, or go on with a run that was stopped.

    Parameters
    ----------
    recipe
        A recipe file, or the name of a bundled one: `sapling`, `sapling-quick`, ...
    out
        The run's folder, by default `runs/` and the recipe's name. The same command resumes.
    set
        Changes a setting: `--set evaluation.test=200 --set rounds.0.problems=50`.
    """
    console = Console()
    folder = out or evolving.run_folder(recipe)
    with progress(console) as shown:
        results = evolving.evolve(recipe, out=folder, changes=set or (), observer=shown, command=command_line())
    made = evolving.report(folder, results)
    if made.example is not None:
        draw_example(made.example, console)
    draw_rounds(results, console)
    for name, path in made.paths.items():
        console.print(f"{name + ':':24}{path}", markup=False, highlight=False, soft_wrap=True)
    made_here = shlex.quote(str(folder))
    console.print(f'\nAsk it:  ponderosa solve "…" --model {made_here}', markup=False, highlight=False)
    console.print(f"Look:    ponderosa show {made_here}", markup=False, highlight=False)


def draw_example(tree: Tree, console: Console) -> None:
    """A problem with its winning trajectory and its first wrong one."""
    won, lost = best_correct(tree), first_wrong(tree)
    console.print(f"\n[bold]An example:[/] {tree.question}")
    for title, node in (("[green]The winning trajectory[/]", won), ("[red]The first wrong one[/]", lost)):
        if node is not None:
            console.print(f"\n{title}")
            draw_trajectory(tree, node, console)
    console.print()
