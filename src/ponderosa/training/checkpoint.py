"""Checkpoints that are either absent or complete, and what a training that was killed left to go on from."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ponderosa.core import PonderosaError

RECORD = "training.json"
"""The file of a checkpoint that tells how it was made: what it started from, settings, seed and report."""
METRICS = "metrics"
"""The folder of a checkpoint in which TensorBoard finds what was measured while it was trained."""
SAVED = "saved.json"
"""The file by which a state to go on from, `scratch/checkpoint-STEP`, is known to be whole."""
_STOP = "stop"
"""The file beside `scratch` that asks a training to save its state and end."""
_IDENTITY = "identity"
_LOCK = "lock"
_PARTIAL = ".partial"


@dataclass(frozen=True, slots=True)
class Staging:
    """Where a checkpoint is put together: `checkpoint` becomes `out`, `scratch` is for whatever else is written."""

    out: Path
    root: Path

    @property
    def checkpoint(self) -> Path:
        return self.root / "checkpoint"

    @property
    def scratch(self) -> Path:
        return self.root / "scratch"

    def saved_state(self) -> Path | None:
        """The last state that a training saved here whole, if there is one."""
        return saved_state(self.scratch)

    def publish(self, record: dict[str, Any]) -> None:
        """Renames the finished checkpoint to its place, with the record of its making, its card and its metrics."""
        from ponderosa.training.cards import write_card

        (self.checkpoint / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        write_card(self.checkpoint, str(self.out))
        if (metrics := metrics_of(self.scratch)).exists():
            metrics.rename(self.checkpoint / METRICS)
        self.checkpoint.rename(self.out)


def saved_state(scratch: Path) -> Path | None:
    """The last state in a scratch folder that a training can go on from."""
    found = [path.parent for path in scratch.glob(f"checkpoint-*/{SAVED}")]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def metrics_of(scratch: Path) -> Path:
    """Where metrics are written by a training with that folder for what else it writes."""
    return scratch.with_name(METRICS)


def name_and_id(scratch: Path) -> tuple[str, str]:
    """What reporters may call the training with that folder for what else it writes: where its checkpoint goes (of a
    run, its folder, round and role) with the beginning of an id, and the id. A training that goes on has the same.
    """
    root = scratch.parent
    out = root.with_name(root.name.removeprefix(".").removesuffix(_PARTIAL))
    what = f"{out.resolve()}\n{_read(root / _IDENTITY)}"
    id = hashlib.sha256(what.encode()).hexdigest()[:16]
    return f"{'/'.join(out.parts[-3:])} {id[:6]}", id


@contextmanager
def staging(out: Path, *, main: bool, going_on: Any = None) -> Iterator[Staging]:
    """A folder beside `out`, which is removed in the end, unless a training that failed has saved its state in it.

    `going_on` is what a training is, as plain JSON values (see `identify`): what one that is the same left there is
    kept, for this one to go on from. Anything else is removed first. Only the `main` process of several touches the
    disk. Raises `PonderosaError` if `out` exists (a trained model is never overwritten), cannot be written, or is being
    written by another process.
    """
    root = _root(out)
    if not main:
        yield Staging(out, root)
        return
    _refuse_existing(out)
    with _locked(root, out):
        _refuse_existing(out)
        root.mkdir(exist_ok=True)  # another process that ended just now may have removed it
        stage = Staging(out, root)
        identity = json.dumps(going_on, sort_keys=True)
        same = going_on is not None and _read(root / _IDENTITY) == identity
        for path in root.iterdir():
            if path.name != _LOCK and not (same and path in (stage.scratch, metrics_of(stage.scratch))):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        (root / _IDENTITY).write_text(identity, encoding="utf-8")
        try:
            yield stage
        finally:
            if out.exists() or going_on is None or stage.saved_state() is None:
                shutil.rmtree(root, ignore_errors=True)


def _root(out: Path) -> Path:
    return out.with_name(f".{out.name}{_PARTIAL}")


def ask_to_stop(out: Path) -> None:
    """Asks the training that is writing `out` to save its state and end, at its next step."""
    with suppress(FileNotFoundError):  # it has just ended
        (_root(out) / _STOP).touch()


def asked_to_stop(scratch: Path) -> bool:
    """Whether the training with that folder for what else it writes is asked to end."""
    return scratch.with_name(_STOP).exists()


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise PonderosaError(f"{out} exists already: remove it, or train into another folder")


@contextmanager
def _locked(root: Path, out: Path) -> Iterator[None]:
    """Makes the folder `root`, which nobody else then works in."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / _LOCK).open("w")
    except OSError as error:
        raise PonderosaError(f"cannot write the checkpoint {out}: {error.strerror}: {error.filename}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PonderosaError(f"another process is training into {out}: wait for it, or train elsewhere") from None
        yield


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def files_of(rows: Any) -> list[str]:
    """The files and folders that rows are in; empty if some are in memory."""
    paths = [rows] if isinstance(rows, str | Path) else list(rows)
    return [str(path) for path in paths] if all(isinstance(path, str | Path) for path in paths) else []


def making(
    kind: str, start: str | Path, rows: Any, settings: BaseModel, seed: int, report: Any, **more: Any
) -> dict[str, Any]:
    """The record of a training, from which the same can be done again if its `rows` are files or folders."""
    files = files_of(rows)
    return {
        "kind": kind,
        "start": str(start),
        **({"rows": files} if files else {}),
        "seed": seed,
        "settings": settings.model_dump(mode="json"),
        **more,
        "report": asdict(report),
    }


def identify(kind: str, start: str | Path, rows: Sequence[Any], settings: Mapping[str, Any], seed: int) -> str:
    """What is the same for two trainings only if one can go on from what the other left.

    That is their kind, start (its path, with sizes and times of its files), rows (their content), settings, seed, and
    number of processes. All but `start` are plain JSON values.
    """
    digest = hashlib.sha256()
    for part in (kind, *stamped(start), settings, seed, os.environ.get("WORLD_SIZE", "1"), *rows):
        digest.update(json.dumps(part, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def stamped(checkpoint: str | Path) -> list[Any]:
    """A checkpoint's path, with the sizes and times of its files."""
    folder = Path(checkpoint)
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return [str(checkpoint), [(path.name, (stat := path.stat()).st_size, stat.st_mtime_ns) for path in files]]


def read_record(checkpoint: Path) -> dict[str, Any]:
    """How `checkpoint` was made. Raises `PonderosaError` if that is not known."""
    try:
        record: dict[str, Any] = json.loads((checkpoint / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PonderosaError(f"{checkpoint} has no readable {RECORD}: it was not trained here ({error})") from error
    return record
