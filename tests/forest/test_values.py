"""Step values, worked out by hand on a small tree and as properties of any."""

from pathlib import Path

import random_trees
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core import CodeFormat, Outcome, Tree
from ponderosa.forest import ValueRow, ValueRowSettings, outcome_rows, read_rows, trajectories, value_rows, write_rows
from ponderosa.search.expansion import back_up, visit

FORMAT = CodeFormat()
HARD = ValueRowSettings("hard")
settings = st.builds(ValueRowSettings, st.sampled_from(["soft", "hard"]), st.integers(1, 4))


def small() -> Tree:
    r"""1 a, with 2 b (right end 3, wrong end 4) and 5 c (wrong end 6); 7 d fails to run; 8 e is valued by a model only.

    Of the rollouts two come to 3, one each to 4 and 6.
    """
    tree = Tree("p", "What is x?", method="mcts")
    a = tree.add(0, "a")
    b = tree.add(a, "b")
    right = tree.add(b, "right", outcome=Outcome.ANSWERED, answer="1", reward=1.0)
    wrong = tree.add(b, "wrong", outcome=Outcome.ANSWERED, answer="2", reward=-1.0)
    c = tree.add(a, "c")
    other = tree.add(c, "other", outcome=Outcome.ANSWERED, answer="2", reward=-1.0)
    failed = tree.add(a, "d", outcome=Outcome.CODE_ERROR)
    valued = tree.add(a, "e", value=0.7)
    for end, reward in ((right, 1.0), (right, 1.0), (wrong, -1.0), (other, -1.0)):
        back_up(tree, end, reward)
    visit(tree, failed, -1.0)
    visit(tree, valued, 0.7)
    return tree


def shown(rows: list[ValueRow]) -> list[tuple[str, tuple[float | None, ...]]]:
    return [("".join(f"{step} " for step in row.steps).strip(), row.targets) for row in rows]


def test_soft_values_are_the_q_of_what_was_visited_each_told_once() -> None:
    assert shown(value_rows([small()], FORMAT)) == [
        ("a b right", (0.0, 1 / 3, 1.0)),
        ("a b wrong", (None, None, -1.0)),
        ("a c other", (None, -1.0, -1.0)),
    ]


def test_hard_values_say_whether_a_right_answer_can_be_reached() -> None:
    assert shown(value_rows([small()], FORMAT, HARD)) == [
        ("a b right", (1.0, 1.0, 1.0)),
        ("a b wrong", (None, None, -1.0)),
        ("a c other", (None, -1.0, -1.0)),
    ]


def test_steps_of_too_few_rollouts_have_no_value() -> None:
    assert shown(value_rows([small()], FORMAT, ValueRowSettings(min_visits=2))) == [
        ("a b right", (0.0, 1 / 3, 1.0)),
        ("a b wrong", (None, None, -1.0)),
        ("a c other", (None, None, -1.0)),
    ]


def test_what_follows_a_step_without_a_way_out_is_wrong_as_well() -> None:
    tree = Tree("p", "What is x?", method="rollouts")
    a = tree.add(0, "a")
    b = tree.add(a, "b")
    tree.add(b, "c", outcome=Outcome.ANSWERED, answer="2", reward=-1.0)
    for _ in range(8):
        visit(tree, a, -1.0)
    assert shown(value_rows([tree], FORMAT, ValueRowSettings("hard", 8))) == [("a b c", (-1.0, -1.0, -1.0))]
    assert shown(value_rows([tree], FORMAT, ValueRowSettings("soft", 8))) == [("a b c", (-1.0, None, -1.0))]


@given(st.lists(random_trees.searched_trees(), max_size=2), settings)
def test_a_step_has_at_most_one_value_and_that_of_an_answer_is_its_verdict(
    trees: list[Tree], settings: ValueRowSettings
) -> None:
    by_id = {tree.id: tree for tree in trees}
    seen: set[tuple[str, int]] = set()
    for row in value_rows(by_id.values(), FORMAT, settings):
        tree = by_id[row.tree_id]
        assert row.steps == tree.steps(row.nodes[-1])
        assert row.prompt + "".join(row.steps) == FORMAT.render(tree.question, row.steps).text
        assert any(target is not None for target in row.targets)
        for node, target in zip(row.nodes, row.targets, strict=True):
            if target is None:
                continue
            assert (row.tree_id, node) not in seen
            seen.add((row.tree_id, node))
            assert -1 <= target <= 1
            if tree.nodes[node].outcome is Outcome.ANSWERED:
                assert target == tree.nodes[node].reward
    judged = {
        (tree.id, end) for tree in by_id.values() for end in tree.answered() if tree.nodes[end].reward is not None
    }
    assert judged <= seen


@given(st.lists(random_trees.searched_trees(), max_size=3))
def test_outcomes_are_told_of_distinct_trajectories_at_their_ends_or_at_every_step(trees: list[Tree]) -> None:
    by_id = {tree.id: tree for tree in trees}
    rows = outcome_rows(by_id.values(), FORMAT, "end")
    every = [row.targets for row in outcome_rows(by_id.values(), FORMAT)]
    assert every == [(row.targets[-1],) * len(row.steps) for row in rows]
    found = {(t.problem_id, t.steps) for tree in by_id.values() for t in trajectories(tree)}
    assert len(rows) == len(found)
    for row in rows:
        assert set(row.targets[:-1]) <= {None}
        assert row.targets[-1] == by_id[row.tree_id].nodes[row.nodes[-1]].reward


def test_they_are_a_data_set(tmp_path: Path) -> None:
    rows = value_rows([small()], FORMAT)
    write_rows(tmp_path / "values", ValueRow, rows, source="a test", settings={})
    assert read_rows(tmp_path / "values", ValueRow) == rows
