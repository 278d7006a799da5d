"""Adaptive votes on many problems that share their samples: what settled ones save is spent on those that are not.

Each problem may have `n` samples. Where the vote is settled with fewer, the rest goes to the problems whose votes are
not, in equal parts and in order, so that which problem gets what does not depend on timing.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from ponderosa.core import Problem, Tree
from ponderosa.search.adaptive import confidence
from ponderosa.search.budget import ending
from ponderosa.search.concurrent import search_all
from ponderosa.search.expansion import Backends
from ponderosa.search.sampling import SampleSettings, draw, value, votes

MOST = 8
"""Times its own samples that a problem may have: a vote that never settles shall not eat all that was saved."""


async def sample_pooled(
    problems: Sequence[Problem],
    backends: Callable[[Problem], Backends],
    settings: SampleSettings,
    concurrency: int,
    seed: int = 0,
    index: int = 0,
) -> list[Tree]:
    """The trees of `problems`, in order; together they have at most `settings.n` samples for each."""
    batch = settings.batch or 1
    drawing = replace(settings, batch=batch, n=MOST * settings.n)
    trees = [Tree(p.id, p.question, seed=seed, index=index, method="sample") for p in problems]
    allowed = [settings.n] * len(problems)
    unsettled = list(range(len(problems)))
    saved = 0

    async def draw_more(i: int) -> int:
        own = backends(problems[i])
        async with ending(trees[i], own.budget):
            await draw(trees[i], own, drawing, allowed[i])
        return i

    async def finish(i: int) -> None:
        await value(trees[i], backends(problems[i]))

    while unsettled:
        granted = [i async for i in search_all(unsettled, draw_more, concurrency)]
        saved += sum(allowed[i] - len(trees[i].rollouts) for i in granted)
        for i in granted:
            allowed[i] = len(trees[i].rollouts)
        unsettled = [i for i in unsettled if _wants_more(trees[i], drawing)]
        share = max(batch, saved // max(1, len(unsettled)))
        for i in unsettled:
            more = min(share, saved, drawing.n - allowed[i])
            allowed[i] += more
            saved -= more
        unsettled = [i for i in unsettled if allowed[i] > len(trees[i].rollouts)]
    async for _ in search_all(range(len(problems)), finish, concurrency):
        pass
    return trees


def _wants_more(tree: Tree, settings: SampleSettings) -> bool:
    unsure = confidence(votes(tree)) < settings.confidence
    return tree.outcome is None and unsure and len(tree.rollouts) < settings.n
