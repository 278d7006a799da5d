import asyncio
import math
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ponderosa.core import Outcome, Prompt, RefusedError, Sampling, Tree
from ponderosa.search import Backends, MCTSSettings, first_rollouts, mcts, search_all, uct

SETTINGS = MCTSSettings(candidates=4, rollouts=8)


def run(backends: Backends, settings: MCTSSettings = SETTINGS, problem: str = "p", **more: int) -> Tree:
    return asyncio.run(mcts(problem, "What is x?", backends, settings, **more))


def test_answers_are_judged_and_backed_up_to_the_root(data_making: Backends) -> None:
    tree = run(data_making)
    ends = list(tree.answered())
    assert ends
    assert all(tree.nodes[end].reward == (1.0 if tree.nodes[end].answer == "1" else -1.0) for end in ends)
    for index, node in enumerate(tree.nodes):
        below = [end for end in ends if index in (0, *tree.path(end))]
        if node.outcome in (None, Outcome.ANSWERED):
            assert node.visits == len(below)
            assert node.total == sum(tree.nodes[end].reward or 0.0 for end in below)


def test_invalid_terminals_get_minus_one_on_their_own_node_only(data_making: Backends) -> None:
    tree = run(data_making)
    failed = [node for node in tree.nodes if node.outcome is Outcome.CODE_ERROR]
    assert failed
    assert all((node.visits, node.total, node.error) == (1, -1.0, "NameError: boom") for node in failed)
    assert not any(node.children for node in failed)


def test_siblings_are_distinct(data_making: Backends) -> None:
    tree = run(data_making)
    for node in tree.nodes:
        texts = [tree.nodes[child].text for child in node.children]
        assert len(set(texts)) == len(texts)


def test_a_program_that_ended_shows_its_output(data_making: Backends) -> None:
    tree = run(data_making)
    ended = [node.text for node in tree.nodes if "<end_of_code>" in node.text]
    assert ended
    assert all(text.endswith("<end_of_output>") for text in ended)


def test_with_a_reward_model_a_new_step_starts_with_its_value(test_time: Backends) -> None:
    tree = run(test_time, replace(SETTINGS, rollouts=2))
    leaves = [node for node in tree.nodes[1:] if node.outcome is None and not node.expanded]
    assert leaves
    assert all((node.visits, node.total) == (1, node.value) for node in leaves)


def test_at_test_time_a_terminal_brings_the_reward_models_value(test_time: Backends) -> None:
    tree = run(test_time)
    ends = [tree.nodes[end] for end in tree.answered()]
    assert ends
    assert all(end.reward == end.value is not None for end in ends)


def test_uct_is_q_plus_c_times_the_root_of_log_parent_visits_over_visits() -> None:
    tree = Tree("p", "q")
    child, unvisited = tree.add(0, "a"), tree.add(0, "b")
    tree.nodes[0].visits = 10
    tree.nodes[child].visits, tree.nodes[child].total = 4, 2.0
    assert uct(tree, child, 2.0) == pytest.approx(0.5 + 2 * math.sqrt(math.log(10) / 4))
    assert uct(tree, unvisited, 2.0) == math.inf


def test_a_path_that_is_too_long_ends(data_making: Backends) -> None:
    tree = run(data_making, replace(SETTINGS, max_depth=2))
    deepest = [node for node in tree.nodes if node.depth == 2 and not node.error]
    assert deepest
    assert all(node.outcome is Outcome.TOO_DEEP for node in deepest)
    assert not list(tree.answered())


def test_a_search_ends_when_nothing_is_left_to_explore(data_making: Backends) -> None:
    tree = run(data_making, replace(SETTINGS, rollouts=10_000))
    assert len(tree.rollouts) < 10_000
    assert all(node.expanded or node.terminal for node in tree.nodes)


def test_trees_of_one_problem_differ_by_index_and_seed(data_making: Backends) -> None:
    first = run(data_making)
    assert run(data_making) == first
    assert run(data_making, index=1).nodes != first.nodes
    assert run(data_making, seed=1).nodes != first.nodes


def test_a_backend_that_fails_ends_the_search_with_what_it_has(data_making: Backends) -> None:
    class Failing:
        calls = 0

        async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list:
            self.calls += 1
            if self.calls > 3:
                raise RefusedError("the server is gone")
            return await data_making.policy.propose(prompt, n, sampling, seed)

    tree = run(replace(data_making, policy=Failing()))
    assert tree.outcome is Outcome.BACKEND_FAILED
    assert tree.nodes[0].error == "the server is gone"
    assert len(tree.nodes) > 1


@pytest.mark.parametrize("rewarded", [False, True])
def test_trees_are_the_same_at_any_concurrency(rewarded: bool, data_making: Backends, test_time: Backends) -> None:
    backends = test_time if rewarded else data_making

    async def forest(concurrency: int) -> dict[str, Tree]:
        def one(problem: str):
            return mcts(problem, "What is x?", backends, SETTINGS)

        return {tree.problem_id: tree async for tree in search_all(map(str, range(40)), one, concurrency)}

    alone, few, all_at_once = (asyncio.run(forest(n)) for n in (1, 8, 256))
    assert alone == few == all_at_once
    assert len(alone) == 40


@given(st.integers(0, 10**6), st.integers(1, 24), st.booleans())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_tree_holds_the_trees_of_all_smaller_budgets(
    data_making: Backends, test_time: Backends, seed: int, n: int, rewarded: bool
) -> None:
    backends = test_time if rewarded else data_making
    whole = run(backends, replace(SETTINGS, rollouts=24), seed=seed)
    fewer, taken = run(backends, replace(SETTINGS, rollouts=n), seed=seed), first_rollouts(whole, n)
    assert taken.rollouts == fewer.rollouts
    assert [replace(node, total=0.0) for node in taken.nodes] == [replace(node, total=0.0) for node in fewer.nodes]
    assert [node.total for node in taken.nodes] == pytest.approx([node.total for node in fewer.nodes])
    assert taken.usage.generated_tokens == fewer.usage.generated_tokens
    assert (taken.usage.policy_calls, taken.usage.scored_steps) == (fewer.usage.policy_calls, fewer.usage.scored_steps)
    assert taken.usage.reward_calls <= fewer.usage.policy_calls
