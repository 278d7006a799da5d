"""Settings in files: read, changed from a command line, validated, compared. What is in them is said elsewhere."""

import copy
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError, model_validator
from pydantic.fields import FieldInfo

from ponderosa.core import PonderosaError


class Part(BaseModel):
    """Settings: unknown keys are errors, and nothing changes afterwards. What is left out of a section is as in the
    default of that section here, which need not be that of the section's class.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _sections_are_completed(cls, record: Any) -> Any:
        if not isinstance(record, Mapping):
            return record
        return {key: _completed(cls.model_fields.get(key), value) for key, value in record.items()}


def _completed(field: FieldInfo | None, value: Any) -> Any:
    default = field.default if field else None
    if not isinstance(value, Mapping):
        return value
    if isinstance(default, BaseModel):
        return merged(default.model_dump(), value)
    if is_dataclass(default) and not isinstance(default, type):
        return merged(asdict(default), value)
    return value


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


_PACKAGE = Path(__file__).resolve().parents[1]
_BUNDLED = (_PACKAGE / "recipes", _PACKAGE.parents[1] / "recipes")
"""Where recipes are, installed and in a checkout."""


def find_recipe(name: str) -> Path:
    """A recipe by path, or by the name of a bundled one. Raises `PonderosaError` that names those."""
    if Path(name).is_file():
        return Path(name)
    for folder in _BUNDLED:
        if (path := folder / f"{name}.yaml").is_file():
            return path
        if folder.is_dir():
            bundled = ", ".join(sorted(str(p.relative_to(folder).with_suffix("")) for p in folder.rglob("*.yaml")))
            raise PonderosaError(f"there is no recipe {name}: name a file, or one of {bundled}")
    raise PonderosaError(f"there is no recipe file {name}")


def own_folder(name: str) -> Path:
    """Where what a recipe asks for goes by itself: `runs/`, and its file's name, of bundled ones with their folder's.

    Raises `PonderosaError` as `find_recipe`.
    """
    path = find_recipe(name).resolve()
    folder = next((folder for folder in _BUNDLED if path.is_relative_to(folder)), path.parent)
    return Path("runs") / "-".join(path.relative_to(folder).with_suffix("").parts)


class _EachKeyOnce(yaml.SafeLoader):
    """A mapping with a key twice is an error: YAML's readers drop the first of them without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"`{key.value}` stands twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_settings(path: Path, changes: list[str] = []) -> dict[str, Any]:  # noqa: B006 - never changed
    """The settings that a YAML file holds, with `a.b=c` changes. Raises `PonderosaError`."""
    try:
        record = yaml.load(path.read_text(encoding="utf-8"), _EachKeyOnce)
    except OSError as error:
        raise PonderosaError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise PonderosaError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(record, dict):
        raise PonderosaError(f"{path}: a recipe is a mapping of settings")
    for change in changes:
        record = changed(record, change)
    settings: dict[str, Any] = record
    return settings


P = TypeVar("P", bound=BaseModel)
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
        said = problem["msg"].removeprefix("Value error, ")
        unknown = problem["type"] == "extra_forbidden"
        lines.append(f"unknown key `{key}`" if unknown else f"`{key}`: {said}" if key else said)
    return "; ".join(lines)


def merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with changes, mappings within mappings; any other value replaces what was there."""
    return dict(settings) | {
        key: merged(settings[key], value)
        if isinstance(value, Mapping) and isinstance(settings.get(key), Mapping)
        else value
        for key, value in changes.items()
    }


def assignment(change: str) -> tuple[str, Any]:
    """`KEY=VALUE` as a key and a value of YAML. Raises `PonderosaError`."""
    key, equals, value = change.partition("=")
    if not equals or not key:
        raise PonderosaError(f"--set {change}: expected KEY=VALUE, e.g. --set evaluation.test=200")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise PonderosaError(f"--set {change}: the value is not YAML") from error


def changed(record: dict[str, Any], change: str) -> dict[str, Any]:
    """Settings with one of them changed, as `a.b=c` says. Raises `PonderosaError`."""
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
