"""`ponderosa train`."""

from pathlib import Path

from rich.console import Console

from ponderosa.api import training
from ponderosa.view.progress import progress


def train(
    job: str,
    rows: list[Path] | None = None,
    /,
    *,
    start: str | None = None,
    out: Path | None = None,
    seed: int | None = None,
    set: list[str] | None = None,
) -> None:
    """Train a model on a data set or on rows of your own, or go on with a training that was stopped.

    Parameters
    ----------
    job
        A file that says what to train (docs/training.md), a checkpoint's `training.json`, or a kind: `sft`, `ppm`, ...
    rows
        Data sets (folders) or JSON Lines files, in place of the job's.
    start
        The checkpoint to start from: a folder, a name on the Hub, or `sapling`.
    out
        The folder of the checkpoint. The same command resumes.
    seed
        By default the job's, or 0.
    set
        Changes a setting: `--set settings.epochs=1 --set processes=2`.
    """
    console = Console()
    with progress(console) as shown:
        report = training.train(job, rows or (), start=start, out=out, seed=seed, changes=set or (), observer=shown)
    for name, value in report.items():
        if isinstance(value, int | float):
            text = f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
            console.print(f"{name.replace('_', ' ') + ':':24}{text}", markup=False, highlight=False)
    if kept := report.get("kept"):
        accuracy = f", accuracy {kept['accuracy']:.1%}" if kept["accuracy"] is not None else ""
        told = f"loss {kept['loss']:.4g}{accuracy} after step {kept['step']}"
        console.print(f"{'kept, held out:':24}{told}", markup=False, highlight=False)
    if calibration := report.get("calibration"):
        order = [f"{scope} pairs in order {share['value']:.1%}" for scope, share in calibration["order"].items()]
        told = ", ".join([f"ECE {calibration['reliability']['ece']['value']:.1%}", *order])
        console.print(f"{'calibration, held out:':24}{told}", markup=False, highlight=False)
