import asyncio
from dataclasses import replace

import pytest

from ponderosa.core import Outcome, PonderosaError, Tree
from ponderosa.search import Backends
from ponderosa.search.beam import BeamSettings, beam
from ponderosa.search.budget import Budget

SETTINGS = BeamSettings(width=3, candidates=3)


def run(backends: Backends, settings: BeamSettings = SETTINGS, seed: int = 0) -> Tree:
    return asyncio.run(beam("p", "What is x?", backends, settings, seed))


def continued(tree: Tree, depth: int) -> list[int]:
    return [i for i, node in enumerate(tree.nodes) if node.expanded and node.depth == depth]


def test_the_candidates_of_highest_value_go_on(test_time: Backends) -> None:
    tree = run(test_time)
    for depth in (1, 2):
        alive = [i for i, node in enumerate(tree.nodes) if node.depth == depth and node.outcome is None]
        kept = continued(tree, depth)
        assert 0 < len(kept) <= SETTINGS.width
        worst = min(tree.nodes[i].value or 0.0 for i in kept)
        assert all((tree.nodes[i].value or 0.0) <= worst for i in alive if i not in kept)


def test_every_beam_ends_with_an_answer(test_time: Backends) -> None:
    tree = run(test_time)
    assert tree.rollouts
    assert len(tree.rollouts) <= SETTINGS.width
    assert all(tree.nodes[end].outcome is Outcome.ANSWERED for end in tree.rollouts)


def test_subtrees_keep_their_own_best(test_time: Backends) -> None:
    tree = run(test_time, replace(SETTINGS, width=4, candidates=4, subtrees=4))
    firsts = continued(tree, 1)
    assert len(firsts) > 1
    assert all(len([c for c in tree.nodes[i].children if tree.nodes[c].expanded]) <= 1 for i in firsts)


def test_trees_do_not_depend_on_timing(test_time: Backends) -> None:
    first, *others = [run(test_time, seed=7) for _ in range(5)]
    assert all(tree == first for tree in others)


def test_it_needs_a_reward_model_and_even_shares(data_making: Backends, test_time: Backends) -> None:
    with pytest.raises(PonderosaError, match="needs a reward model"):
        run(data_making)
    with pytest.raises(PonderosaError, match="evenly"):
        run(test_time, replace(SETTINGS, subtrees=2))


def test_a_budget_ends_it_with_what_it_has(test_time: Backends) -> None:
    tree = run(replace(test_time, budget=Budget(calls=2)))
    assert tree.outcome is Outcome.BUDGET_SPENT
    assert tree.usage.policy_calls <= 2 + SETTINGS.width
    assert len(tree.nodes) > 1


def test_a_judge_says_what_answers_are_worth_and_not_which_steps_are_kept(
    test_time: Backends, data_making: Backends
) -> None:
    alone, judged = run(test_time), run(replace(test_time, judge=data_making.judge))
    assert judged.rollouts == alone.rollouts
    assert [node.value for node in judged.nodes] == [node.value for node in alone.nodes]
    assert all(
        judged.nodes[end].reward == (1.0 if judged.nodes[end].answer == "1" else -1.0) for end in judged.rollouts
    )


def test_subtrees_are_beam_searches_of_their_own(test_time: Backends) -> None:
    """The first is the beam search of a single subtree, whatever the others do; each may find the same answer."""
    alone = run(test_time, replace(SETTINGS, width=1))
    many = run(test_time, replace(SETTINGS, width=6, subtrees=6))
    assert {alone.steps(end) for end in range(len(alone.nodes))} <= {many.steps(end) for end in range(len(many.nodes))}
    assert many.steps(many.rollouts[0]) == alone.steps(alone.rollouts[0])
    assert len(many.rollouts) == 6
    assert many.usage.policy_calls > 3 * alone.usage.policy_calls
