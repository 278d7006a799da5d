"""Recipes: everything that a run depends on, in one file."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from ponderosa.core import make_format
from ponderosa.evolution.reuse import Reuse
from ponderosa.evolution.settings import Part, known
from ponderosa.execution import ExecutionSettings
from ponderosa.forest import Choice
from ponderosa.problems import ContaminationSettings
from ponderosa.search import AgreementSettings, MCTSSettings
from ponderosa.training import FitSettings, LauncherSettings


def _known_format(name: str) -> str:
    make_format(name)
    return name


class ProblemSettings(Part):
    """Where problems come from: the embedded world, or `train`, `dev` and `test` by name, as commands take them: files,
    benchmarks, reasoning-gym's, the Hub's (docs/problems.md), with copies of benchmarks in `data_dir`.

    Training problems that are one of `dev` or `test` word for word are left out. Against the problems named in
    `decontaminate` they are compared as `contamination` says (docs/training-data.md).

    `levels`, `arithmetic` (the share of reasoning-gym's arithmetic problems), `task` (word problems, the same as
    multiple choice, or programs) and the `language` of the questions apply to the world only.
    """

    source: Literal["sapling", "files"] = "sapling"
    task: Literal["math", "choice", "code"] = "math"
    language: Literal["en", "eo", "both"] = "en"
    levels: tuple[int, ...] = (1, 2, 3, 4, 5)
    arithmetic: float = Field(0.15, ge=0, le=1)
    train: str | Path | None = None
    dev: str | Path | None = None
    test: str | Path | None = None
    data_dir: Path | None = None
    decontaminate: tuple[str, ...] = ()
    contamination: Annotated[ContaminationSettings, known(ContaminationSettings)] = ContaminationSettings()

    @model_validator(mode="after")
    def _files_are_named(self) -> "ProblemSettings":
        if self.source == "files" and not (self.train and self.test):
            raise ValueError("problems from files need `train` and `test`")
        if self.source != "files" and self.decontaminate:
            raise ValueError("`decontaminate` is for problems from files; the world's splits share no question")
        return self


class WorkerSettings(Part):
    """How work is spread over `processes`: `concurrency` problems of a shard in flight, and shards of `shard` problems.

    So many `trainers` train together, one a GPU where there are any; by default as many. `launcher` says how they are
    started, e.g. by `accelerate launch` with its settings for FSDP or DeepSpeed (docs/training.md).
    """

    processes: int = Field(2, ge=1)
    trainers: int | None = Field(None, ge=1)
    concurrency: int = Field(256, ge=1)
    shard: int = Field(250, ge=1)
    launcher: LauncherSettings = LauncherSettings()

    @property
    def training(self) -> int:
        """How many processes train."""
        return self.trainers or self.processes


Role = Literal["policy", "ppm"]


class OwnServer(Part):
    """A vLLM that the run starts for its searches, with the interpreter `python`, and stops for its training.

    `arguments` go to `vllm serve`; `environment` is added to this process's. `options` are those of a served model
    (docs/models.md), e.g. "api=chat". It has `ready_s` seconds to load a model.
    """

    python: str = sys.executable
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = Field(default_factory=dict)
    options: str = ""
    ready_s: float = Field(900.0, gt=0)


class ExternalServer(Part):
    """A server that somebody else runs: the command `reload`, in which `{checkpoint}` stands for the model's folder,
    makes it serve another. Within `ready_s` seconds after that it must answer.
    """

    url: str
    reload: tuple[str, ...] = Field(min_length=1)
    options: str = ""
    ready_s: float = Field(900.0, gt=0)


def _whose(value: Any) -> str:
    return "external" if isinstance(value, ExternalServer) or (isinstance(value, dict) and "url" in value) else "own"


ServerSettings = Annotated[
    Annotated[OwnServer, Tag("own")] | Annotated[ExternalServer, Tag("external")], Discriminator(_whose)
]


class Round(Part):
    """One round of a loop: on `problems` fresh problems, where it trains on what was found by solving them."""

    problems: int = Field(1000, ge=1)


class EvaluationSettings(Part):
    """What is measured after each round, on held-out problems.

    Greedy decoding on `test` problems. `samples` chains each, of at most `max_tokens` between executions, on the first
    `sampled` of them, from which majority vote, best-of-N and pass@N are computed. PPM-guided search of `rollouts` on
    the first `searched` of them. After the last round both are done on `final` problems, and what is chosen (how step
    values are aggregated, which method is best) is chosen on `dev` problems. Coverage is also measured on a fixed pool
    of `probe` problems, with `probe_rollouts` and no reward model.
    """

    test: int = Field(500, ge=0)
    samples: int = Field(8, ge=1)
    temperature: float = Field(1.0, gt=0)
    max_tokens: int = Field(4096, ge=1)
    sampled: int = Field(200, ge=0)
    searched: int = Field(0, ge=0)
    final: int = Field(500, ge=0)
    rollouts: int = Field(8, ge=1)
    dev: int = Field(200, ge=0)
    probe: int = Field(0, ge=0)
    probe_rollouts: int = Field(8, ge=1)


class MutualFilter(Part):
    """Who else must agree with a trajectory: `policy` is the second model, named as the recipe's own. At least the
    share `least` of its completions come to the trajectory's answer.
    """

    policy: str
    least: float = Field(0.5, ge=0, le=1)
    completions: Annotated[AgreementSettings, known(AgreementSettings)] = AgreementSettings()


class TrajectorySettings(Part):
    """Which trajectories train the policy: `top` of each problem by `choice`, and with `history` those of all rounds so
    far. Only correct ones, unless they need not be `verified`; and with `mutual` only those with which a second model
    agrees.
    """

    top: int = Field(2, ge=1)
    choice: Choice = "q"
    verified: bool = True
    history: bool = True
    mutual: MutualFilter | None = None


class Recipe(Part):
    """What every loop needs to know. A loop's own recipe adds to it, under the name by which `loop` calls it."""

    loop: str
    name: str = "unnamed"
    seed: int = 0
    policy: str
    few_shot: str = ""
    """Examples that stand before every question for policies that were not trained on the steps."""
    problems: ProblemSettings = ProblemSettings()
    grader: str | None = None
    """Who says which answers are right, e.g. a judge; by default as each problem's kind asks."""
    format: Annotated[str, AfterValidator(_known_format)] = "rstar"
    """How steps are written, one of `core.FORMATS`: `program` where the answers are programs."""
    workers: WorkerSettings = WorkerSettings()
    servers: dict[Role, ServerSettings] = Field(default_factory=dict)
    """What serves the models while they search, by role; without one the workers run a model themselves."""
    search: Annotated[MCTSSettings, known(MCTSSettings)] = MCTSSettings()
    """How trees are searched, and how deep chains go."""
    execution: Annotated[ExecutionSettings, known(ExecutionSettings)] = ExecutionSettings()
    rounds: tuple[Round, ...]
    evaluation: EvaluationSettings = EvaluationSettings()
    reuse: Reuse | None = None
    """What is taken over from another run's folder, one of the same policy and problems."""

    @field_validator("rounds")
    @classmethod
    def _there_is_one(cls, rounds: tuple[Round, ...]) -> tuple[Round, ...]:
        if not rounds:
            raise ValueError("names none: a run has one round at least")
        return rounds

    @property
    def given(self) -> tuple[str, ...]:
        """The policies that were not trained here."""
        return (self.policy,)

    @property
    def trainings(self) -> tuple[FitSettings, ...]:
        """The settings of all trainings of a run."""
        return ()
