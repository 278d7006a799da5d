import pytest

from ponderosa.core import Outcome, Tree
from ponderosa.view.trajectories import StepText, best_correct, first_wrong, mark, shown_children


def test_a_step_is_read_without_its_markers_and_with_its_output():
    step = StepText.read("<code>\n# Step 1: add.\nx = 1\nprint(x)\n<end_of_code>\n<output>1<end_of_output>")
    assert step.body == "# Step 1: add.\nx = 1\nprint(x)"
    assert step.output == "1"
    assert step.headline == "x = 1"


@pytest.mark.parametrize(("text", "headline"), [("# only a thought\n", "# only a thought"), ("", ""), ("\n\n", "")])
def test_a_step_without_code_has_its_first_line_as_headline(text, headline):
    assert StepText.read(text).headline == headline


def test_an_empty_output_is_an_output():
    assert StepText.read("pass\n<end_of_code>\n<output><end_of_output>").output == ""


def test_the_best_correct_answer_has_the_highest_mean_q(tree):
    assert best_correct(tree) == 4
    better = tree.add(1, "", outcome=Outcome.ANSWERED, answer="17", reward=1.0, visits=1, total=1.0)
    assert best_correct(tree) == 4  # mean Q of the longer path: (0 + 1 + 1 + 1) / 4 > (0 + 1) / 2
    assert better == 8


def test_the_first_wrong_answer_is_that_of_the_first_rollout_that_has_one(tree):
    assert first_wrong(tree) == 6
    tree.rollouts = [7, 4]
    assert first_wrong(tree) is None


def test_a_tree_without_a_judge_has_neither_ticks_nor_crosses(tree):
    assert mark(tree.nodes[4]).style == "correct"
    assert mark(tree.nodes[6]).style == "wrong"
    assert mark(tree.nodes[7]).style == "failed"
    assert {mark(tree.nodes[i], judged=False).style for i in (4, 6)} == {"answered"}


def test_the_most_visited_children_are_shown_in_their_order():
    tree = Tree("p", "q")
    for visits in (1, 5, 0, 7):
        tree.add(0, f"x = {visits}", visits=visits)
    assert shown_children(tree, 0, 2, set()) == ([2, 4], 2)
    assert shown_children(tree, 0, 9, set()) == ([1, 2, 3, 4], 0)


def test_a_kept_path_is_shown_however_seldom_it_was_visited():
    tree = Tree("p", "q")
    for visits in (9, 8, 1):
        tree.add(0, "x", visits=visits)
    assert shown_children(tree, 0, 1, {3}) == ([3], 2)
    assert shown_children(tree, 0, 2, {3}) == ([1, 3], 1)
