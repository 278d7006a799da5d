import asyncio
import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core import Tree
from ponderosa.search import Backends, MCTSSettings, SampleSettings, mcts, sample
from ponderosa.search.adaptive import confidence, settled

VOTES = st.dictionaries(st.text(max_size=2), st.integers(0, 20), max_size=5)


def test_confidence_is_that_of_the_beta_posterior() -> None:
    draw = random.Random(0)
    for first, second in ((3, 0), (5, 2), (4, 4)):
        above = sum(draw.betavariate(first + 1, second + 1) > 0.5 for _ in range(100_000)) / 100_000
        assert confidence({"a": first, "b": second}) == pytest.approx(above, abs=0.006)
    assert confidence({}) == 0.5


@given(VOTES, st.integers(0, 30), st.floats(0.5, 1.0))
def test_what_cannot_change_is_settled(votes: dict[str, int], left: int, threshold: float) -> None:
    ranked = sorted([*votes.values(), 0, 0], reverse=True)
    if ranked[0] > ranked[1] + left:
        assert settled(votes, left, threshold)
    assert not settled({}, left + 1, threshold)


@given(VOTES)
def test_a_further_vote_for_the_leader_makes_it_surer(votes: dict[str, int]) -> None:
    if votes and max(votes.values()) > 0:
        leader = max(votes, key=lambda answer: votes[answer])
        assert confidence(votes | {leader: votes[leader] + 1}) >= confidence(votes)


def test_samples_end_when_the_vote_is_settled(data_making: Backends) -> None:
    settings = SampleSettings(n=64, temperature=1.0, batch=4, confidence=0.75)
    tree = asyncio.run(sample("p", "What is x?", data_making, settings))
    assert 4 <= len(tree.rollouts) < 64
    assert len(tree.rollouts) % 4 == 0

    def votes(ends: list[int]) -> Counter[str]:
        return Counter(answer for end in ends if (answer := tree.nodes[end].answer) is not None)

    drawn = len(tree.rollouts)
    assert settled(votes(tree.rollouts), 64 - drawn, 0.75)
    assert not settled(votes(tree.rollouts[:-4]), 64 - drawn + 4, 0.75)


def test_batches_are_drawn_anew(data_making: Backends) -> None:
    settings = SampleSettings(n=40, temperature=1.0, batch=10, confidence=1.0)
    tree = asyncio.run(sample("p", "What is x?", data_making, settings))
    firsts = [tuple(tree.nodes[end].text for end in tree.rollouts[i : i + 10]) for i in range(0, 40, 10)]
    assert len(set(firsts)) > 1


def test_without_batches_all_are_drawn(data_making: Backends) -> None:
    tree = asyncio.run(sample("p", "?", data_making, replace(SampleSettings(temperature=1.0), n=12)))
    assert len(tree.rollouts) == 12


def test_a_tree_ends_when_the_vote_of_its_terminals_is_settled(data_making: Backends) -> None:
    async def search(sure: float | None) -> Tree:
        settings = MCTSSettings(candidates=5, rollouts=200, confidence=sure)
        return await mcts("p", "What is x?", data_making, settings)

    whole, sure = asyncio.run(search(None)), asyncio.run(search(0.6))
    assert len(sure.rollouts) < len(whole.rollouts)
    votes = Counter(sure.nodes[end].answer for end in sure.answered())
    assert confidence(votes) >= 0.6
