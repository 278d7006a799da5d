"""Problems of a split: word problems of the world with arithmetic families mixed in."""

from collections.abc import Sequence

from ponderosa.core.problem import Problem
from ponderosa.core.seeds import derive_seed
from ponderosa.sapling.families import family_problem
from ponderosa.sapling.world import LEVELS, word_problem

ARITHMETIC = 0.15
"""Share of reasoning-gym's families among the problems."""


def problem_at(
    split: str, seed: int, index: int, levels: Sequence[int] = LEVELS, arithmetic: float = ARITHMETIC
) -> Problem:
    """The problem at one place of a split."""
    if derive_seed("mix", split, seed, index) % 10_000 < arithmetic * 10_000:
        return family_problem(split, seed, index)
    return word_problem(split, seed, index, levels[derive_seed("level", split, seed, index) % len(levels)])


def problems(
    split: str,
    seed: int,
    start: int,
    count: int,
    levels: Sequence[int] = LEVELS,
    arithmetic: float = ARITHMETIC,
) -> list[Problem]:
    """`count` problems of a split ("train", "dev", "test"; "corpus" is pre-training's own) from place `start` on.

    A problem is a pure function of (split, seed, place): fresh problems are other places. A share `arithmetic` is from
    reasoning-gym's families (level 0), the others are word problems at levels drawn evenly from `levels`.
    """
    return [problem_at(split, seed, index, levels, arithmetic) for index in range(start, start + count)]
