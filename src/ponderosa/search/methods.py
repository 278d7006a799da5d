"""Every method in one visible dictionary: how it searches and how it chooses its answer."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from ponderosa.core import Grader, Tree
from ponderosa.search.answer import ANSWER_RULES, AnswerRule, Choice
from ponderosa.search.beam import BeamSettings, beam
from ponderosa.search.expansion import Backends
from ponderosa.search.mcts import MCTSSettings, mcts
from ponderosa.search.official import OfficialSettings, official_beam, official_mcts
from ponderosa.search.playouts import PlayoutSettings, mcts_playouts
from ponderosa.search.sampling import SampleSettings, sample

SEARCHES: dict[str, tuple[Callable[..., Awaitable[Tree]], type[Any]]] = {
    "sample": (sample, SampleSettings),
    "mcts": (mcts, MCTSSettings),
    "beam": (beam, BeamSettings),
    "mcts_playouts": (mcts_playouts, PlayoutSettings),
    "official_mcts": (official_mcts, OfficialSettings),
    "official_beam": (official_beam, OfficialSettings),
}
"""Every algorithm: called with (problem id, question, backends, settings, seed, index) it gives a tree."""


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """The settings of the searches that methods are made of; `aggregation` turns step values into a score."""

    sample: SampleSettings = field(default_factory=lambda: SampleSettings(n=16, temperature=1.0))
    mcts: MCTSSettings = field(default_factory=MCTSSettings)
    beam: BeamSettings = field(default_factory=BeamSettings)
    playouts: PlayoutSettings = field(default_factory=PlayoutSettings)
    aggregation: str = "last"


class Task(NamedTuple):
    """One problem and what its seeds are derived from."""

    problem_id: str
    question: str
    seed: int = 0
    tree: int = 0
    """Which of several trees of the problem."""


@dataclass(frozen=True, slots=True)
class Method:
    """`search` makes the tree, `answer` is the rule that reads it."""

    search: Callable[[Task, Backends, SearchSettings], Awaitable[Tree]]
    answer: AnswerRule
    needs_reward: bool = False


def _sample(task: Task, backends: Backends, settings: SearchSettings) -> Awaitable[Tree]:
    return sample(task.problem_id, task.question, backends, settings.sample, task.seed, task.tree)


def _greedy(task: Task, backends: Backends, settings: SearchSettings) -> Awaitable[Tree]:
    return _sample(
        task, backends, replace(settings, sample=replace(settings.sample, n=1, temperature=0.0, temperatures=()))
    )


def _beam(task: Task, backends: Backends, settings: SearchSettings) -> Awaitable[Tree]:
    return beam(task.problem_id, task.question, backends, settings.beam, task.seed, task.tree)


def _dvts(task: Task, backends: Backends, settings: SearchSettings) -> Awaitable[Tree]:
    return _beam(task, backends, replace(settings, beam=replace(settings.beam, subtrees=settings.beam.width)))


def _mcts(task: Task, backends: Backends, settings: SearchSettings) -> Awaitable[Tree]:
    return mcts(task.problem_id, task.question, backends, settings.mcts, task.seed, task.tree)


def _playouts(task: Task, backends: Backends, settings: SearchSettings) -> Awaitable[Tree]:
    return mcts_playouts(task.problem_id, task.question, backends, settings.playouts, task.seed, task.tree)


METHODS: dict[str, Method] = {
    "greedy": Method(_greedy, ANSWER_RULES["majority"]),
    "majority": Method(_sample, ANSWER_RULES["majority"]),
    "best_of_n": Method(_sample, ANSWER_RULES["best_of_n"], needs_reward=True),
    "weighted": Method(_sample, ANSWER_RULES["weighted"], needs_reward=True),
    "beam": Method(_beam, ANSWER_RULES["best_of_n"], needs_reward=True),
    "dvts": Method(_dvts, ANSWER_RULES["best_of_n"], needs_reward=True),
    "mcts": Method(_mcts, ANSWER_RULES["best_terminal"], needs_reward=True),
    "playouts": Method(_playouts, ANSWER_RULES["majority"]),
}


async def search(
    problem_id: str,
    question: str,
    method: str,
    backends: Backends,
    grader: Grader,
    settings: SearchSettings,
    seed: int = 0,
    index: int = 0,
) -> tuple[Tree, Choice | None]:
    """Searches one problem by a method of `METHODS` and chooses the answer; None if the search found none."""
    chosen = METHODS[method]
    tree = await chosen.search(Task(problem_id, question, seed, index), backends, settings)
    return tree, await chosen.answer(tree, grader, settings.aggregation)
