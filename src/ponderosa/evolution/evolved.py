"""The models that a run of `ponderosa evolve` has made, by the run's folder."""

from dataclasses import dataclass
from pathlib import Path

from ponderosa.core import PonderosaError
from ponderosa.evolution.loops import recipe_of
from ponderosa.evolution.recipe import Recipe
from ponderosa.evolution.run import RECIPE, rounds

EMBEDDED = ("runs/sapling", "runs/demo")
"""Where the README's commands leave the embedded model, the better one first."""


@dataclass(frozen=True, slots=True)
class Evolved:
    """The last policy of a run, and the PPM of the same round if there is one yet."""

    policy: str
    ppm: str | None
    recipe: Recipe


def evolved(name: str) -> Evolved | None:
    """The models of the run in the folder `name`; None if that is no folder, or a checkpoint's.

    Raises `PonderosaError` for a run without a policy, and for another folder.
    """
    path = Path(name)
    if not path.is_dir() or (path / "config.json").exists():
        return None
    if not (path / RECIPE).exists():
        raise PonderosaError(f"{name} is neither a run nor a checkpoint: name a folder made by `ponderosa evolve`")
    recipe = recipe_of(path)
    if not (made := rounds(path)):
        raise PonderosaError(f"the run {path} has no policy yet: go on with `ponderosa evolve`")
    ppm = made[-1] / "ppm"
    return Evolved(str(made[-1] / "policy"), str(ppm) if ppm.exists() else None, recipe)


def embedded() -> str | None:
    """The run that made the embedded model here, if there is one."""
    return next((name for name in EMBEDDED if rounds(Path(name))), None)
