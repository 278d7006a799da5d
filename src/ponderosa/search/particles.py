"""Particle filtering: chains that go on step by step, and are multiplied or dropped as their steps are valued.

Probabilistic inference with a process reward model (Puri et al., arXiv 2502.01618), as a sequential Monte Carlo method
with adaptive resampling (Doucet and Johansen, 2009). A step of value v multiplies its particle's weight by its odds
(1 + v) / (1 - v), so that a step of value 0 says nothing, and one chain may be longer than another.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from ponderosa.core import Outcome, PonderosaError, Tree, derive_seed
from ponderosa.search.budget import ending
from ponderosa.search.expansion import ALIVE_OR_ANSWERED, Backends, back_up, judge_ends, score_last
from ponderosa.search.sampling import chain_like, go_on

_LARGEST = 0.9999
"""Values are kept off -1 and 1, whose odds have no logarithm."""


@dataclass(frozen=True, slots=True)
class ParticleSettings:
    """`particles` chains. Odds are raised to 1 / `softness`: what is small trusts the reward model more.

    All are drawn anew, in proportion to their weights, when so few carry the weight that their effective number falls
    below the share `resample` of all.
    """

    particles: int = 8
    softness: float = 1.0
    resample: float = 0.5
    temperature: float = 0.8
    top_p: float = 1.0
    max_depth: int = 40
    code_errors: int = 1
    max_tokens: int = 2048


async def particles(
    problem_id: str, question: str, backends: Backends, settings: ParticleSettings, seed: int = 0, index: int = 0
) -> Tree:
    """Searches one problem; the ends of the particles, each counted, are the rollouts. What their weights have become
    since they were drawn anew for the last time is left to the rule that reads the answer.

    Raises `PonderosaError` without a reward model.
    """
    if backends.reward is None:
        raise PonderosaError("particle filtering needs a reward model: it values every step")
    tree = Tree(problem_id, question, seed=seed, index=index, method="particles")
    chain = chain_like(settings, settings.particles)
    ends = [0] * settings.particles
    weights = [0.0] * settings.particles  # logarithms
    async with ending(tree, backends.budget):
        for step in range(settings.max_depth):
            standing: dict[int, list[int]] = {}
            for particle, node in enumerate(ends):
                if not tree.nodes[node].terminal:
                    standing.setdefault(node, []).append(particle)
            if not standing:
                break
            await go_on(tree, standing, ends, backends, chain, f"step {step}", backends.format.step_stops)
            moved = [particle for here in standing.values() for particle in here]
            new = sorted({ends[particle] for particle in moved if tree.nodes[ends[particle]].value is None})
            await score_last(tree, [n for n in new if tree.nodes[n].outcome in ALIVE_OR_ANSWERED], backends.reward)
            for particle in moved:
                weights[particle] += _log_odds(tree, ends[particle]) / settings.softness
            if effective(weights) < settings.resample * len(ends):
                rng = random.Random(derive_seed(seed, problem_id, index, f"resampling {step}"))
                ends = [ends[particle] for particle in resampled(weights, rng)]
                weights = [0.0] * len(ends)
    tree.rollouts = ends
    await judge_ends(tree, ends, backends)
    for end in ends:
        back_up(tree, end, tree.nodes[end].reward or 0.0)
    return tree


def _log_odds(tree: Tree, node: int) -> float:
    """Of the step's value; of one that failed minus infinity."""
    record = tree.nodes[node]
    if record.outcome not in (None, Outcome.ANSWERED) or record.value is None:
        return -math.inf
    return 2 * math.atanh(max(-_LARGEST, min(_LARGEST, record.value)))


def effective(weights: Sequence[float]) -> float:
    """The effective number of particles, (sum w)^2 / sum w^2, of logarithmic weights; all of them if none has any."""
    shares = _shares(weights)
    return 1 / math.fsum(share**2 for share in shares)


def resampled(weights: Sequence[float], rng: random.Random) -> list[int]:
    """As many particles as there are weights, in proportion to them: systematic resampling, in order."""
    shares, n = _shares(weights), len(weights)
    offset, passed = rng.random(), 0.0
    chosen: list[int] = []
    for particle, share in enumerate(shares):
        passed += n * share
        while len(chosen) < n and offset + len(chosen) < passed:
            chosen.append(particle)
    heaviest = max(range(n), key=shares.__getitem__)
    return chosen + [heaviest] * (n - len(chosen))  # what rounding left out


def _shares(weights: Sequence[float]) -> list[float]:
    most = max(weights)
    if most == -math.inf:
        return [1 / len(weights)] * len(weights)
    parts = [math.exp(weight - most) for weight in weights]
    total = math.fsum(parts)
    return [part / total for part in parts]
