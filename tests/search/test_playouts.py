import asyncio
from dataclasses import replace

import pytest

from ponderosa.core import Outcome, Scored, Tree
from ponderosa.search import Backends
from ponderosa.search.budget import Budget
from ponderosa.search.playouts import PlayoutSettings, mcts_playouts

SETTINGS = PlayoutSettings(candidates=4, rollouts=12)


def run(backends: Backends, settings: PlayoutSettings = SETTINGS, seed: int = 0) -> Tree:
    return asyncio.run(mcts_playouts("p", "What is x?", backends, settings, seed))


def test_every_rollout_ends_with_a_simulation_that_is_backed_up(data_making: Backends) -> None:
    tree = run(data_making)
    assert len(tree.rollouts) == SETTINGS.rollouts
    assert all(tree.nodes[end].terminal for end in tree.rollouts)
    assert tree.nodes[0].visits == SETTINGS.rollouts
    brought = [tree.nodes[end].reward if tree.nodes[end].outcome is Outcome.ANSWERED else -1.0 for end in tree.rollouts]
    assert tree.nodes[0].total == pytest.approx(sum(brought))


def test_a_step_is_tried_before_it_is_expanded(data_making: Backends) -> None:
    tree = run(data_making, replace(SETTINGS, rollouts=1))
    (child,) = [i for i in tree.nodes[0].children if tree.nodes[i].visits]
    assert not tree.nodes[child].expanded
    assert tree.path(tree.rollouts[0])[0] == child


def test_siblings_are_distinct_also_from_simulated_steps(data_making: Backends) -> None:
    tree = run(data_making, replace(SETTINGS, rollouts=30))
    for node in tree.nodes:
        texts = [tree.nodes[child].text for child in node.children]
        assert len(set(texts)) == len(texts)


def test_without_a_judge_the_reward_model_judges_by_a_stated_mix(test_time: Backends) -> None:
    for outcome in (0.0, 0.3, 1.0):
        tree = run(test_time, replace(SETTINGS, rollouts=1, outcome=outcome))
        values = [tree.nodes[i].value for i in tree.path(tree.rollouts[0])]
        known = [value for value in values if value is not None]
        assert len(known) == len(values)
        assert tree.nodes[0].total == pytest.approx(outcome * known[-1] + (1 - outcome) * min(known))


def test_trees_do_not_depend_on_timing(test_time: Backends) -> None:
    first, *others = [run(test_time, seed=5) for _ in range(4)]
    assert all(tree == first for tree in others)


def test_it_ends_when_nothing_is_left(data_making: Backends) -> None:
    tree = run(data_making, replace(SETTINGS, rollouts=100_000))
    assert tree.outcome is None
    assert len(tree.rollouts) < 100_000


def test_a_budget_ends_it(data_making: Backends) -> None:
    tree = run(replace(data_making, budget=Budget(calls=5)))
    assert tree.outcome is Outcome.BUDGET_SPENT
    assert tree.usage.policy_calls == 5


def test_an_outcome_reward_model_judges_the_whole_and_another_the_steps(test_time: Backends) -> None:
    class Content:
        async def score(self, paths, *, last_only=False):
            assert last_only
            return [Scored((0.75,), tokens=5) for _ in paths]

    of = replace(test_time, outcome_reward=Content())
    whole = run(of, replace(SETTINGS, outcome=1.0))
    assert {whole.nodes[end].reward for end in whole.answered()} - {None} == {0.75}
    mixed, alone = (run(b, replace(SETTINGS, outcome=0.5, aggregation="min")) for b in (of, test_time))
    end = next(end for end in mixed.rollouts if mixed.nodes[end].outcome is Outcome.ANSWERED)
    least = min(value for i in mixed.path(end) if (value := mixed.nodes[i].value) is not None)
    assert mixed.nodes[end].reward == pytest.approx(0.5 * 0.75 + 0.5 * least)
    assert mixed.usage.reward_calls > alone.usage.reward_calls
