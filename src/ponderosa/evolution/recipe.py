"""Recipes: everything that a run depends on, in one file."""

import copy
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from ponderosa.core import PonderosaError
from ponderosa.execution import ExecutionSettings
from ponderosa.forest import PreferenceSettings
from ponderosa.search import MCTSSettings
from ponderosa.training import PPMSettings, SFTSettings


class Part(BaseModel):
    """Settings: unknown keys are errors, and nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def known(settings: type[Any]) -> BeforeValidator:
    """Forbids unknown keys for settings that are plain dataclasses, since search knows nothing of pydantic."""
    return BeforeValidator(lambda value: _without_unknown(settings, value))


def _without_unknown(settings: type[Any], value: Any) -> Any:
    if isinstance(value, dict):
        parts = {field.name: field.type for field in fields(settings)}
        if unknown := sorted(set(value) - parts.keys()):
            raise ValueError(f"unknown keys {', '.join(unknown)}; known are {', '.join(sorted(parts))}")
        for name, part in parts.items():
            if name in value and isinstance(part, type) and is_dataclass(part):
                _without_unknown(part, value[name])
    return value


class ProblemSettings(Part):
    """Where problems come from: the embedded world, or JSON-lines files of `{"id", "question", "answer"}`.

    `levels` and `arithmetic` (the share of reasoning-gym's arithmetic problems) apply to the world only.
    """

    source: Literal["sapling", "files"] = "sapling"
    levels: tuple[int, ...] = (1, 2, 3, 4, 5)
    arithmetic: float = Field(0.15, ge=0, le=1)
    train: Path | None = None
    dev: Path | None = None
    test: Path | None = None

    @model_validator(mode="after")
    def _files_are_named(self) -> "ProblemSettings":
        if self.source == "files" and not (self.train and self.test):
            raise ValueError("problems from files need `train` and `test`")
        return self


class WorkerSettings(Part):
    """How a search is spread: `concurrency` problems of a shard in flight, and shards of `shard` problems."""

    processes: int = Field(2, ge=1)
    concurrency: int = Field(256, ge=1)
    shard: int = Field(250, ge=1)


class RoundSettings(Part):
    """One round. `reward` says whether the PPM of the round before guides the search.

    `retries` gives problems that are still unsolved a further tree with new seeds and that many rollouts, one after the
    other (the paper's round 4: 64, then 128).
    """

    problems: int = Field(1000, ge=1)
    rollouts: int = Field(16, ge=1)
    candidates: int | None = Field(None, ge=1)
    reward: bool = False
    retries: tuple[int, ...] = ()


class DataSettings(Part):
    """What is taken from the forest: the `top` trajectories a problem, and pairs (see `PreferenceSettings`).

    With `history` the policy is trained on the rows of all rounds so far, with `pair_history` the PPM on their pairs.
    """

    top: int = Field(2, ge=1)
    history: bool = True
    pair_history: bool = True
    pairs: Annotated[PreferenceSettings, known(PreferenceSettings)] = PreferenceSettings()


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


class Recipe(Part):
    """A self-evolution. The defaults are the paper's."""

    name: str = "unnamed"
    seed: int = 0
    policy: str
    bootstrap: str | None = None
    """Who proposes in round 1 (a large model in the paper); the policy's own base if not given."""
    problems: ProblemSettings = ProblemSettings()
    workers: WorkerSettings = WorkerSettings()
    search: Annotated[MCTSSettings, known(MCTSSettings)] = MCTSSettings()
    execution: Annotated[ExecutionSettings, known(ExecutionSettings)] = ExecutionSettings()
    rounds: tuple[RoundSettings, ...] = (
        RoundSettings(rollouts=8),
        RoundSettings(rollouts=16),
        RoundSettings(rollouts=16, reward=True),
        RoundSettings(rollouts=16, reward=True, retries=(64, 128)),
    )
    data: DataSettings = DataSettings()
    sft: SFTSettings = SFTSettings()
    ppm: PPMSettings = PPMSettings()
    evaluation: EvaluationSettings = EvaluationSettings()


def load_recipe(path: Path, changes: list[str] = []) -> Recipe:  # noqa: B006 - never changed
    """Reads a recipe and applies `a.b=c` changes. Raises `PonderosaError` that names every wrong key."""
    try:
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PonderosaError(f"cannot read the recipe {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise PonderosaError(f"{path} is not YAML: {error}") from error
    if not isinstance(record, dict):
        raise PonderosaError(f"{path}: a recipe is a mapping of settings")
    for change in changes:
        record = _changed(record, change)
    return parse_recipe(record, str(path))


def parse_recipe(record: dict[str, Any], source: str) -> Recipe:
    """Validates a recipe's settings. Raises `PonderosaError`."""
    return parse(Recipe, record, source)


P = TypeVar("P", bound=Part)
D = TypeVar("D")


def parse(kind: type[P], record: Any, source: str) -> P:
    """Validates settings that were read from `source`. Raises `PonderosaError` that names every wrong key."""
    try:
        return kind.model_validate(record)
    except ValidationError as error:
        raise PonderosaError(f"{source}: {_problems(error)}") from error


def typed(kind: type[D], record: dict[str, Any], source: str) -> D:
    """Settings of a search, a plain dataclass, with every value of its type. Raises `PonderosaError` likewise."""
    try:
        return TypeAdapter(kind).validate_python(record)
    except ValidationError as error:
        raise PonderosaError(f"{source}: {_problems(error)}") from error


def _problems(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        key = ".".join(map(str, problem["loc"]))
        unknown = problem["type"] == "extra_forbidden"
        lines.append(f"unknown key `{key}`" if unknown else f"`{key}`: {problem['msg']}")
    return "; ".join(lines)


def assignment(change: str) -> tuple[str, Any]:
    """`KEY=VALUE` as a key and a value of YAML. Raises `PonderosaError`."""
    key, equals, value = change.partition("=")
    if not equals or not key:
        raise PonderosaError(f"--set {change}: expected KEY=VALUE, e.g. --set evaluation.test=200")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise PonderosaError(f"--set {change}: the value is not YAML") from error


def _changed(record: dict[str, Any], change: str) -> dict[str, Any]:
    key, parsed = assignment(change)
    record = copy.deepcopy(record)
    target: Any = record
    *parents, last = key.split(".")
    for parent in parents:
        if isinstance(target, list) and parent.isdigit() and int(parent) < len(target):
            target = target[int(parent)]
        elif isinstance(target, dict):
            target = target.setdefault(parent, {})
        else:
            raise PonderosaError(f"--set {change}: there is no `{key}` in the recipe")
    if isinstance(target, list) and last.isdigit() and int(last) < len(target):
        target[int(last)] = parsed
    elif isinstance(target, dict):
        target[last] = parsed
    else:
        raise PonderosaError(f"--set {change}: there is no `{key}` in the recipe")
    return record


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """In what two recipes (or other settings) differ as JSON values, each as `key: old -> new`."""
    return _differences("", old, new)


def _differences(prefix: str, old: Any, new: Any) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = dict.fromkeys([*old, *new])
        return [line for key in keys for line in _differences(f"{prefix}{key}.", old.get(key), new.get(key))]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [
            line for i, (a, b) in enumerate(zip(old, new, strict=True)) for line in _differences(f"{prefix}{i}.", a, b)
        ]
    return [] if old == new else [f"{prefix[:-1]}: {old} -> {new}"]
