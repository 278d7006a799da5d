import io

from rich.console import Console

from ponderosa.core import Tree
from ponderosa.view.tree import draw_trajectory, draw_tree


def test_a_drawn_tree_tells_q_visits_values_and_outcomes(tree, console, printed):
    draw_tree(tree, console)
    text = printed()
    for fact in ("p1#0", "Q +0.00 · N 4", "V +0.50", "ben = ann - 7", "✓", "✗", "! ", "code error"):
        assert fact in text
    assert max(map(len, text.splitlines())) <= 80


def test_text_of_a_model_is_never_read_as_markup(tree, console, printed):
    draw_tree(tree, console)
    draw_trajectory(tree, 7, console)
    assert printed().count("ben = [red]ann[/red] / 0") == 2


def test_what_is_pruned_is_counted(tree, console, printed):
    draw_tree(tree, console, limit=1)
    assert "… 2 more" in printed()
    assert "ben = ann - 7" in printed()


def test_a_tree_of_nothing_but_its_root_is_drawn(console, printed):
    draw_tree(Tree("p", "Why?"), console)
    assert "Why?" in printed()


def test_the_path_to_the_best_answer_stands_out_on_a_terminal(tree):
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard")
    draw_tree(tree, console)
    bold = [line for line in console.file.getvalue().splitlines() if "\x1b[1m" in line and "Q" in line]
    assert any("ben = ann - 7" in line for line in bold)
    assert not any("ben = 7" in line for line in bold)


def test_a_trajectory_prints_every_step_its_output_and_its_error(tree, console, printed):
    draw_trajectory(tree, 4, console)
    text = printed()
    assert [f"Step {n} " in text for n in (1, 2, 3, 4, 5)] == [True, True, True, True, False]
    assert "→ 17" in text
    assert "<end_of_step>" not in text
    draw_trajectory(tree, 7, console)
    assert "ZeroDivisionError: zero" in printed()
