"""What a recipe will cost: the plan of its stages, and where its assumptions come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ponderosa.core import PonderosaError, split_options
from ponderosa.evolution.assumptions import PAPER_SOLVED, Assumptions
from ponderosa.evolution.eval_recipe import EvalRecipe, Problems, evaluation_recipe
from ponderosa.evolution.evaluating import EvalRun
from ponderosa.evolution.loops import parse_recipe
from ponderosa.evolution.pilot import Measured, read_pilot
from ponderosa.evolution.planning import Stage, plan, plan_evaluation
from ponderosa.evolution.rstar_math import DataSettings, RStarMath
from ponderosa.evolution.settings import find_recipe, parse, read_settings, typed
from ponderosa.models.size import named_parameters, parameters
from ponderosa.problems import BENCHMARKS, load_problems
from ponderosa.sapling import base_or


@dataclass(frozen=True, slots=True)
class Plan:
    """The `stages` of a recipe, the assumptions of each of its `rounds`, and the `sources` of those that are not
    defaults: "recipe", "paper", "pilot" or "stated".
    """

    stages: list[Stage]
    rounds: list[Assumptions]
    sources: dict[str, str]


def plan_recipe(
    recipe: str, *, pilot: Path | None = None, stated: Mapping[str, Any] = {}, changes: Sequence[str] = ()
) -> Plan:
    """Plans a recipe or an evaluation recipe, a file or a bundled one, with `changes` of its settings.

    What was measured on the run at `pilot` goes before the defaults, and what is `stated` before that. Raises
    `PonderosaError` for a wrong recipe or assumption, and for a pilot on which nothing can be measured.
    """
    path = find_recipe(recipe)
    known = {f.name for f in fields(Assumptions)}
    if unknown := sorted(stated.keys() - known):
        raise PonderosaError(f"there is no assumption {unknown[0]}: choose of {', '.join(sorted(known))}")
    record = read_settings(path, list(changes))
    if isinstance(record.get("problems"), str):
        asked = evaluation_recipe(path, list(changes))
        measured = read_pilot(pilot, DataSettings()) if pilot else [{}]
        sizes: Measured = {}
        rounds = _assumptions(measured[-1:], sizes, stated)
        stages = plan_evaluation(_eval_run(asked, path), _count(asked.problems) + _count(asked.dev), rounds[0])
    else:
        settings = parse_recipe(record, str(path))
        if not isinstance(settings, RStarMath):
            raise PonderosaError(f"{path}: there is no plan for the loop {settings.loop}, only for rstar-math")
        sizes = _sizes(settings)
        measured = read_pilot(pilot, settings.data) if pilot else [{"solved": share} for share in PAPER_SOLVED]
        rounds = _assumptions(measured, sizes, stated)
        stages = plan(settings, rounds)
    sources = dict.fromkeys(sizes, "recipe")
    sources |= dict.fromkeys([name for one in measured for name in one], "pilot" if pilot else "paper")
    return Plan(stages, rounds, sources | dict.fromkeys(stated, "stated"))


def _assumptions(measured: Sequence[Measured], sizes: Measured, stated: Mapping[str, Any]) -> list[Assumptions]:
    """For each round the defaults, under what was measured, under what is stated."""
    return [typed(Assumptions, sizes | one | dict(stated), "--assume") for one in measured]


def _sizes(recipe: RStarMath) -> Measured:
    """Parameters of the recipe's models, of their files or names."""
    second = recipe.data.mutual and recipe.data.mutual.policy
    named = {"policy": recipe.policy, "bootstrap": recipe.bootstrap, "second": second}
    sizes = {name: _size(spec) for name, spec in named.items() if spec}
    return {f"{name}_parameters": size for name, size in sizes.items() if size is not None}


def _size(spec: str) -> float | None:
    spec = base_or(spec)
    return parameters(spec) or named_parameters(spec)


def _eval_run(asked: EvalRecipe, path: Path) -> EvalRun:
    """The evaluation with models of any name."""
    models = {"policy": "the policy", "reward": "the reward model", "discriminator": "the discriminator"}
    run = parse(EvalRun, models | asked.settings, str(path))
    run.check()
    return run


def _count(name: Problems | None) -> int:
    """How many problems there are of that name, without asking the Hub about a benchmark."""
    if not isinstance(name, str):
        return len(name or ())
    target, options = split_options(name)
    limit = options.get("limit", "")
    if target in BENCHMARKS and "split" not in options and (limit.isdigit() or not limit):
        return min(BENCHMARKS[target].size, int(limit or BENCHMARKS[target].size))
    return len(load_problems(name).problems)
