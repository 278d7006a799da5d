"""In the scripted world a solution is right if its second step is `x = 1`, which it is by one chance in four."""

import asyncio
import math
import random
import re
from dataclasses import replace

import pytest

from ponderosa.core import Completion, Ended, Outcome, PonderosaError, Prompt, Sampling, Tree
from ponderosa.search import Backends, MCTSSettings, RolloutSettings, SampleSettings, mcts, rollouts, sample
from ponderosa.search.budget import Budget

SETTINGS = RolloutSettings(solutions=6, completions=12)
BINARY = replace(SETTINGS, prefixes="binary", completions=32)


class TwoSteps:
    """Two steps `x = N`, those that are there counted, then `print(x)`, then the printed answer."""

    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        await asyncio.sleep(random.random() * 0.002)
        rng = random.Random(seed)
        return [self._one(prompt.body, sampling.stop, rng) for _ in range(n)]

    def _one(self, body: str, stops: tuple[str, ...], rng: random.Random) -> Completion:
        steps = [f"\nx = {rng.randint(0, 3)}\n" for _ in range(2 - body.count("<end_of_step>"))]
        if output := re.search("<output>(.*?)<end_of_output>", body):
            text, stop = f"\n<answer>It is \\boxed{{{output[1]}}}.\n", "<end_of_answer>"
        elif steps and "<end_of_step>" in stops:
            text, stop = steps[0], "<end_of_step>"
        else:
            text, stop = "".join(f"{step}<end_of_step>" for step in steps) + "\nprint(x)\n", "<end_of_code>"
        return Completion(text, Ended.STOP, stop, tokens=len(text), prompt_tokens=10)


@pytest.fixture
def data_making(data_making: Backends) -> Backends:
    return replace(data_making, policy=TwoSteps())


def run(backends: Backends, settings: RolloutSettings = SETTINGS, seed: int = 0, given: Tree | None = None) -> Tree:
    return asyncio.run(rollouts("p", "What is x?", backends, settings, seed, given=given))


def wrong_ends(backends: Backends, tree: Tree) -> list[int]:
    """The wrong ones of the solutions that were drawn: those that sampling draws, the first of the tree."""
    drawn = asyncio.run(sample("p", "What is x?", backends, SampleSettings(SETTINGS.solutions, 1.0)))
    wrong = [end for end in dict.fromkeys(drawn.rollouts) if tree.nodes[end].reward == -1]
    assert wrong
    assert [tree.steps(end) for end in wrong] == [drawn.steps(end) for end in wrong]
    return wrong


def assigned(tree: Tree, node: int) -> list[str]:
    """What x was set to, in order."""
    return re.findall(r"x = (\d)", "".join(tree.steps(node)))


def test_a_step_is_worth_the_share_of_right_ends_that_follow_it(data_making: Backends) -> None:
    tree = run(data_making, replace(SETTINGS, completions=400))
    completed = [node for node in tree.nodes[1:] if node.visits >= 400 and not node.terminal]
    firsts = [node for node in completed if node.depth == 1]
    assert firsts
    for node in firsts:
        assert (node.q + 1) / 2 == pytest.approx(0.25, abs=0.1)  # 4.6 standard deviations
    for index, node in enumerate(tree.nodes):
        if node.depth > 1 and node.visits:
            assert node.q == (1 if assigned(tree, index)[1] == "1" else -1)


def test_nothing_is_backed_up_above_the_step_that_was_completed(data_making: Backends) -> None:
    tree = run(data_making)
    assert tree.nodes[0].visits == 0
    started = sum(tree.nodes[child].visits for child in tree.nodes[0].children)
    begun = {node for node in range(len(tree.nodes)) if tree.nodes[node].depth == 1 and tree.nodes[node].visits}
    assert started == len(begun) * SETTINGS.completions


def test_every_step_of_a_solution_is_completed_as_often_as_asked(data_making: Backends) -> None:
    tree = run(data_making, replace(SETTINGS, solutions=1))
    path = tree.path(next(tree.answered()))
    assert len(tree.rollouts) == (len(path) - 1) * SETTINGS.completions
    assert all(tree.nodes[node].visits >= SETTINGS.completions for node in path[:-1])
    assert all(tree.nodes[end].terminal for end in tree.rollouts)


def test_the_binary_search_finds_the_first_step_from_which_no_right_answer_is_reached(data_making: Backends) -> None:
    tree = run(data_making, BINARY)
    for end in wrong_ends(data_making, tree):
        first, second, *_ = tree.path(end)
        assert tree.nodes[first].q > -1  # missed with a probability of (3 / 4) ** 32 = 1e-4
        assert tree.nodes[second].q == -1


def test_a_step_whose_completions_got_no_verdict_is_not_taken_for_a_wrong_one(data_making: Backends) -> None:
    """The judge tells of the solutions that were drawn, and fails from then on: the search for their errors ends."""
    drawn = asyncio.run(sample("p", "What is x?", data_making, SampleSettings(SETTINGS.solutions, 1.0)))
    left = len(set(drawn.rollouts))

    async def failing(answer: str) -> float | None:
        nonlocal left
        left -= 1
        assert data_making.judge is not None
        return await data_making.judge(answer) if left >= 0 else None

    tree = run(replace(data_making, judge=failing), BINARY)
    firsts = {(0, *tree.path(end))[len(tree.path(end)) // 2] for end in wrong_ends(data_making, tree)}
    assert len(tree.rollouts) == len(firsts) * BINARY.completions
    assert not any(node.visits for node in tree.nodes)


def test_the_binary_search_completes_the_logarithm_of_the_steps(data_making: Backends) -> None:
    tree = run(data_making, BINARY)
    wrong = wrong_ends(data_making, tree)
    steps = max(len(tree.path(end)) for end in wrong)
    every = run(data_making, replace(BINARY, prefixes="every"))
    assert len(tree.rollouts) <= len(wrong) * math.ceil(math.log2(steps)) * BINARY.completions
    assert len(tree.rollouts) < len(every.rollouts)
    assert tree.usage.generated_tokens < every.usage.generated_tokens


def test_solutions_of_another_search_are_valued(data_making: Backends) -> None:
    given = asyncio.run(mcts("p", "What is x?", data_making, MCTSSettings(candidates=4, rollouts=8)))
    before = given.to_json()
    tree = run(data_making, replace(SETTINGS, solutions=4), given=given)
    assert given.to_json() == before
    texts = [node.text for node in given.nodes]
    assert [node.text for node in tree.nodes[: len(texts)]] == texts
    chosen = {end for end in given.answered() if tree.nodes[tree.nodes[end].parent].visits >= SETTINGS.completions}
    assert len(chosen) >= 4
    assert {tree.nodes[end].reward for end in chosen} == {1.0, -1.0}  # both kinds, as there are both


def test_solutions_of_a_search_that_knew_no_answers_are_judged(data_making: Backends) -> None:
    given = asyncio.run(sample("p", "What is x?", replace(data_making, judge=None), SampleSettings(6, 1.0)))
    ends = list(given.answered())
    given.nodes[ends[0]].reward = 0.3  # what a reward model said of it
    tree = run(data_making, given=given)
    assert {tree.nodes[end].reward for end in ends} <= {1.0, -1.0}
    assert len(tree.rollouts) > 0


def test_trees_do_not_depend_on_timing(data_making: Backends) -> None:
    for settings in (SETTINGS, BINARY):
        first, *others = [run(data_making, settings, seed=5) for _ in range(3)]
        assert all(tree == first for tree in others)


def test_what_cuts_it_short_leaves_what_it_has(data_making: Backends) -> None:
    tree = run(replace(data_making, budget=Budget(calls=4)))
    assert tree.outcome is Outcome.BUDGET_SPENT
    assert len(tree.nodes) > 1


def test_without_known_answers_there_is_nothing_to_learn(test_time: Backends) -> None:
    with pytest.raises(PonderosaError, match="--judged"):
        run(test_time)
