"""Checkpoints that are either absent or complete."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponderosa.core import PonderosaError

RECORD = "training.json"
"""The file of a checkpoint that tells how it was made: what it started from, settings, seed and report."""


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

    def publish(self, record: dict[str, Any]) -> None:
        """Renames the finished checkpoint to its place, with the record of its making."""
        (self.checkpoint / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        self.checkpoint.rename(self.out)


@contextmanager
def staging(out: Path, *, main: bool) -> Iterator[Staging]:
    """A folder beside `out`, removed in the end whatever happens; what a killed training left is removed first.

    Only the `main` process of several touches the disk. Raises `PonderosaError` if `out` exists: a trained model is
    never overwritten.
    """
    if out.exists():
        raise PonderosaError(f"{out} exists already: remove it, or train into another folder")
    root = out.with_name(f".{out.name}.partial")
    if main:
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
    try:
        yield Staging(out, root)
    finally:
        if main:
            shutil.rmtree(root, ignore_errors=True)


def read_record(checkpoint: Path) -> dict[str, Any]:
    """How `checkpoint` was made. Raises `PonderosaError` if that is not known."""
    try:
        record: dict[str, Any] = json.loads((checkpoint / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PonderosaError(f"{checkpoint} has no readable {RECORD}: it was not trained here ({error})") from error
    return record
