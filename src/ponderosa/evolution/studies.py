"""Studies: a recipe in several variants, each with several seeds, and what is compared between them.

Every variant with every seed is an ordinary run in a folder of its own, so that a study resumes as runs do, and what a
run has finished another may take over instead of making it again. `findings` says what came of it.
"""

import re
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from ponderosa.core import PonderosaError
from ponderosa.evolution.loops import evolve, parse_recipe, reuse
from ponderosa.evolution.recipe import Recipe
from ponderosa.evolution.reuse import Reuse
from ponderosa.evolution.run import Observer, Run, Titled, read_json
from ponderosa.evolution.settings import Part, differences, find_recipe, merged, parse, read_settings

_SIDE = re.compile(r"(?P<variant>[^@:]+)(?:@(?P<round>\d+))?(?::(?P<method>\w+))?")


class Side(NamedTuple):
    """What is compared: a variant after a round (None: its last), answering by a method of its evaluation."""

    variant: str
    round: int | None
    method: str

    @classmethod
    def of(cls, text: str) -> "Side":
        """`VARIANT[@ROUND][:METHOD]`, by default the last round and greedy decoding. Raises ValueError."""
        match = _SIDE.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text}: VARIANT, VARIANT@ROUND or VARIANT@ROUND:METHOD is expected")
        number = match["round"]
        return cls(match["variant"].strip(), int(number) if number else None, match["method"] or "greedy")


class Variant(Part):
    """A recipe, by default the study's, with the settings that `set` changes. `reuse` is of a variant before it, with
    the same seed.
    """

    about: str = ""
    recipe: str | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    reuse: Reuse | None = None


class Comparison(Part):
    """Sides that are set against the first of them, or each against the one before. `ranked`: those after the first in
    order of accuracy, the best first.
    """

    title: str
    about: str = ""
    sides: tuple[str, ...] = Field(min_length=2)
    against: Literal["first", "previous"] = "first"
    ranked: bool = False


class Study(Part):
    """A study. `set` changes the recipes of all variants, before what a variant changes itself."""

    name: str
    about: str = ""
    recipe: str | None = None
    seeds: tuple[int, ...] = Field((1, 2, 3), min_length=1)
    set: dict[str, Any] = Field(default_factory=dict)
    variants: dict[str, Variant] = Field(min_length=1)
    comparisons: tuple[Comparison, ...] = ()

    @model_validator(mode="after")
    def _names_are_known(self) -> "Study":
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("`seeds` holds one twice")
        before: list[str] = []
        for name, variant in self.variants.items():
            if not re.fullmatch(r"[^@:/]+", name) or name.startswith("."):
                raise ValueError(f"the variant {name}: a name has no @, : or /, and begins with no dot")
            if variant.recipe is None and self.recipe is None:
                raise ValueError(f"the variant {name} has no `recipe`, and neither has the study")
            if variant.reuse and variant.reuse.of not in before:
                raise ValueError(f"the variant {name} reuses {variant.reuse.of}, which is no variant before it")
            if _folder(name) in map(_folder, before):
                raise ValueError(f"the variant {name} would share its folder with another: give it another name")
            before.append(name)
        for comparison in self.comparisons:
            for side in map(Side.of, comparison.sides):
                if side.variant not in before:
                    raise ValueError(f"`{comparison.title}` compares {side.variant}, which is no variant")
        return self

    def recipes(self) -> dict[str, dict[int, Recipe]]:
        """The recipe of every variant with every seed.

        Raises `PonderosaError` for one that cannot be, and if variants are compared that are measured on different
        problems.
        """
        found: dict[str, dict[int, Recipe]] = {}
        for name, variant in self.variants.items():
            path = find_recipe(variant.recipe or self.recipe or "")
            settings = merged(merged(read_settings(path), self.set), variant.set)
            found[name] = {
                seed: parse_recipe(settings | {"seed": seed, "name": f"{self.name}, {name}"}, f"the variant {name}")
                for seed in self.seeds
            }
        for comparison in self.comparisons:
            first, *others = (Side.of(side).variant for side in comparison.sides)
            for other in others:
                mine, theirs = (_measured_on(found[name][self.seeds[0]]) for name in (first, other))
                if changes := differences(mine, theirs):
                    raise PonderosaError(
                        f"`{comparison.title}` compares {first} and {other}, whose held-out problems are not the same "
                        f"({'; '.join(changes)})"
                    )
        return found


def _measured_on(recipe: Recipe) -> dict[str, Any]:
    """The settings by which a run's held-out problems are chosen; how many there are may differ."""
    return recipe.problems.model_dump(mode="json", exclude={"train", "dev", "decontaminate", "contamination"})


def load_study(path: Path, changes: list[str] = []) -> Study:  # noqa: B006 - never changed
    """Reads a study and applies `a.b=c` changes. Raises `PonderosaError` that names every wrong key."""
    settings = read_settings(path, changes)
    if "variants" not in settings and "policy" in settings:
        raise PonderosaError(f"{path} is a recipe without variants: run it by `ponderosa evolve`")
    return parse(Study, settings, str(path))


async def carry_out(study: Study, out: Path, observer: Observer) -> dict[str, list[dict[str, Any]]]:
    """Runs, or goes on with, every variant with every seed, seed by seed; returns the runs' results by variant.

    Raises `PonderosaError`; what was finished by then is kept, and the same call goes on from there.
    """
    recipes = study.recipes()
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in recipes}
    for seed in study.seeds:
        for name, variant in study.variants.items():
            with Run.open(folder(out, name, seed), recipes[name][seed]) as run:
                results = read_json(run.path / "results.json")
                if not (results and results.get("finished")):
                    if variant.reuse:
                        of = str(folder(out, variant.reuse.of, seed))
                        reuse(run, variant.reuse.model_copy(update={"of": of}))
                    results = await evolve(run, Titled(observer, f"{name}, seed {seed}"))
                runs[name].append(results)
    return runs


def folder(out: Path, variant: str, seed: int) -> Path:
    """The folder of a variant's run."""
    return out / _folder(variant) / f"seed-{seed}"


def _folder(variant: str) -> str:
    return variant.replace(" ", "-")
