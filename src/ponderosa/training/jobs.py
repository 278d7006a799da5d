"""A training as data: what a driver hands to the process that does it."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ponderosa.core import PonderosaError
from ponderosa.training.ppm import PPMSettings, train_ppm
from ponderosa.training.settings import Progress
from ponderosa.training.sft import SFTSettings, train_sft


class _Job(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    start: str
    """The checkpoint to start from, a folder or a name that transformers knows."""
    rows: Path | tuple[Path, ...]
    """Files of JSON Lines, or data sets that `ponderosa.forest` wrote."""
    out: Path
    seed: int


class SFTJob(_Job):
    """A call of `train_sft`."""

    kind: Literal["sft"] = "sft"
    settings: SFTSettings = SFTSettings()


class PPMJob(_Job):
    """A call of `train_ppm`."""

    kind: Literal["ppm"] = "ppm"
    settings: PPMSettings = PPMSettings()


Job = Annotated[SFTJob | PPMJob, Field(discriminator="kind")]
_ADAPTER: TypeAdapter[SFTJob | PPMJob] = TypeAdapter(Job)


def parse_job(record: Any) -> SFTJob | PPMJob:
    """A job from plain values. Raises `PonderosaError` that names the first wrong value."""
    try:
        return _ADAPTER.validate_python(record)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:] or first["loc"])
        raise PonderosaError(f"not a training job: {place}: {first['msg']}") from error


def run_here(job: SFTJob | PPMJob, on_progress: Callable[[Progress], None] | None = None) -> dict[str, Any]:
    """Trains in this process, and returns the report as plain values."""
    if isinstance(job, SFTJob):
        return asdict(train_sft(job.start, job.rows, job.out, job.settings, job.seed, on_progress))
    return asdict(train_ppm(job.start, job.rows, job.out, job.settings, job.seed, on_progress))
