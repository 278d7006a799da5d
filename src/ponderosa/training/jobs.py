"""A training as data: what a driver hands to the process that does it."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from ponderosa.core import PonderosaError
from ponderosa.training.distillation import (
    DistillationSettings,
    OnPolicySettings,
    train_distillation,
    train_on_policy,
)
from ponderosa.training.dpo import DPOSettings, train_dpo
from ponderosa.training.grpo import GRPOSettings, Task, train_grpo
from ponderosa.training.ppm import PPMSettings, train_ppm
from ponderosa.training.settings import OnProgress
from ponderosa.training.sft import SFTSettings, train_sft
from ponderosa.training.values import ValueSettings, train_values


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
    held_out: tuple[Path, ...] = ()
    """More rows, to judge the model by."""

    def run(self, on_progress: OnProgress | None = None) -> dict[str, Any]:
        """Trains in this process, and returns the report as plain values."""
        return asdict(train_sft(self.start, self.rows, self.out, self.settings, self.seed, on_progress, self.held_out))


class PPMJob(_Job):
    """A call of `train_ppm`."""

    kind: Literal["ppm"] = "ppm"
    settings: PPMSettings = PPMSettings()

    def run(self, on_progress: OnProgress | None = None) -> dict[str, Any]:
        """Trains in this process, and returns the report as plain values."""
        return asdict(train_ppm(self.start, self.rows, self.out, self.settings, self.seed, on_progress))


class ValueJob(_Job):
    """A call of `train_values`."""

    kind: Literal["values"] = "values"
    settings: ValueSettings = ValueSettings()

    def run(self, on_progress: OnProgress | None = None) -> dict[str, Any]:
        """Trains in this process, and returns the report as plain values."""
        return asdict(train_values(self.start, self.rows, self.out, self.settings, self.seed, on_progress))


class DPOJob(_Job):
    """A call of `train_dpo`."""

    kind: Literal["dpo"] = "dpo"
    settings: DPOSettings = DPOSettings()

    def run(self, on_progress: OnProgress | None = None) -> dict[str, Any]:
        """Trains in this process, and returns the report as plain values."""
        return asdict(train_dpo(self.start, self.rows, self.out, self.settings, self.seed, on_progress))


class _TaskJob(_Job):
    """A training on problems, with the fields of a `grpo.Task`, which may also stand in `task` as in a record."""

    format: str = "rstar"
    few_shot: str = ""
    execution: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _task_of_a_record(cls, job: Any) -> Any:
        if not (isinstance(job, dict) and isinstance(job.get("task"), dict)):
            return job
        task = {name: value for name, value in job["task"].items() if value is not None}
        return task | {name: value for name, value in job.items() if name != "task"}


class GRPOJob(_TaskJob):
    """A call of `train_grpo`; the rows are problems."""

    kind: Literal["grpo"] = "grpo"
    settings: GRPOSettings = GRPOSettings()
    grader: str | None = None

    def run(self, on_progress: OnProgress | None = None) -> dict[str, Any]:
        """Trains in this process, and returns the report as plain values."""
        task = Task(self.format, self.few_shot, self.grader, self.execution)
        return asdict(train_grpo(self.start, self.rows, self.out, self.settings, self.seed, on_progress, task))


class DistillationJob(_Job):
    """A call of `train_distillation`."""

    kind: Literal["distillation"] = "distillation"
    teacher: str
    settings: DistillationSettings = DistillationSettings()

    def run(self, on_progress: OnProgress | None = None) -> dict[str, Any]:
        """Trains in this process, and returns the report as plain values."""
        arguments = (self.start, self.teacher, self.rows, self.out, self.settings, self.seed, on_progress)
        return asdict(train_distillation(*arguments))


class OnPolicyJob(_TaskJob):
    """A call of `train_on_policy`; the rows are problems."""

    kind: Literal["on-policy"] = "on-policy"
    teacher: str
    settings: OnPolicySettings = OnPolicySettings()

    def run(self, on_progress: OnProgress | None = None) -> dict[str, Any]:
        """Trains in this process, and returns the report as plain values."""
        task = Task(self.format, self.few_shot, execution=self.execution)
        arguments = (self.start, self.teacher, self.rows, self.out, self.settings, self.seed, on_progress, task)
        return asdict(train_on_policy(*arguments))


Job = SFTJob | PPMJob | ValueJob | DPOJob | GRPOJob | DistillationJob | OnPolicyJob
"""Every kind of training; its `run` trains in the process that calls it."""
TrainingSettings = (
    SFTSettings | PPMSettings | ValueSettings | DPOSettings | GRPOSettings | DistillationSettings | OnPolicySettings
)
"""The settings of every kind, each of its own class."""
_ADAPTER: TypeAdapter[Job] = TypeAdapter(Annotated[Job, Field(discriminator="kind")])


def kinds() -> list[str]:
    """The names of all kinds of training."""
    return [job.model_fields["kind"].default for job in get_args(Job)]


def kind_of(settings: TrainingSettings) -> str:
    """The kind of training that settings are of."""
    kinds = {job.model_fields["settings"].annotation: job.model_fields["kind"].default for job in get_args(Job)}
    kind: str = kinds[type(settings)]
    return kind


def parse_job(record: Any) -> Job:
    """A job from plain values. Raises `PonderosaError` that names the first wrong value."""
    try:
        return _ADAPTER.validate_python(record)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"].startswith("union_tag"):
            raise PonderosaError(f"not a training job: `kind` must be one of {', '.join(kinds())}") from error
        # What stands in brackets is pydantic's, of the forms that a value may have.
        place = ".".join(str(part) for part in first["loc"][1:] if "[" not in str(part))
        raise PonderosaError(f"not a training job: {place}: {first['msg']}") from error
