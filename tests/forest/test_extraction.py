"""What extraction promises of any tree, and the choices that the paper and its public code make differently."""

from collections import defaultdict
from itertools import product

import pytest
import random_trees
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core import CodeFormat, Outcome, Tree
from ponderosa.forest import PairRow, PreferenceSettings, preference_pairs, sft_rows, trajectories
from ponderosa.forest.rows import Scope

FORMAT = CodeFormat()
EVERY_PAIR = PreferenceSettings(min_margin=0, min_edit_distance=1)

preferences = st.builds(
    PreferenceSettings,
    pairs_per_side=st.integers(1, 3),
    min_margin=st.sampled_from([0, 0.5, 1.5]),
    min_edit_distance=st.sampled_from([0, 1, 20]),
    final_step=st.sampled_from(["across", "same_prefix"]),
    weight=st.sampled_from(["kept", "selected"]),
)


def answer(tree: Tree, parent: int, reward: float | None, text: str = "") -> int:
    """Adds an answer to the tree and backs its reward up."""
    node = tree.add(parent, text or f"answer {len(tree.nodes)}", outcome=Outcome.ANSWERED, answer="1", reward=reward)
    for i in [0, *tree.path(node)]:
        tree.nodes[i].visits += 1
        tree.nodes[i].total += reward or 0.0
    return node


def answers_below(tree: Tree, node: int) -> set[bool]:
    """Are there correct ones, are there wrong ones?"""
    return {tree.nodes[i].reward == 1 for i in tree.answered() if node in tree.path(i)}


def groups(rows: list[PairRow]) -> dict[tuple[str, int, Scope], list[PairRow]]:
    found: dict[tuple[str, int, Scope], list[PairRow]] = defaultdict(list)
    for row in rows:
        found[row.tree_id, row.prefix_node, row.scope].append(row)
    return found


@given(random_trees.searched_trees())
def test_trajectories_are_the_paths_to_answers(tree: Tree) -> None:
    for found, end in zip(trajectories(tree), tree.answered(), strict=True):
        assert found.steps == tree.steps(end)
        assert found.correct == (tree.nodes[end].reward == 1)
        assert found.min_q <= found.mean_q <= max(found.q)
        assert found.erred == any(tree.nodes[i].error for i in found.nodes)


@given(st.lists(random_trees.searched_trees(), max_size=3), st.integers(1, 3))
def test_sft_rows_are_the_best_correct_trajectories_of_their_problem(trees: list[Tree], top: int) -> None:
    by_id = {tree.id: tree for tree in trees}
    trees = list(by_id.values())
    rows = sft_rows(trees, FORMAT, top)
    candidates = [t for tree in trees for t in trajectories(tree) if t.correct and not t.erred]
    assert len(rows) == min(top, len({t.steps for t in candidates}))
    assert len({row.response for row in rows}) == len(rows)
    ranks = [(row.mean_q, row.min_q) for row in rows]
    assert ranks == sorted(ranks, reverse=True)
    if rows:
        assert ranks[0] == max((t.mean_q, t.min_q) for t in candidates)
    for row in rows:
        tree = by_id[row.tree_id]
        assert tree.nodes[row.nodes[-1]].reward == 1
        assert not any(tree.nodes[i].error for i in row.nodes)
        assert row.prompt + row.response == FORMAT.render(tree.question, tree.steps(row.nodes[-1])).text


def test_a_text_found_twice_is_one_row_of_the_best() -> None:
    trees = [Tree("p", "q", index=0), Tree("p", "q", index=1)]
    for tree in trees:
        answer(tree, tree.add(0, "step"), 1.0, "same")
    answer(trees[0], 1, -1.0)
    assert [(row.tree_id, row.response) for row in sft_rows(trees, FORMAT)] == [("p#1", "stepsame")]


@given(random_trees.searched_trees(), preferences)
def test_the_chosen_leads_to_a_correct_answer_and_the_rejected_to_a_wrong_one(
    tree: Tree, settings: PreferenceSettings
) -> None:
    for row in preference_pairs([tree], FORMAT, settings):
        assert True in answers_below(tree, row.chosen_node)
        assert False in answers_below(tree, row.rejected_node)
        assert row.margin > 0
        assert row.margin >= settings.min_margin
        assert row.chosen != row.rejected


@given(random_trees.searched_trees(), preferences)
def test_both_sides_of_a_pair_continue_the_prompt(tree: Tree, settings: PreferenceSettings) -> None:
    for row in preference_pairs([tree], FORMAT, settings):
        for node, text in ((row.chosen_node, row.chosen), (row.rejected_node, row.rejected)):
            assert row.prompt + text == FORMAT.render(tree.question, tree.steps(node)).text
            if row.scope == "step":
                assert tree.nodes[node].parent == row.prefix_node


@given(random_trees.searched_trees(), preferences)
def test_weights_sum_to_one_in_every_group_or_to_the_share_that_was_kept(
    tree: Tree, settings: PreferenceSettings
) -> None:
    for rows in groups(preference_pairs([tree], FORMAT, settings)).values():
        total = sum(row.weight for row in rows)
        assert total == pytest.approx(1) if settings.weight == "kept" else total <= 1 + 1e-9
        assert len(rows) <= settings.pairs_per_side**2


@given(random_trees.searched_trees(), preferences)
def test_answers_are_compared_as_whole_trajectories_only_across_prefixes(
    tree: Tree, settings: PreferenceSettings
) -> None:
    for row in preference_pairs([tree], FORMAT, settings):
        ends = {tree.nodes[row.chosen_node].terminal, tree.nodes[row.rejected_node].terminal}
        if settings.final_step == "across":
            assert ends == {row.scope == "trajectory"}
        else:
            assert row.scope == "step"


@given(st.lists(random_trees.searched_trees(), max_size=3), preferences)
def test_pairs_do_not_depend_on_the_other_trees(trees: list[Tree], settings: PreferenceSettings) -> None:
    apart = [row for tree in trees for row in preference_pairs([tree], FORMAT, settings)]
    assert preference_pairs(trees, FORMAT, settings) == apart


def fan(qs: str) -> Tree:
    """One step for each sign: + leads to a correct answer, - to a wrong one, 0 to both (so that its Q is 0)."""
    tree = Tree("p", "q")
    for i, sign in enumerate(qs):
        step = tree.add(0, f"step {i}")
        for reward in {"+": [1.0], "-": [-1.0], "0": [1.0, -1.0]}[sign]:
            answer(tree, step, reward)
    return tree


@pytest.mark.parametrize(
    ("signs", "positives", "negatives"),
    [
        ("+++---", 2, 2),
        ("+----", 1, 4),
        ("+------", 1, 4),
        ("+++++-", 4, 1),
        ("+-", 1, 1),
        ("++", 0, 0),
        ("", 0, 0),
    ],
)
def test_two_of_each_side_are_taken_or_four_against_one(signs: str, positives: int, negatives: int) -> None:
    rows = [row for row in preference_pairs([fan(signs)], FORMAT, EVERY_PAIR) if row.scope == "step"]
    assert len({row.chosen_node for row in rows}) == positives
    assert len({row.rejected_node for row in rows}) == negatives
    assert len(rows) == positives * negatives


def test_more_pairs_per_side_are_taken_on_demand() -> None:
    settings = PreferenceSettings(pairs_per_side=3, min_margin=0, min_edit_distance=1)
    rows = preference_pairs([fan("+++---")], FORMAT, settings)
    assert sum(row.scope == "step" for row in rows) == 9


def test_a_step_that_leads_to_both_kinds_is_better_than_a_bad_one_and_worse_than_a_good_one() -> None:
    rows = [row for row in preference_pairs([fan("+0-")], FORMAT, EVERY_PAIR) if row.scope == "step"]
    pairs = {(row.chosen, row.rejected): row.margin for row in rows}
    assert pairs == {("step 0", "step 1"): 1, ("step 0", "step 2"): 2, ("step 1", "step 2"): 1}


def test_trajectories_across_prefixes_are_those_of_extreme_mean_q() -> None:
    tree = fan("++--")
    for _ in range(3):
        answer(tree, 1, -1.0)  # drags the first step's Q down
    rows = [row for row in preference_pairs([tree], FORMAT, EVERY_PAIR) if row.scope == "trajectory"]
    found = {t.nodes[-1]: t for t in trajectories(tree)}
    best = sorted((t.mean_q for t in found.values() if t.correct), reverse=True)[:2]
    worst = sorted(t.mean_q for t in found.values() if not t.correct)[:2]
    margins = sorted(found[row.chosen_node].mean_q - found[row.rejected_node].mean_q for row in rows)
    assert margins == pytest.approx(sorted(a - b for a, b in product(best, worst)))
    assert [row.margin for row in rows] == pytest.approx(
        [found[row.chosen_node].mean_q - found[row.rejected_node].mean_q for row in rows]
    )


def two_steps(good_ends: list[float], bad_ends: list[float]) -> Tree:
    """A step of Q 0.6 with correct answers of these Q below it, and one of Q 0.1 with wrong answers of those."""
    tree = Tree("p", "q")
    for text, q, reward, ends in (("good", 0.6, 1.0, good_ends), ("bad", 0.1, -1.0, bad_ends)):
        step = tree.add(0, text, visits=1, total=q)
        for end_q in ends:
            tree.add(step, f"{end_q}!", outcome=Outcome.ANSWERED, answer="1", reward=reward, visits=1, total=end_q)
    return tree


@pytest.mark.parametrize(
    ("good_ends", "bad_ends", "kept"),
    [
        ([-0.9], [0.4], False),
        ([-0.9, 0.8], [0.4], True),  # the positive's best completion counts
        ([-0.9], [0.4, -0.9], True),  # and the negative's worst
    ],
)
def test_a_pair_whose_completions_speak_against_it_is_dropped(
    good_ends: list[float], bad_ends: list[float], kept: bool
) -> None:
    rows = preference_pairs([two_steps(good_ends, bad_ends)], FORMAT, EVERY_PAIR)
    assert ("good", "bad") in {(row.chosen, row.rejected) for row in rows} if kept else rows == []


def test_of_equal_mean_q_the_trajectory_without_a_weak_step_comes_first() -> None:
    tree = Tree("p", "q")
    for first, last in ((0.0, 1.0), (0.5, 0.5), (0.25, 0.75)):
        step = tree.add(0, f"{first}", visits=1, total=first)
        tree.add(step, "!", outcome=Outcome.ANSWERED, answer="1", reward=1.0, visits=1, total=last)
    assert [row.min_q for row in sft_rows([tree], FORMAT, top=3)] == [0.5, 0.25, 0.0]


def test_an_answer_without_a_verdict_and_a_failure_are_neither_right_nor_wrong() -> None:
    tree = fan("+")
    answer(tree, tree.add(0, "unjudged"), None)
    tree.add(tree.add(0, "failed"), "!", outcome=Outcome.CODE_ERROR, visits=1, total=-1.0)
    assert preference_pairs([tree], FORMAT, EVERY_PAIR) == []
    assert len(trajectories(tree)) == 1


def test_terse_steps_are_compared_by_the_distance_that_the_settings_ask_for() -> None:
    tree = Tree("p", "q")
    answer(tree, tree.add(0, "x = ann + 7"), 1.0)
    answer(tree, tree.add(0, "x = ann - 7"), -1.0)
    step_pairs = [
        sum(row.scope == "step" for row in preference_pairs([tree], FORMAT, PreferenceSettings(min_edit_distance=d)))
        for d in (1, 2, 20)
    ]
    assert step_pairs == [1, 0, 0]
