"""Training alone, without a run: a kind of training by name, on a data set or on rows of one's own."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ponderosa.api.waiting import wait_for
from ponderosa.core import PonderosaError, split_options
from ponderosa.evolution import Observer
from ponderosa.evolution.run import show_training
from ponderosa.evolution.settings import changed, parse, read_settings
from ponderosa.evolution.stages import checkpoint
from ponderosa.training import LauncherSettings, launching
from ponderosa.training.jobs import Job, kinds, parse_job
from ponderosa.view.progress import Progress

_OF_RECORDS = ("report", "run", "card")
"""What the record of a checkpoint has that a job has not."""


def train(
    job: str | Path | Mapping[str, Any],
    rows: Sequence[str | Path] = (),
    *,
    start: str | None = None,
    out: str | Path | None = None,
    seed: int | None = None,
    changes: Iterable[str] = (),
    observer: Observer | None = None,
) -> dict[str, Any]:
    """Trains a model, or goes on with a training that was stopped. The same call resumes.

    Parameters
    ----------
    job
        What to train: a file in YAML or JSON, or its content; the `training.json` of a checkpoint, to do the same
        again; or a kind alone, as "sft" or "ppm". `processes` and `launcher` in it say how it is run.
    rows
        Data sets (folders) or files of JSON Lines, in place of the job's.
    start
        The checkpoint to start from: a folder, a name on the Hub, or "sapling".
    out
        The folder of the checkpoint.
    seed
        By default the job's, or 0.
    changes
        Settings that differ from the job's: `["settings.epochs=1", "settings.lora.rank=8"]`.
    observer
        Who is told of the progress.

    Returns
    -------
    dict
        The report of the training.

    Raises
    ------
    PonderosaError
        For a wrong job, unusable rows or checkpoints, a loss that diverges, memory or disk that run out.
    """
    parsed, processes, launcher = load_job(job, rows, start=start, out=out, seed=seed, changes=changes)
    return wait_for(_run(parsed, processes, launcher, observer or Progress()))


def load_job(
    job: str | Path | Mapping[str, Any],
    rows: Sequence[str | Path] = (),
    *,
    start: str | None = None,
    out: str | Path | None = None,
    seed: int | None = None,
    changes: Iterable[str] = (),
) -> tuple[Job, int, LauncherSettings]:
    """The job, in how many processes, and how they are started; see `train`. Raises `PonderosaError`."""
    record = {key: value for key, value in _content(job).items() if key not in _OF_RECORDS}
    given = {"rows": [str(path) for path in rows] or None, "start": start, "out": out and str(out), "seed": seed}
    record |= {key: value for key, value in given.items() if value is not None}
    for change in changes:
        record = changed(record, change)
    processes, launcher = record.pop("processes", 1), record.pop("launcher", None) or {}
    if not isinstance(processes, int) or processes < 1:
        raise PonderosaError(f"`processes` must be a number from 1, not {processes!r}")
    for key in ("start", "rows", "out"):
        if record.get(key) is None:
            raise PonderosaError(f"the job does not say `{key}`: add it, or `--set {key}=...`")
    record.setdefault("seed", 0)
    for model in {"start", "teacher"} & record.keys():
        record[model] = split_options(checkpoint(str(record[model])))[0]
    return parse_job(record), processes, parse(LauncherSettings, launcher, "launcher")


def _content(job: str | Path | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(job, Mapping):
        return job
    if job in kinds():
        return {"kind": job}
    if not Path(job).is_file():
        raise PonderosaError(f"{job} is neither a file nor a kind of training: {', '.join(kinds())}")
    return read_settings(Path(job))


async def _run(job: Job, processes: int, settings: LauncherSettings, observer: Observer) -> dict[str, Any]:
    view = observer.stage(f"{job.kind} training", unit="steps")
    async with launching(processes, settings) as launcher:
        try:
            report = await launcher.run(job, show_training(view))
        except BaseException:
            view.finish("stopped")
            raise
    view.finish()
    return report
