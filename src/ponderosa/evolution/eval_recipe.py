"""Evaluation recipes: `problems`, `dev` problems, and settings of `EvalRun`, in one YAML file."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ponderosa.core import PonderosaError, Problem
from ponderosa.evolution.settings import read_settings

BUNDLED = "eval/"
"""How the names of bundled ones begin."""


Problems = str | Sequence[Problem]
"""Problems, or their name as commands take it."""


@dataclass(frozen=True, slots=True)
class EvalRecipe:
    """Problems, and settings of `EvalRun` that options of a command go before."""

    problems: Problems
    dev: Problems | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def part(self, name: str) -> dict[str, Any]:
        """The settings of a search. Raises `PonderosaError` if they are not a mapping."""
        found = self.settings.get(name, {})
        if not isinstance(found, dict):
            raise PonderosaError(f"the recipe's `{name}` is not a mapping of settings")
        return found


def is_recipe(name: str) -> bool:
    """Does the name stand for an evaluation recipe, not for problems?"""
    return name.endswith((".yaml", ".yml")) or name.startswith(BUNDLED)


def evaluation_recipe(path: Path, changes: list[str] = []) -> EvalRecipe:  # noqa: B006 - never changed
    """Reads a recipe and applies `a.b=c` changes. Raises `PonderosaError`; `EvalRun` validates the settings."""
    settings = read_settings(path, changes)
    problems, dev = settings.pop("problems", None), settings.pop("dev", None)
    if not isinstance(problems, str) or not isinstance(dev, str | None):
        raise PonderosaError(f"{path}: an evaluation names its `problems`, e.g. `problems: aime24`, and `dev` likewise")
    if unknown := sorted({"policy", "reward"} & settings.keys()):
        raise PonderosaError(f"{path}: an evaluation is of any models: leave `{unknown[0]}` to the command")
    return EvalRecipe(problems, dev, settings)
