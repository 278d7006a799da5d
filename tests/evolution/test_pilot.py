"""What a pilot says: on trees that were made by hand, and through a scripted search."""

from dataclasses import replace
from pathlib import Path

import pytest

from ponderosa.core import CodeFormat, Outcome, PonderosaError, Tree, Usage
from ponderosa.evolution.assumptions import Assumptions
from ponderosa.evolution.pilot import measure, measure_data, read_pilot
from ponderosa.evolution.planning import candidates, expansions
from ponderosa.evolution.rstar_math import DataSettings
from ponderosa.search import MCTSSettings

SETTINGS = MCTSSettings(candidates=4, rollouts=2)


def tree(name: str, *, right: bool) -> Tree:
    """Two rollouts of two steps: the first step is shared, one of the answers is right, or neither."""
    made = Tree(name, f"What is {name}?")
    made.nodes[0].tokens = 30
    first = made.add(0, "<code>\nx = 1\n<end_of_step>", tokens=10)
    for answer in ("1", "2"):
        end = made.add(first, f"\n<answer>\\boxed{{{answer}}}, which is what was asked for\n<end_of_answer>", tokens=6)
        made.nodes[end].outcome, made.nodes[end].answer = Outcome.ANSWERED, answer
        made.nodes[end].reward = 1.0 if right and answer == "1" else -1.0
        made.nodes[end].visits, made.nodes[end].total = 1, made.nodes[end].reward
        made.rollouts.append(end)
    for node in (0, first):
        made.nodes[node].expanded = True
        made.nodes[node].visits, made.nodes[node].total = 2, sum(made.nodes[end].reward or 0 for end in made.rollouts)
    made.usage = Usage(generated_tokens=80, executions=3)
    return made


def test_a_plan_from_a_pilot_with_the_same_settings_makes_as_many_tokens_as_the_pilot() -> None:
    found = measure([tree("a", right=True), tree("b", right=False)], SETTINGS)
    assert (found["depth"], found["question_tokens"], found["executions"]) == (2, 30, 1)
    assert found["fresh"] == 0  # the second rollout's answer came with the first's
    assert found["step_tokens"] == 10  # 80 over two expansions of four candidates
    assert found["distinct"] == 3 / 8
    a = Assumptions(**found)
    assert expansions(a, 2) * candidates(a, SETTINGS) * a.step_tokens == pytest.approx(80)


def test_fewer_candidates_for_answers_are_taken_into_account() -> None:
    settings = replace(SETTINGS, answer_candidates=2)
    a = Assumptions(**measure([tree("a", right=True)], settings))
    assert candidates(a, settings) == 3  # four for the step, two for the answer
    assert expansions(a, 2) * candidates(a, settings) * a.step_tokens == pytest.approx(80)


def test_data_are_counted_as_they_would_be_taken() -> None:
    trees = [tree("a", right=True), tree("b", right=False)]
    data = DataSettings.model_validate({"pairs": {"min_edit_distance": 1}})
    found = measure_data(trees, data, CodeFormat())
    assert found == {
        "solved": 0.5,
        "filled": 0.5,  # one trajectory of two
        "pairs": 0.5,
        "pair_tokens": 30 + 10 + 6 + 6,
    }


def test_trajectories_that_need_not_be_right_are_counted_as_such() -> None:
    """Each of two trees has its two."""
    found = measure_data([tree("a", right=True), tree("b", right=False)], DataSettings(verified=False), CodeFormat())
    assert found["filled"] == 1.0


def test_a_pilot_without_a_step_is_an_error() -> None:
    with pytest.raises(PonderosaError, match="no tree of the pilot has a step"):
        measure([Tree("a", "?")], SETTINGS)


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(PonderosaError, match="not a run"):
        read_pilot(tmp_path, DataSettings())
