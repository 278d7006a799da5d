import asyncio
from dataclasses import replace

from ponderosa.core import Outcome, Tree
from ponderosa.search import Backends, SampleSettings, sample, search_all

SETTINGS = SampleSettings(n=12, temperature=1.0)


def run(backends: Backends, settings: SampleSettings = SETTINGS) -> Tree:
    return asyncio.run(sample("p", "What is x?", backends, settings))


def test_every_sample_ends_with_an_answer_of_its_own_program(data_making: Backends) -> None:
    tree = run(data_making)
    assert len(tree.rollouts) == 12
    for end in tree.rollouts:
        last = tree.steps(end)[1]
        assert tree.nodes[end].answer == last.split("x = ")[1][0]


def test_samples_that_begin_alike_share_nodes_and_visits_count_them(data_making: Backends) -> None:
    tree = run(data_making)
    assert tree.nodes[0].visits == 12
    for node in tree.nodes:
        if node.children:
            assert node.visits == sum(tree.nodes[child].visits for child in node.children)
            assert len({tree.nodes[child].text for child in node.children}) == len(node.children)


def test_with_a_reward_model_every_step_has_a_value(test_time: Backends) -> None:
    tree = run(test_time)
    assert all(node.value is not None for node in tree.nodes[1:])


def test_too_many_steps_end_a_chain(data_making: Backends) -> None:
    tree = run(data_making, SampleSettings(n=4, temperature=1.0, max_depth=2))
    assert {tree.nodes[end].outcome for end in tree.rollouts} == {Outcome.TOO_DEEP}


def test_trees_are_the_same_at_any_concurrency(test_time: Backends) -> None:
    async def forest(concurrency: int) -> dict[str, Tree]:
        def one(problem: str):
            return sample(problem, "What is x?", test_time, SETTINGS)

        return {tree.problem_id: tree async for tree in search_all(map(str, range(40)), one, concurrency)}

    alone, few, all_at_once = (asyncio.run(forest(n)) for n in (1, 8, 256))
    assert alone == few == all_at_once


def test_temperatures_take_turns(data_making: Backends) -> None:
    asked: list[tuple[int, float]] = []
    policy = data_making.policy

    class Listening:
        async def propose(self, prompt, n, sampling, seed):
            asked.append((n, sampling.temperature))
            return await policy.propose(prompt, n, sampling, seed)

    backends = replace(data_making, policy=Listening())
    settings = SampleSettings(n=5, temperatures=(0.2, 1.0))
    tree = asyncio.run(sample("p", "What is x?", backends, settings))
    assert asked[:2] == [(3, 0.2), (2, 1.0)]
    assert len(tree.rollouts) == 5
    assert all(tree.nodes[end].terminal for end in tree.rollouts)


def test_a_judge_gives_each_step_the_mean_of_what_its_samples_brought(data_making: Backends) -> None:
    tree = run(data_making)
    brought = [1.0 if tree.nodes[end].answer == "1" else -1.0 for end in tree.rollouts]
    assert {1.0, -1.0} == set(brought)
    for index, node in enumerate(tree.nodes):
        through = [b for end, b in zip(tree.rollouts, brought, strict=True) if index in (0, *tree.path(end))]
        assert (node.visits, node.total) == (len(through), sum(through))
