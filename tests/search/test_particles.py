import asyncio
import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core import Outcome, PonderosaError, Tree
from ponderosa.search import Backends, ParticleSettings, particles
from ponderosa.search.particles import effective, resampled


def run(of: Backends, seed: int = 0, **settings: float) -> Tree:
    return asyncio.run(particles("p", "What is x?", of, ParticleSettings(particles=16, **settings), seed))


def mean_answer(trees: list[Tree]) -> float:
    found = [int(answer) for tree in trees for end in tree.rollouts if (answer := tree.nodes[end].answer)]
    return sum(found) / len(found)


def test_every_particle_ends_and_counts(test_time: Backends) -> None:
    tree = run(test_time)
    assert len(tree.rollouts) == tree.nodes[0].visits == 16
    assert all(tree.nodes[end].terminal for end in tree.rollouts)


def test_particles_gather_where_steps_are_valued(test_time: Backends) -> None:
    """The reward model likes large digits; the more it is trusted, the larger the answers."""
    trusted, doubted = ([run(test_time, seed, softness=s) for seed in range(20)] for s in (0.5, 1e9))
    assert mean_answer(doubted) == pytest.approx(1.5, abs=0.3)
    assert mean_answer(trusted) > mean_answer(doubted) + 0.5


def test_a_step_that_fails_is_left_behind(test_time: Backends) -> None:
    for seed in range(10):
        assert all(run(test_time, seed).nodes[end].outcome is Outcome.ANSWERED for end in run(test_time, seed).rollouts)


def test_trees_do_not_depend_on_timing(test_time: Backends) -> None:
    first, *others = [run(test_time, 7) for _ in range(4)]
    assert all(tree == first for tree in others)


def test_it_needs_a_reward_model(data_making: Backends) -> None:
    with pytest.raises(PonderosaError, match="needs a reward model"):
        run(data_making)


WEIGHTS = st.lists(st.one_of(st.floats(-50, 50), st.just(-math.inf)), min_size=1, max_size=20)


@given(WEIGHTS, st.integers(0, 2**32))
def test_systematic_resampling_gives_each_its_share_to_within_one(weights: list[float], seed: int) -> None:
    chosen = resampled(weights, random.Random(seed))
    assert len(chosen) == len(weights)
    if max(weights) > -math.inf:
        total = sum(math.exp(w - max(weights)) for w in weights)
        counts = Counter(chosen)
        for particle, weight in enumerate(weights):
            expected = len(weights) * math.exp(weight - max(weights)) / total
            assert abs(counts[particle] - expected) < 1 + 1e-6


@given(WEIGHTS)
def test_the_effective_number_is_between_one_and_all(weights: list[float]) -> None:
    assert 1 - 1e-9 <= effective(weights) <= len(weights) + 1e-9


def test_the_effective_number_of_equal_weights_is_their_number() -> None:
    assert effective([0.3, 0.3, 0.3, -math.inf]) == pytest.approx(3)
