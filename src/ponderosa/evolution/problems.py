"""Where a run's problems come from."""

import random
from collections.abc import Sequence
from typing import Protocol

from ponderosa.cluster.shard import read_problems
from ponderosa.core import PonderosaError, Problem
from ponderosa.evolution.recipe import ProblemSettings

HELD_OUT_SEED = 0
"""Held-out problems are the same whatever a run's seed, so that runs compare."""


class ProblemSource(Protocol):
    """A stream of training problems, and held-out ones."""

    def train(self, start: int, count: int) -> list[Problem]:
        """`count` training problems from place `start` on; fresh ones as long as there are any."""
        ...

    def held_out(self, split: str, count: int) -> list[Problem]:
        """The first `count` problems of "dev", "test" or "probe" (training problems that no round is trained on)."""
        ...

    def truths(self, problem: Problem, steps: Sequence[str]) -> list[bool] | None:
        """Is all that has been computed right after each step? None where the source cannot tell."""
        ...


class SaplingProblems:
    """The embedded world: fresh problems for ever, and every intermediate value known."""

    def __init__(self, settings: ProblemSettings, seed: int) -> None:
        self._settings = settings
        self._seed = seed + 1  # the held-out seed stays apart

    def train(self, start: int, count: int) -> list[Problem]:
        return self._take("train", self._seed, start, count)

    def held_out(self, split: str, count: int) -> list[Problem]:
        return self._take("train" if split == "probe" else split, HELD_OUT_SEED, 0, count)

    def _take(self, split: str, seed: int, start: int, count: int) -> list[Problem]:
        from ponderosa.sapling import problems

        return problems(split, seed, start, count, levels=self._settings.levels, arithmetic=self._settings.arithmetic)

    def truths(self, problem: Problem, steps: Sequence[str]) -> list[bool] | None:
        from ponderosa.sapling import StepClass, diagnose

        return [v.values_ok and v.kind is not StepClass.MALFORMED for v in diagnose(problem, steps)]


class FileProblems:
    """Problems from files. Training takes them in a shuffled order and begins again when all were taken."""

    def __init__(self, settings: ProblemSettings, seed: int, probe: int) -> None:
        assert settings.train is not None
        assert settings.test is not None
        train = list(read_problems(settings.train))
        if not train:
            raise PonderosaError(f"{settings.train} holds no problems")
        random.Random(HELD_OUT_SEED).shuffle(train)
        if len(train) <= probe:
            raise PonderosaError(
                f"{settings.train} holds {len(train)} problems, but evaluation.probe asks for {probe} of them: lower it"
            )
        self._held_out = {
            "probe": train[:probe],
            "test": list(read_problems(settings.test)),
            "dev": list(read_problems(settings.dev)) if settings.dev else [],
        }
        self._train = train[probe:]
        random.Random(seed).shuffle(self._train)

    def train(self, start: int, count: int) -> list[Problem]:
        size = len(self._train)
        return [self._train[i % size] for i in range(start, start + min(count, size))]

    def held_out(self, split: str, count: int) -> list[Problem]:
        return self._held_out[split][:count]

    def truths(self, problem: Problem, steps: Sequence[str]) -> list[bool] | None:
        return None


def problem_source(settings: ProblemSettings, seed: int, probe: int) -> ProblemSource:
    """The source that the settings name. Raises `PonderosaError` for files that cannot be read."""
    if settings.source == "files":
        return FileProblems(settings, seed, probe)
    return SaplingProblems(settings, seed)
