"""Every method in one visible dictionary: how it searches and how its answer is read. One of a user's own goes by its
import path."""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, NamedTuple, TypeVar

from ponderosa.core import PYTHON, Outcome, PonderosaError, StepFormat, Tree, Usage, find_attribute
from ponderosa.search.answer import ANSWER_RULES, Aggregation, Choice, best_terminal, tree_votes
from ponderosa.search.beam import BeamSettings, beam
from ponderosa.search.beam import check as check_beam
from ponderosa.search.concurrent import together
from ponderosa.search.expansion import Backends
from ponderosa.search.long_chain import LongChainSettings, long_chain
from ponderosa.search.long_chain import check as check_long_chain
from ponderosa.search.mcts import MCTSSettings, mcts
from ponderosa.search.mutual import MutualSettings, mutual
from ponderosa.search.mutual import check as check_mutual
from ponderosa.search.official import OfficialSettings, official_beam, official_mcts
from ponderosa.search.official import check as check_official
from ponderosa.search.particles import ParticleSettings, particles
from ponderosa.search.playouts import PlayoutSettings, mcts_playouts
from ponderosa.search.revision import RevisionSettings, revision
from ponderosa.search.rollouts import RolloutSettings, rollouts
from ponderosa.search.sampling import SampleSettings, sample

POOLED = "pooled"
"""Searches many problems together, see `sample_pooled`; one alone has nobody to share with."""


class Search(NamedTuple):
    """An algorithm: `run`, called with (problem id, question, backends, settings, seed, index), gives a tree.

    `settings` are of that dataclass. `needs` names the backends without which it cannot be, and `check` raises
    `PonderosaError` for settings or a format that it cannot work with. One that is `judged` makes data only: it learns
    from the known answers. One that `continues` may be called with another tree of the problem as `given`, and goes on
    from that.
    """

    run: Callable[..., Coroutine[Any, Any, Tree]]
    settings: type[Any]
    needs: tuple[str, ...] = ()
    check: Callable[[Any, StepFormat], object] = lambda settings, format: None
    judged: bool = False
    continues: bool = False


SEARCHES: dict[str, Search] = {
    "sample": Search(sample, SampleSettings),
    POOLED: Search(sample, SampleSettings),
    "mcts": Search(mcts, MCTSSettings),
    "beam": Search(beam, BeamSettings, ("reward",), check_beam),
    "mcts_playouts": Search(mcts_playouts, PlayoutSettings),
    "particles": Search(particles, ParticleSettings, ("reward",)),
    "mutual": Search(mutual, MutualSettings, check=check_mutual),
    "revision": Search(revision, RevisionSettings),
    "long_chain": Search(long_chain, LongChainSettings, check=check_long_chain),
    "rollouts": Search(rollouts, RolloutSettings, judged=True, continues=True),
    "official_mcts": Search(official_mcts, OfficialSettings, check=check_official),
    "official_beam": Search(official_beam, OfficialSettings, ("reward",), check_official),
}
"""Every algorithm by name."""


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """The settings of the searches that methods are made of; `aggregation` turns step values into a score."""

    sample: SampleSettings = field(default_factory=lambda: SampleSettings(n=16, temperature=1.0))
    mcts: MCTSSettings = field(default_factory=MCTSSettings)
    beam: BeamSettings = field(default_factory=BeamSettings)
    playouts: PlayoutSettings = field(default_factory=PlayoutSettings)
    particles: ParticleSettings = field(default_factory=ParticleSettings)
    mutual: MutualSettings = field(default_factory=MutualSettings)
    revision: RevisionSettings = field(default_factory=RevisionSettings)
    long_chain: LongChainSettings = field(default_factory=LongChainSettings)
    trees: int = 4
    batch: int = 2
    """Samples that an adaptive vote draws at a time."""
    aggregation: Aggregation = "last"

    def aggregated(self, how: Aggregation) -> "SearchSettings":
        """The same, with `how` in all searches that aggregate step values."""
        parts = {part.name: getattr(self, part.name) for part in fields(self)}
        changed = {name: replace(part, aggregation=how) for name, part in parts.items() if hasattr(part, "aggregation")}
        return replace(self, **changed, aggregation=how)


@dataclass(frozen=True, slots=True)
class Method:
    """`search` names an algorithm (see `find_search`), and `settings` gives its settings at a budget, as given without
    one; None is a budget that is too small for it.

    `rules` (of `ANSWER_RULES`) may read the answer, the first where nothing says otherwise. `needs` names the backends
    without which it cannot be.
    """

    search: str
    settings: Callable[[SearchSettings, int | None], Any]
    rules: tuple[str, ...] = ("majority",)
    needs: tuple[str, ...] = ()
    samples: bool = False
    """It only reads samples, which methods and budgets can share."""
    trees: bool = False
    """The budget is a number of trees, which vote."""
    nested: Callable[[SearchSettings], bool] = lambda settings: False
    """Does a search hold those of all smaller budgets (see `first_rollouts`)?"""

    def __str__(self) -> str:
        return f"a method of {self.search}"


def check_needs(name: str, needs: Iterable[str], has: Callable[[str], object]) -> None:
    """Raises `PonderosaError`, which says what to do, if `has` knows nothing of a backend that `name` needs."""
    for need in needs:
        if not has(need):
            what = {"reward": "reward model", "discriminator": "discriminator, a second policy"}[need]
            raise PonderosaError(f"{name} needs a {what}: name one with --{need}")


def _sample(settings: SearchSettings, budget: int | None) -> SampleSettings:
    return replace(settings.sample, n=budget or settings.sample.n, batch=None)


def _greedy(settings: SearchSettings, budget: int | None) -> SampleSettings | None:
    return None if budget not in (None, 1) else replace(settings.sample, n=1, temperature=0.0, temperatures=())


def _adaptive(settings: SearchSettings, budget: int | None) -> SampleSettings:
    return replace(_sample(settings, budget), batch=settings.batch)


def _beam(settings: SearchSettings, budget: int | None) -> BeamSettings | None:
    """A budget is the number of steps sampled at a time."""
    width = settings.beam.width if budget is None else budget // settings.beam.candidates
    return replace(settings.beam, width=width, subtrees=1) if width else None


def _dvts(settings: SearchSettings, budget: int | None) -> BeamSettings | None:
    found = _beam(settings, budget)
    return found and replace(found, subtrees=found.width)


METHODS: dict[str, Method] = {
    "greedy": Method("sample", _greedy),
    "majority": Method("sample", _sample, samples=True),
    "best_of_n": Method("sample", _sample, ("best_of_n",), ("reward",), samples=True),
    "weighted": Method("sample", _sample, ("weighted",), ("reward",), samples=True),
    "adaptive": Method("sample", _adaptive),
    "pooled": Method(POOLED, _adaptive),
    "beam": Method("beam", _beam, ("best_of_n", "weighted", "majority"), ("reward",)),
    "dvts": Method("beam", _dvts, ("best_of_n", "weighted", "majority"), ("reward",)),
    "particles": Method(
        "particles",
        lambda settings, budget: replace(settings.particles, particles=budget or settings.particles.particles),
        ("majority", "weighted", "best_of_n"),
        ("reward",),
    ),
    "playouts": Method(
        "mcts_playouts",
        lambda settings, budget: replace(settings.playouts, rollouts=budget or settings.playouts.rollouts),
        ("weighted", "majority", "best_of_n"),
        ("reward",),
    ),
    "mcts": Method(
        "mcts",
        lambda settings, budget: replace(settings.mcts, rollouts=budget or settings.mcts.rollouts),
        ("best_terminal", "weighted", "majority", "best_of_n"),
        ("reward",),
        nested=lambda settings: settings.mcts.parallel == 1 and settings.mcts.confidence is None,
    ),
    "trees": Method("mcts", lambda settings, budget: settings.mcts, ("majority", "weighted"), ("reward",), trees=True),
    "mutual": Method(
        "mutual",
        lambda settings, budget: replace(settings.mutual, rollouts=budget or settings.mutual.rollouts),
        ("mutual", "majority"),
        ("discriminator",),
    ),
    "revision": Method(
        "revision",
        lambda settings, budget: replace(settings.revision, attempts=budget or settings.revision.attempts),
        ("final", "majority"),
    ),
    "long_chain": Method(
        "long_chain",
        lambda settings, budget: replace(
            settings.long_chain, waits=settings.long_chain.waits if budget is None else budget - 1
        ),
        ("final",),
    ),
}


N = TypeVar("N", Search, Method)


def find_search(name: str) -> Search:
    """An algorithm of `SEARCHES`, or a `Search` at `python:package.module:attribute`. Raises `PonderosaError`."""
    found = _find(name, "search", Search, SEARCHES)
    if not is_dataclass(found.settings):
        raise PonderosaError(f"{name}: the settings of a search are a dataclass")
    return found


def find_method(name: str | Method) -> Method:
    """A method of `METHODS`, a `Method` at `python:package.module:attribute`, or `name` itself if it is one.

    Raises `PonderosaError`.
    """
    found = name if isinstance(name, Method) else _find(name, "method", Method, METHODS)
    find_search(found.search)
    if unknown := [rule for rule in found.rules if rule not in ANSWER_RULES]:
        raise PonderosaError(f"{name}: there is no answer rule {unknown[0]}: choose of {', '.join(ANSWER_RULES)}")
    return found


def _find(name: str, what: str, kind: type[N], known: Mapping[str, N]) -> N:
    if not name.startswith(PYTHON):
        if name not in known:
            raise PonderosaError(f"there is no {what} {name}: choose one of {', '.join(known)}")
        return known[name]
    found, options = find_attribute(name)
    if not isinstance(found, kind):
        raise PonderosaError(f"{name} is a {type(found).__name__}: a ponderosa.search.{kind.__name__} is wanted")
    if options:
        raise PonderosaError(f"{name}: a {what} takes no options; settings are given with --set")
    return found


async def search(
    problem_id: str,
    question: str,
    method: str | Method,
    backends: Backends,
    settings: SearchSettings,
    seed: int = 0,
    index: int = 0,
) -> tuple[Tree, Choice | None]:
    """Searches one problem by a method (see `find_method`) and chooses the answer; None if the search found none. Of
    several trees the one with the answer comes back, with the cost of all.

    Raises `PonderosaError` where the method needs a backend that is not there, or cannot work with the format.
    """
    chosen = find_method(method)
    of, made = find_search(chosen.search), chosen.settings(settings, None)
    check_needs(str(method), chosen.needs, lambda need: getattr(backends, need))
    of.check(made, backends.format)
    if not chosen.trees:
        tree = await of.run(problem_id, question, backends, made, seed, index)
        return tree, await ANSWER_RULES[chosen.rules[0]](tree, backends.equivalent, settings.aggregation)
    trees: list[Tree] = await together(
        of.run(problem_id, question, backends, made, seed, index + i) for i in range(settings.trees)
    )
    if failed := [tree for tree in trees if tree.outcome is Outcome.BACKEND_FAILED]:
        return failed[0], None
    usage = sum((tree.usage for tree in trees), Usage())
    winner = (await tree_votes(trees, backends.equivalent)).majority
    for tree in trees:
        choice = await best_terminal(tree, backends.equivalent)
        if choice is not None and choice.answer == winner:
            return replace(tree, usage=usage), choice
    return replace(trees[0], usage=usage), None
