"""`ponderosa scaling`."""

from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from ponderosa.api import scaling as api
from ponderosa.cli.reproduce import command_line
from ponderosa.core import PonderosaError
from ponderosa.evaluation.scaling.quantities import RESAMPLES
from ponderosa.view.progress import progress
from ponderosa.view.scaling import doubts, findings, frontier_markdown


def scaling(
    source: str = "scaling/sapling",
    *,
    out: Path | None = None,
    targets: str | None = None,
    queries: str | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    set: list[str] | None = None,
) -> None:
    """Fit scaling laws of training and of test time, and find what reaches an accuracy at the fewest FLOPs in all.

    A grid of saplings is trained and measured first; the same command goes on where it was stopped.

    Parameters
    ----------
    source
        A grid (a YAML file, or scaling/sapling), or a file of measurements made elsewhere, points.jsonl, a row each
        with parameters, tokens, loss, method, samples, accuracy, problems and test_flops (docs/scaling.md).
    out
        The folder of points, fits, pictures and report, by default runs/scaling-NAME.
    targets
        Accuracies to be reached, divided by commas, e.g. 0.5,0.8; by default a few round ones that were.
    queries
        How many problems are to be answered, e.g. 1e3,1e6; by default powers of ten about where test time costs as much
        as training.
    seed
        Of the resamples behind the intervals.
    resamples
        How many of them.
    set
        Changes a setting of the grid: `--set tokens=[500000,1000000] --set count=100`.
    """
    console = Console()
    with progress(console) as shown:
        found = api.scaling(
            source,
            out=out,
            targets=_numbers(targets, "--targets"),
            queries=_numbers(queries, "--queries"),
            seed=seed,
            resamples=resamples,
            changes=set or (),
            observer=shown,
            command=command_line(),
        )
    for title, lines in (("In short", findings(found.fits)), ("Not determined by these data", doubts(found.fits))):
        if lines:
            console.print(Markdown(f"**{title}**\n\n" + "\n".join(f"* {line}" for line in lines)))
    for each in found.fits.frontiers:
        if each.choices:
            console.print(Markdown(frontier_markdown(each)))
    console.print(f"points: {found.points}\nreport: {found.report}", markup=False, highlight=False, soft_wrap=True)


def _numbers(text: str | None, option: str) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise PonderosaError(f"{option} {text}: expected numbers divided by commas, e.g. 0.5,0.8") from None
