"""`ponderosa ablate`."""

from pathlib import Path

from rich.console import Console

from ponderosa.api import ablating
from ponderosa.cli.reproduce import command_line
from ponderosa.evolution.settings import own_folder
from ponderosa.view.progress import progress
from ponderosa.view.study import draw_study


def ablate(study: str = "ablation/sapling", *, out: Path | None = None, set: list[str] | None = None) -> None:
    """Run a recipe in variants, each with several seeds, and compare them: by default the paper's ablations, in small.

    Parameters
    ----------
    study
        A study's file, or the name of a bundled one: `ablation/sapling`, `learning/sapling`.
    out
        The study's folder, by default in `runs/`. The same command resumes.
    set
        Changes a setting: `--set seeds=[1] --set set.evaluation.test=200`; what is below `set` is for all recipes.
    """
    console = Console()
    folder = out or own_folder(study)
    with progress(console) as shown:
        findings = ablating.ablate(study, out=folder, changes=set or (), observer=shown, command=command_line())
    draw_study(findings, console)
    console.print(f"Report: {folder / 'report.html'}", markup=False, highlight=False, soft_wrap=True)
