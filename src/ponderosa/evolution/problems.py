"""Where a run's problems come from."""

import logging
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ponderosa.core import PonderosaError, Problem
from ponderosa.evolution.recipe import ProblemSettings
from ponderosa.evolution.run import read_json, write_json
from ponderosa.problems import (
    Benchmarks,
    ContaminationSettings,
    Decontamination,
    decontaminated,
    load_problems,
    removed_in_words,
)

_logger = logging.getLogger(__name__)

DECONTAMINATION = "decontamination.json"
"""What was left out of a run's training problems, in the run's folder."""

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

    def trainable(self, problems: Iterable[Problem]) -> list[Problem]:
        """Those of problems from elsewhere that are not among the held-out ones."""
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

        kind = self._settings.model_dump(include={"levels", "arithmetic", "task", "language"})
        return problems(split, seed, start, count, **kind)

    def trainable(self, problems: Iterable[Problem]) -> list[Problem]:
        return list(problems)  # what is held out is nowhere else

    def truths(self, problem: Problem, steps: Sequence[str]) -> list[bool] | None:
        from ponderosa.sapling import StepClass, diagnose

        return [v.values_ok and v.kind is not StepClass.MALFORMED for v in diagnose(problem, steps)]


class FileProblems:
    """Problems by name (see `load_problems`). Training takes them in a shuffled order and begins again when all were
    taken.
    """

    def __init__(self, settings: ProblemSettings, seed: int, probe: int) -> None:
        assert settings.train is not None
        assert settings.test is not None
        held_out = {
            "test": _named(settings.test, settings.data_dir),
            "dev": _named(settings.dev, settings.data_dir) if settings.dev else [],
        }
        self.removed = _removed(settings, held_out)
        train = list(self.removed.of(_named(settings.train, settings.data_dir)))
        random.Random(HELD_OUT_SEED).shuffle(train)
        if not train:
            raise PonderosaError(
                f"all problems of {settings.train} stand in {self.removed.where}: there are none to train on"
            )
        if len(train) <= probe:
            raise PonderosaError(
                f"{settings.train} holds {len(train)} problems, but evaluation.probe asks for {probe} of them: lower it"
            )
        self._held_out = held_out | {"probe": train[:probe]}
        self._train = train[probe:]
        random.Random(seed).shuffle(self._train)

    def train(self, start: int, count: int) -> list[Problem]:
        size = len(self._train)
        return [self._train[i % size] for i in range(start, start + min(count, size))]

    def held_out(self, split: str, count: int) -> list[Problem]:
        return self._held_out[split][:count]

    def trainable(self, problems: Iterable[Problem]) -> list[Problem]:
        found = Decontamination()
        kept = list(decontaminated(problems, self.removed.benchmarks, found))
        if found.matches:
            _logger.warning("%s; they are left out of training", found)
        return kept

    def truths(self, problem: Problem, steps: Sequence[str]) -> list[bool] | None:
        return None


@dataclass(slots=True)
class Removed:
    """The training problems that stand in what a run is measured on: those that are one of the run's own problems word
    for word, and those that `decontaminate` finds in what it names.
    """

    benchmarks: Sequence[Benchmarks]
    found: Decontamination = field(default_factory=Decontamination)

    def of(self, train: Iterable[Problem]) -> Iterator[Problem]:
        """What remains of `train`."""
        return decontaminated(train, self.benchmarks, self.found)

    @property
    def where(self) -> str:
        """The names of what was looked into."""
        return ", ".join(name for benchmarks in self.benchmarks for name in benchmarks.lengths)

    def tell(self, run: Path) -> None:
        """Writes into the folder of a run what was removed, if only that nothing was, and warns of it; both once."""
        path = run / DECONTAMINATION
        if not path.exists():
            write_json(path, self.found.to_json(self.benchmarks))
            if self.found.matches:
                _logger.warning("%s; they are left out of training, see %s", self.found, path)


def decontamination(run: Path) -> dict[str, Any] | None:
    """How many training problems of a run were left out, and what they were compared with, as `Decontamination.to_json`
    has it but for the single matches; None where nothing was compared: the embedded world's splits share no question.
    """
    found = read_json(run / DECONTAMINATION)
    return {key: value for key, value in found.items() if key != "matches"} if found else None


def decontamination_line(run: Path) -> str:
    """The same as a line of a card; empty where nothing was compared."""
    found = decontamination(run)
    return removed_in_words(found) if found else ""


def _removed(settings: ProblemSettings, held_out: Mapping[str, Sequence[Problem]]) -> Removed:
    own = Benchmarks({name: problems for name, problems in held_out.items() if problems}, ContaminationSettings(n=0))
    named = {name: _named(name, settings.data_dir) for name in settings.decontaminate}
    return Removed([own, Benchmarks(named, settings.contamination)] if named else [own])


def _named(name: str | Path, data_dir: Path | None) -> list[Problem]:
    loaded = load_problems(str(name), data_dir)
    for note in loaded.notes:
        _logger.warning("%s: %s", name, note)
    return loaded.problems


def problem_source(settings: ProblemSettings, seed: int, probe: int) -> ProblemSource:
    """The source that the settings name. Raises `PonderosaError` for problems that cannot be read."""
    if settings.source == "files":
        return FileProblems(settings, seed, probe)
    return SaplingProblems(settings, seed)
