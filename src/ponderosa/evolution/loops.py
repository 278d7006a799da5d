"""Every loop by name, each a recipe and what carries it out."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from ponderosa.core import PonderosaError
from ponderosa.evolution import distillation, expert_iteration, r1, r1_zero, rejection_sampling, rstar_math, star
from ponderosa.evolution.recipe import Recipe
from ponderosa.evolution.reuse import Reuse, take_over
from ponderosa.evolution.run import RECIPE, Observer, Run, snapshot
from ponderosa.evolution.settings import differences, parse, read_settings


class Loop(NamedTuple):
    """A kind of recipe, and the function that runs, or goes on with, a run of it."""

    recipe: type[Recipe]
    evolve: Callable[[Run[Any], Observer], Awaitable[dict[str, Any]]]


LOOPS: dict[str, Loop] = {
    "rstar-math": Loop(rstar_math.RStarMath, rstar_math.evolve),
    "star": Loop(star.STaR, star.evolve),
    "rejection-sampling": Loop(rejection_sampling.RejectionSampling, rejection_sampling.evolve),
    "expert-iteration": Loop(expert_iteration.ExpertIteration, expert_iteration.evolve),
    "r1-zero": Loop(r1_zero.R1Zero, r1_zero.evolve),
    "distillation": Loop(distillation.Distillation, distillation.evolve),
    "r1": Loop(r1.R1, r1.evolve),
}
DEFAULT = "rstar-math"
"""The loop of a recipe that names none."""


async def evolve(run: Run[Any], observer: Observer) -> dict[str, Any]:
    """Runs, or goes on with, the run's loop; returns what `results.json` holds.

    Raises `PonderosaError`; what was finished by then is kept, and the same call goes on from there.
    """
    if run.recipe.reuse:
        reuse(run, run.recipe.reuse)
    return await LOOPS[run.recipe.loop].evolve(run, observer)


def reuse(run: Run[Any], what: Reuse) -> None:
    """Takes over into the run what another has made.

    Raises `PonderosaError` where there is no such thing, or if the other run began with another seed, base, problems or
    step format, or judges answers otherwise.
    """
    source = Path(what.of)
    if not source.exists() and all(any(run.path.glob(pattern)) for pattern in what.keep):
        return  # it was taken over before
    before, now = (recipe.model_dump(mode="json", include=_ORIGIN) for recipe in (recipe_of(source), run.recipe))
    if changes := differences(before, now):
        raise PonderosaError(f"{source} cannot be reused, it was begun with other settings ({'; '.join(changes)})")
    take_over(source, run.path, what.keep)


_ORIGIN = {"seed", "policy", "few_shot", "problems", "format", "grader"}
"""The settings by which what one run has made belongs to another, too."""


def load_recipe(path: Path, changes: list[str] = []) -> Recipe:  # noqa: B006 - never changed
    """Reads a recipe and applies `a.b=c` changes. Raises `PonderosaError` that names every wrong key."""
    return parse_recipe(read_settings(path, changes), str(path))


def parse_recipe(record: Any, source: str) -> Recipe:
    """Validates a recipe's settings. Raises `PonderosaError`."""
    if not isinstance(record, dict):
        raise PonderosaError(f"{source}: a recipe is a mapping of settings")
    if "variants" in record:
        raise PonderosaError(f"{source} is a study of several variants: run it by `ponderosa ablate`")
    name = record.get("loop", DEFAULT)
    if name not in LOOPS:
        raise PonderosaError(f"{source}: there is no loop {name}: choose one of {', '.join(LOOPS)}")
    return parse(LOOPS[name].recipe, record, source)


def recipe_of(path: Path) -> Recipe:
    """The recipe that the run at `path` was begun with. Raises `PonderosaError` if there is no run."""
    return parse_recipe(snapshot(path, RECIPE, "evolve"), str(path / RECIPE))
