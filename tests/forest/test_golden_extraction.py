"""Extraction from the golden trees against what the public rStar-Math code extracted from them."""

from collections import Counter
from functools import cache

import golden_trees as golden
import pytest

from ponderosa.core import CodeFormat, Outcome, Tree
from ponderosa.forest import PairRow, PreferenceSettings, preference_pairs, sft_rows, trajectories

PUBLIC_CODE = PreferenceSettings(final_step="same_prefix", weight="selected")
PUBLIC_CODE_BEFORE_THRESHOLDS = PreferenceSettings(
    final_step="same_prefix", weight="selected", min_margin=0.0, min_edit_distance=0
)

every_run = pytest.mark.parametrize("run", golden.RUNS)


@cache
def trees(run: str) -> list[Tree]:
    return golden.trees(run)


def pairs_of(rows: list[PairRow]) -> Counter[tuple[str, str, str, float]]:
    return Counter((row.prompt, row.chosen, row.rejected, row.weight) for row in rows)


def on_the_most_visited_path(run: str, rows: list[PairRow]) -> list[PairRow]:
    paths = {tree.id: golden.most_visited(tree) for tree in trees(run)}
    return [row for row in rows if row.prefix_node in paths[row.tree_id]]


@every_run
def test_trajectories_and_their_q_values_are_those_of_the_public_code(run: str) -> None:
    theirs = sorted(
        (row["sft_full"], row["final_Q"] == 1, row["q_values"])
        for row in golden.load(run, "extra_sft")
        # The public code lists failures here too, as wrong solutions (though not in its pairs): they hold no answer.
        if golden.outcome(row["extra_ans"]) is Outcome.ANSWERED
    )
    ours = sorted(("".join(t.steps), t.correct, list(t.q)) for tree in trees(run) for t in trajectories(tree))
    assert len(theirs) > 100
    assert [row[:2] for row in ours] == [row[:2] for row in theirs]
    for (*_, q), (*_, expected) in zip(ours, theirs, strict=True):
        assert q == pytest.approx(expected)


@every_run
@pytest.mark.parametrize("visits", ["all", "vis_count"])
def test_pairs_before_thresholds_are_those_of_the_public_code(run: str, visits: str) -> None:
    rows = preference_pairs(trees(run), CodeFormat(), PUBLIC_CODE_BEFORE_THRESHOLDS)
    if visits == "vis_count":
        rows = on_the_most_visited_path(run, rows)
    theirs = Counter(
        (row["prefix"], row["chosen_step"], row["rejected_step"], 1 / (row["pos_count"] * row["neg_count"]))
        for row in golden.load(run, f"extra_rm_{visits}")
    )
    assert pairs_of(rows) == theirs


@every_run
@pytest.mark.parametrize("visits", ["all", "vis_count"])
def test_pairs_after_thresholds_are_those_of_the_public_code(run: str, visits: str) -> None:
    rows = preference_pairs(trees(run), CodeFormat(), PUBLIC_CODE)
    if visits == "vis_count":
        rows = on_the_most_visited_path(run, rows)
    theirs = Counter(
        (row["prompt"], row["pos"], row["neg"], 1 / (row["pos_count"] * row["neg_count"]))
        for row in golden.load(run, f"sample_rm_{visits}")
    )
    assert pairs_of(rows) == theirs


@every_run
def test_sft_rows_are_those_of_the_public_code_but_for_harmless_texts_with_the_word_error(run: str) -> None:
    theirs = Counter((row["query"], row["response"]) for row in golden.load(run, "sample_sft"))
    ours = Counter((row.question, row.response) for row in sft_rows(trees(run), CodeFormat()))
    # The public code drops every text with the word "error", also where nothing failed: not to be copied.
    dropped = Counter({row: n for row, n in ours.items() if "error" in row[1].lower()})
    assert all(golden.HARMLESS in response for _, response in dropped)
    assert ours - dropped == theirs


def test_a_lucky_trajectory_with_a_failed_step_makes_way_for_the_next_best() -> None:
    """The public code drops it after the cut, so that its place stays empty."""
    tree = Tree("p", "q")
    for text, error, q in (("a", "ValueError: x", 0.9), ("b", "", 0.8), ("c", "", 0.7)):
        step = tree.add(0, text, visits=1, total=q, error=error)
        tree.add(step, "!", visits=1, total=1.0, outcome=Outcome.ANSWERED, answer="1", reward=1.0)
    assert [row.response for row in sft_rows([tree], CodeFormat())] == ["b!", "c!"]
