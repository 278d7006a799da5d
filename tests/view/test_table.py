import copy
import io

import pytest
from rich.console import Console

from ponderosa.view.table import draw_rounds


def test_five_rounds_fit_beside_each_other_in_80_columns(results, console, printed):
    results["rounds"] += [copy.deepcopy(results["rounds"][1]) | {"round": n} for n in (2, 3, 4)]
    draw_rounds(results, console)
    lines = printed().splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("Base" in line and "Round 4" in line for line in lines) == 1


def test_on_a_narrow_terminal_no_figure_is_lost(results):
    console = Console(file=io.StringIO(), width=40)
    draw_rounds(results, console)
    text = console.file.getvalue()
    for figure in ("50.0", "70.0", "67.0-72.0", "78.0", "90.0", "1,050", "42,000"):
        assert figure in text


def test_shares_intervals_counts_and_tokens_are_shown(results, console, printed):
    draw_rounds(results, console)
    lines = printed().splitlines()
    greedy = next(i for i, line in enumerate(lines) if line.strip().startswith("Greedy"))
    assert lines[greedy].split() == ["Greedy", "50.0", "70.0"]
    assert lines[greedy + 1].split() == ["95", "%,", "n", "=", "500", "47.0-52.0", "67.0-72.0"]
    assert lines[greedy + 2].split() == ["tokens", "118", "120"]


def test_what_was_never_measured_has_no_row(results, console, printed):
    draw_rounds(results, console)
    assert "weighted" not in printed()
    assert "pair accuracy" not in printed()


def test_the_gain_and_the_errors_removed_are_told(results, console, printed):
    draw_rounds(results, console)
    text = " ".join(printed().split())
    assert "on the same problems: +20.0 points (+15.1 to +24.9)." in text
    assert "removed by greedy decoding alone: 40 %." in text
    assert "chosen on dev: MCTS + PPM, 78.0 %, 56 % of the base's errors removed." in text


def test_without_a_terminal_the_text_is_plain(results, console, printed):
    draw_rounds(results, console)
    assert "\x1b" not in printed()


@pytest.mark.parametrize("rounds", [[], [{"round": 0}], [{"round": 0, "greedy": None, "seconds": None}]])
def test_results_in_which_everything_is_null_are_drawn(rounds, console):
    draw_rounds({"rounds": rounds}, console)
