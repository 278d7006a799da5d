"""Budgets, and several rollouts of one tree at a time."""

import asyncio
import time
from dataclasses import replace

import pytest

from ponderosa.core import Completion, Outcome, Prompt, Sampling, Tree
from ponderosa.search import (
    SEARCHES,
    Backends,
    MCTSSettings,
    RevisionSettings,
    SampleSettings,
    mcts,
    sample,
)
from ponderosa.search.budget import Budget
from ponderosa.search.concurrent import together
from ponderosa.search.selection import puct, uct

SETTINGS = MCTSSettings(candidates=5, rollouts=24)


def run(backends: Backends, settings: MCTSSettings = SETTINGS, seed: int = 0) -> Tree:
    return asyncio.run(mcts("p", "What is x?", backends, settings, seed))


@pytest.mark.parametrize("parallel", [2, 8])
def test_parallel_rollouts_give_one_tree_whatever_the_timing(test_time: Backends, parallel: int) -> None:
    settings = replace(SETTINGS, parallel=parallel)
    first, *others = [run(test_time, settings, 3) for _ in range(5)]
    assert all(tree == first for tree in others)


def test_parallel_rollouts_spread(test_time: Backends) -> None:
    tree = run(test_time, replace(SETTINGS, rollouts=4, parallel=4))
    assert len({tree.path(end)[0] for end in tree.rollouts}) > 1


def test_no_virtual_loss_is_left(data_making: Backends) -> None:
    tree = run(data_making, replace(SETTINGS, parallel=8))
    root = tree.nodes[0]
    rewards = [tree.nodes[i].reward for i in tree.answered()]
    assert root.visits == len(rewards)
    assert root.total == sum(reward or 0.0 for reward in rewards)


def test_nodes_are_numbered_breadth_first(test_time: Backends) -> None:
    tree = run(test_time, replace(SETTINGS, parallel=8))
    depths = [node.depth for node in tree.nodes]
    assert depths == sorted(depths)
    assert all(node.parent < i for i, node in enumerate(tree.nodes))
    assert all(tree.nodes[c].parent == i for i, node in enumerate(tree.nodes) for c in node.children)


def test_a_rollout_on_its_way_counts_as_a_lost_visit() -> None:
    tree = Tree("p", "?")
    child = tree.add(0, "a")
    tree.nodes[child].visits, tree.nodes[child].total, tree.nodes[0].visits = 3, 3.0, 4
    with_one = Tree("p", "?")
    with_one.add(0, "a")
    with_one.nodes[1].visits, with_one.nodes[1].total, with_one.nodes[0].visits = 4, 2.0, 5
    assert uct(tree, child, 2.0, {child: 1, 0: 1}) == pytest.approx(uct(with_one, 1, 2.0))


def test_puct_prefers_what_the_policy_prefers() -> None:
    tree = Tree("p", "?")
    for prior in (-1.0, -3.0):
        tree.add(0, str(prior), prior=prior)
    tree.nodes[0].visits = 4
    assert puct(tree, 1, 2.0) > puct(tree, 2, 2.0) > 0
    tree.nodes[2].prior = None  # not known for all: all are alike
    assert puct(tree, 1, 2.0) == puct(tree, 2, 2.0) == pytest.approx(2.0 * 0.5 * 2.0)


@pytest.mark.parametrize(
    ("budget", "outcome"),
    [
        (Budget(tokens=60), Outcome.BUDGET_SPENT),
        (Budget(calls=3), Outcome.BUDGET_SPENT),
        (Budget(seconds=0.02), Outcome.TIMED_OUT),
    ],
)
def test_a_budget_ends_a_search_with_the_tree_it_has(data_making: Backends, budget: Budget, outcome: Outcome) -> None:
    started = time.monotonic()
    tree = run(replace(data_making, budget=budget), replace(SETTINGS, rollouts=10_000, candidates=50))
    assert tree.outcome is outcome
    assert time.monotonic() - started < 5
    assert tree.nodes[0].visits == len([i for i in tree.answered() if tree.nodes[i].visits])
    if budget.calls is not None:
        assert tree.usage.policy_calls == budget.calls


def test_a_budget_ends_samples_too(data_making: Backends) -> None:
    backends = replace(data_making, budget=Budget(calls=1))
    tree = asyncio.run(sample("p", "What is x?", backends, SampleSettings(n=4, temperature=1.0)))
    assert tree.outcome is Outcome.BUDGET_SPENT
    assert len(tree.nodes) > 1


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("sample", SampleSettings(n=4, temperature=1.0, batch=1)),
        ("revision", RevisionSettings(attempts=3)),
    ],
)
def test_what_a_search_found_in_its_time_is_judged(
    data_making: Backends, test_time: Backends, name: str, settings: object
) -> None:
    """For data: the answers of a search that was cut short are right or wrong all the same."""

    class Stuck:
        """Answers what it did while there was time, and then not."""

        def __init__(self, calls: int) -> None:
            self.left = calls

        async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
            self.left -= 1
            if self.left < 0:
                await asyncio.sleep(60)
            return await data_making.policy.propose(prompt, n, sampling, seed)

    calls = 0
    while not list(
        (tree := _cut(name, settings, replace(data_making, reward=test_time.reward, policy=Stuck(calls)))).answered()
    ):
        calls += 1
    assert tree.outcome is Outcome.TIMED_OUT
    judged = {end: tree.nodes[end].reward for end in tree.answered()}
    assert all(reward == (1.0 if tree.nodes[end].answer == "1" else -1.0) for end, reward in judged.items())


def _cut(name: str, settings: object, backends: Backends) -> Tree:
    backends = replace(backends, budget=Budget(seconds=0.1))
    return asyncio.run(SEARCHES[name].run("p", "What is x?", backends, settings))


@pytest.mark.parametrize("parallel", [1, 8])
def test_nothing_goes_on_in_a_tree_that_was_given_away(test_time: Backends, parallel: int) -> None:
    async def search() -> tuple[str, str]:
        backends = replace(test_time, budget=Budget(calls=6))
        tree = await mcts("p", "What is x?", backends, replace(SETTINGS, parallel=parallel))
        before = str(tree.to_json())
        await asyncio.sleep(0.05)  # each request takes at most 2 ms
        assert tree.outcome is Outcome.BUDGET_SPENT
        return before, str(tree.to_json())

    before, after = asyncio.run(search())
    assert before == after


def test_parts_of_a_search_end_before_the_exception_of_one_is_raised() -> None:
    ended = []

    async def slow() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            await asyncio.sleep(0.01)
            ended.append("slow")

    async def failing() -> None:
        await asyncio.sleep(0)
        raise ValueError("this part")

    async def both() -> None:
        with pytest.raises(ValueError, match="this part"):
            await together([slow(), failing()])
        assert ended == ["slow"]

    asyncio.run(both())
