"""Problems of a split: word problems of the world with arithmetic families mixed in, in either language, as multiple
choice; and programs. The splits share no question, and within one none stands twice.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Literal

from ponderosa.core.errors import PonderosaError
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

_FAR = 1 << 52
"""How far off the places are that stand in for one whose question was asked before: beyond all that anybody takes."""
_REDRAWS = 200
"""Places in a row with questions that were asked before, after which there are hardly any others."""


def problem_at(
    split: str,
    seed: int,
    index: int,
    levels: Sequence[int] = LEVELS,
    arithmetic: float = ARITHMETIC,
    task: Task = "math",
    language: Language = "en",
) -> Problem:
    """What is drawn at one place of a split. Other places may have drawn the same question: see `problems`."""
    return _asked(_drawn(split, seed, index, levels, arithmetic, task), split, seed, index, task, language)


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

    No question stands at two places, whatever its choices, language or tests: where one was drawn before, the place
    draws again, its level too, so that a level with few questions (programs of one operation) has fewer of the
    problems. All places before `start` are drawn for that, once a process. Raises `PonderosaError` where there are not
    so many different questions.
    """
    return _stream(split, seed, tuple(levels), arithmetic, task, language).take(start, count)


def in_second_language(problem: Problem) -> Problem:
    """The problem with its question in Esperanto; what the world knows of it stays in English."""
    question = translate(problem.question, SECOND)
    return replace(problem, id=f"{problem.id}:{SECOND}", question=question, meta={**problem.meta, "language": SECOND})


def _drawn(split: str, seed: int, index: int, levels: Sequence[int], arithmetic: float, task: Task) -> Problem:
    level = levels[derive_seed("level", split, seed, index) % len(levels)]
    if task == "code":
        return program_problem(split, seed, index, level)
    if derive_seed("mix", split, seed, index) % 10_000 < arithmetic * 10_000:
        return family_problem(split, seed, index)
    return word_problem(split, seed, index, level)


def _asked(problem: Problem, split: str, seed: int, index: int, task: Task, language: Language) -> Problem:
    """The problem in its language, with its choices."""
    if task == "code":
        return problem
    if language == SECOND or (language == "both" and derive_seed("language", split, seed, index) % 2):
        problem = in_second_language(problem)
    return choice_problem(problem) if task == "choice" else problem


class _Stream:
    """The problems of a split one after the other, as far as they were asked for."""

    def __init__(
        self, split: str, seed: int, levels: Sequence[int], arithmetic: float, task: Task, language: Language
    ) -> None:
        self._split, self._seed, self._levels = split, seed, levels
        self._arithmetic, self._task, self._language = arithmetic, task, language
        self._problems: list[Problem] = []
        self._questions: set[str] = set()

    def take(self, start: int, count: int) -> list[Problem]:
        while len(self._problems) < start + count:
            self._problems.append(self._next())
        return self._problems[start : start + count]

    def _next(self) -> Problem:
        first = len(self._problems)
        for index in range(first, first + _REDRAWS * _FAR, _FAR):
            problem = _drawn(self._split, self._seed, index, self._levels, self._arithmetic, self._task)
            if problem.question not in self._questions:
                self._questions.add(problem.question)
                return _asked(problem, self._split, self._seed, index, self._task, self._language)
        levels = ", ".join(map(str, self._levels))
        raise PonderosaError(
            f"the split {self._split} has hardly more than {first} different questions at the levels {levels}: "
            "ask for fewer problems, or for other levels besides"
        )


_stream = lru_cache(maxsize=16)(_Stream)
