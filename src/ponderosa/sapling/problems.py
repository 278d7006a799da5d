"""Problems of a split: word problems of the world with arithmetic families mixed in, in either language, as multiple
choice; and programs.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from ponderosa.core.problem import Problem
from ponderosa.core.seeds import derive_seed
from ponderosa.sapling.choices import choice_problem
from ponderosa.sapling.families import family_problem
from ponderosa.sapling.languages import SECOND, translate
from ponderosa.sapling.programs import program_problem
from ponderosa.sapling.world import LEVELS, word_problem

ARITHMETIC = 0.15
"""Share of reasoning-gym's families among the problems."""

Task = Literal["math", "choice", "code"]
Language = Literal["en", "eo", "both"]


def problem_at(
    split: str,
    seed: int,
    index: int,
    levels: Sequence[int] = LEVELS,
    arithmetic: float = ARITHMETIC,
    task: Task = "math",
    language: Language = "en",
) -> Problem:
    """The problem at one place of a split."""
    level = levels[derive_seed("level", split, seed, index) % len(levels)]
    if task == "code":
        return program_problem(split, seed, index, level)
    if derive_seed("mix", split, seed, index) % 10_000 < arithmetic * 10_000:
        problem = family_problem(split, seed, index)
    else:
        problem = word_problem(split, seed, index, level)
    if language == SECOND or (language == "both" and derive_seed("language", split, seed, index) % 2):
        problem = in_second_language(problem)
    return choice_problem(problem) if task == "choice" else problem


def in_second_language(problem: Problem) -> Problem:
    """The problem with its question in Esperanto; what the world knows of it stays in English."""
    question = translate(problem.question, SECOND)
    return replace(problem, id=f"{problem.id}:{SECOND}", question=question, meta={**problem.meta, "language": SECOND})


def problems(
    split: str,
    seed: int,
    start: int,
    count: int,
    levels: Sequence[int] = LEVELS,
    arithmetic: float = ARITHMETIC,
    task: Task = "math",
    language: Language = "en",
) -> list[Problem]:
    """`count` problems of a split ("train", "dev", "test"; "corpus" is pre-training's own) from place `start` on.

    A problem is a pure function of (split, seed, place): fresh problems are other places. A share `arithmetic` is from
    reasoning-gym's families (level 0), the others are word problems at levels drawn evenly from `levels`; as multiple
    choice where the task is "choice". The task "code" has problems whose answers are programs, in English.
    `meta["language"]` is the question's language.
    """
    places = range(start, start + count)
    return [problem_at(split, seed, index, levels, arithmetic, task, language) for index in places]
