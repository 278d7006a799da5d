"""`ponderosa.scaling`: scaling laws of a grid of saplings, or of measurements made elsewhere."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ponderosa.api.evaluating import RESULTS
from ponderosa.api.waiting import wait_for
from ponderosa.core import PonderosaError
from ponderosa.evaluation.accounting import Sizes
from ponderosa.evaluation.curves import Cost
from ponderosa.evaluation.scaling.fits import ScalingFits, fit_all
from ponderosa.evaluation.scaling.measurements import from_rows
from ponderosa.evaluation.scaling.quantities import RESAMPLES
from ponderosa.evolution.run import Observer, claimed, read_json, snapshot, write_json
from ponderosa.evolution.scaling import load_grid, run_grid
from ponderosa.evolution.settings import find_recipe
from ponderosa.view.progress import Progress
from ponderosa.view.scaling import write_report

FITS = "fits.json"
SCALING = "scaling.yaml"
"""What a folder says of the measurements that its fits are of; that of a grid has the grid."""


@dataclass(frozen=True)
class Scaling:
    """The fits, what they are fitted to, and where the report is."""

    fits: ScalingFits
    points: Path
    report: Path


def scaling(
    source: str | Path = "scaling/sapling",
    *,
    out: str | Path | None = None,
    targets: Sequence[float] | None = None,
    queries: Sequence[float] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    changes: Iterable[str] = (),
    observer: Observer | None = None,
    command: str = "",
) -> Scaling:
    """Fits scaling laws. A grid of saplings is trained and measured first; the same call resumes.

    Parameters
    ----------
    source
        A grid (a YAML file, or a bundled one: `scaling/sapling`), or a file of measurements (.jsonl), whose columns
        docs/scaling.md explains.
    out
        The folder of points, fits, pictures and report; by default `runs/scaling-` and the source's name.
    targets
        Accuracies to be reached at the fewest FLOPs; by default a few round ones that were reached.
    queries
        How many problems are to be answered; by default powers of ten about where test time costs as much as training.
    seed
        Of the resamples behind the intervals, so many `resamples`.
    changes
        Settings that differ from the grid's: `["tokens=[500000]", "count=100"]`.
    observer
        Who is told of the progress.
    command
        What reproduces this, for the report.

    Raises
    ------
    PonderosaError
        For measurements that cannot be, a folder that was begun with other measurements, another grid or by another
        command, and where a training fails.
    """
    if find_spec("scipy") is None:
        raise PonderosaError("scipy is missing: install ponderosa[report] to fit scaling laws")
    folder = Path(out) if out is not None else scaling_folder(source)
    claim: AbstractContextManager[None] = nullcontext()
    if str(source).endswith(".jsonl"):
        points, name = Path(source), Path(source).stem
        claim = _claimed(folder, points)
    else:  # the folder has the grid's own claim
        grid = load_grid(find_recipe(str(source)), list(changes))
        points, name = wait_for(run_grid(folder, grid, observer or Progress())), grid.name
        targets, queries = targets or grid.targets, queries or grid.queries
    measurements = from_rows(list(_rows(points)), str(points))
    with claim:
        fits = fit_all(measurements, targets=targets, queries=queries, seed=seed, resamples=resamples)
        write_json(folder / FITS, fits.to_json())
        return Scaling(fits, points, write_report(folder, name, fits, command))


def _claimed(folder: Path, points: Path) -> AbstractContextManager[None]:
    """The folder for the fits to these measurements alone. Raises `PonderosaError` as `claimed` does."""
    return claimed(
        folder, SCALING, {"points": str(points.resolve())}, lambda: dict(snapshot(folder, SCALING, "scaling"))
    )


def scaling_folder(source: str | Path) -> Path:
    """Where the fits of a source go by themselves: `runs/scaling-` and its name."""
    return Path("runs") / f"scaling-{Path(source).stem}"


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file of points. One that names an `evaluation` stands for all points of that."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise PonderosaError(f"cannot read {path}: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise PonderosaError(f"{where}: not JSON ({error})") from error
        if not isinstance(row, dict):
            raise PonderosaError(f"{where}: expected an object with parameters, tokens, ...")
        folder = row.pop("evaluation", None)
        yield from ({**each, "line": where} for each in ([row] if folder is None else _evaluated(folder, row, where)))


def _evaluated(folder: str, row: Mapping[str, Any], where: str) -> Iterator[dict[str, Any]]:
    """The points of an evaluation made by `ponderosa eval`; what `row` says goes before what it does: of a model behind
    a server only the row knows the size.
    """
    found = read_json(Path(folder) / RESULTS)
    if not isinstance(found, dict) or "points" not in found:
        raise PonderosaError(f"{where}: {folder} is not a finished evaluation: name a folder made by `ponderosa eval`")
    stated = {name: row.get(key) for name, key in _SIZES.items()}
    sizes = Sizes(**{name: stated[name] or found["parameters"][name] for name in _SIZES})
    row = {key: value for key, value in row.items() if key == "parameters" or key not in _SIZES.values()}
    for point in found["points"]:
        flops = Cost(**point["cost"]).flops(sizes) if all(map(_is_size, stated.values())) else None
        if flops is None and row.get("test_flops") is None:
            raise PonderosaError(
                f"{where}: {folder} does not say how large all of its models are: add {', '.join(_SIZES.values())} as "
                "numbers, as far as it has them"
            )
        known = {
            "model": found["settings"]["policy"],
            "parameters": sizes.policy,
            "method": point["method"],
            "samples": point["budget"],
            "accuracy": point["accuracy"],
            "problems": point["n"],
            "test_flops": flops,
            "rates": point["right"],
        }
        yield {**known, **row}


_SIZES = {
    "policy": "parameters",
    "reward": "reward_parameters",
    "discriminator": "discriminator_parameters",
}
"""The columns beside `evaluation` that say how large its models are."""


def _is_size(stated: object) -> bool:
    return stated is None or (isinstance(stated, int | float) and stated > 0)
