from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.sapling import facts, problem_at
from ponderosa.sapling.reading import UnreadableError, exact, read


@given(st.sampled_from(["corpus", "train", "dev", "test"]), st.integers(0, 10**6))
def test_what_the_world_writes_it_reads_back(split: str, index: int) -> None:
    problem = problem_at(split, 7, index)
    found = read(problem.question)
    assert found.answer == problem.answer
    assert facts(found) == facts(problem)
    if "sentences" in problem.meta:
        assert found.meta["kinds"] == problem.meta["kinds"]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Ann has 12 apples. Next to Ben, Ann has 4 more apples. How many apples does Ben have?", "8"),
        ("Cal has 3 boxes with 5 eggs in each. How many bags of 4 does Cal need for all the eggs?", "4"),
        ("Calculate 67 - -59 + 40.", "166"),
        ("Solve for h: 34*h - 42 = 162", "6"),
        ("Find the Least Common Multiple (LCM) of these numbers: 20, 30", "60"),
    ],
)
def test_texts_with_an_answer_that_anybody_can_check(question: str, answer: str) -> None:
    assert read(question).answer == answer


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ("", "no sentences"),
        ("Ann has 12 apples.", "no sentences"),
        ("Ann has many apples. How many apples does Ann have?", "no sentences"),
        ("Ann has 12 apples. How many apples does Ben have?", "not introduced"),
        ("Ann has 12 apples. Ann has 3 apples. How many apples does Ann have?", "twice"),
        ("Ann has 12 apples. How many pears does Ann have?", "several sorts"),
        ("Ann has 5 figs. Ben has half as many figs as Ann. How many figs does Ben have?", "not whole"),
        ("Ann has 5 figs. Ben has 9 fewer figs than Ann. How many figs does Ben have?", "less than 0"),
        ("Solve for h: 34*h - 42 = 163", "whole solution"),
    ],
)
def test_what_is_no_question_of_the_world_is_said_to_be_none(question: str, why: str) -> None:
    with pytest.raises(UnreadableError, match=why):
        read(question)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(UnreadableError):
        assert read(text).answer is not None


def test_a_division_is_exact_where_the_world_would_round() -> None:
    assert exact("a * k // m", {"a": 5, "k": 1, "m": 2}) == Fraction(5, 2)
    assert exact("a + a * k // 100", {"a": 40, "k": 25}) == 50
