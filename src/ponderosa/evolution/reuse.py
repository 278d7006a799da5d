"""What one run has made and another takes over instead of making it again."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, field_validator

from ponderosa.core import PonderosaError
from ponderosa.evolution.settings import Part


class Reuse(Part):
    """Of which run, and what of it: files and folders of its rounds, as patterns (`round-0`, `round-1/search`)."""

    of: str
    keep: tuple[str, ...] = Field(min_length=1)

    @field_validator("keep")
    @classmethod
    def _in_rounds(cls, keep: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in keep:
            if not pattern.startswith("round-") or ".." in Path(pattern).parts:
                raise ValueError(f"{pattern}: what is in a round, such as round-0 or round-1/search, is expected")
        return keep


def take_over(source: Path, run: Path, patterns: Sequence[str]) -> None:
    """Takes over what the patterns find in a run into another, where it is not there yet; what is large is linked.

    Raises `PonderosaError` where neither has anything of a pattern.
    """
    for pattern in patterns:
        if not (matches := sorted(source.glob(pattern))) and not any(run.glob(pattern)):
            raise PonderosaError(f"{source} has no {pattern} to reuse")
        for path in matches:
            target = run / path.relative_to(source)
            if target.exists():
                continue
            part = target.with_name(f".{target.name}.part")
            shutil.rmtree(part, ignore_errors=True)
            part.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                shutil.copytree(path, part, copy_function=_share)
            else:
                shutil.copy2(path, part)
            part.replace(target)


def _share(source: str, target: str) -> None:
    """Links a file that nobody writes again, and copies any other: a run adds to the cards of the models it has."""
    if source.endswith((".parquet", ".safetensors")):
        try:
            return os.link(source, target)
        except OSError:  # another disk, or one without links
            pass
    shutil.copy2(source, target)
