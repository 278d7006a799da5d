from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponderosa.core import PonderosaError
from ponderosa.sapling import problem_at, problems

TASKS = ("math", "choice", "code")


def _asked(problem):
    """What is asked, without the choices."""
    return problem.question.split("\n")[0]


@pytest.mark.parametrize(("task", "split"), [("math", "train"), ("choice", "train"), ("code", "test"), ("code", "dev")])
def test_five_hundred_problems_are_five_hundred_questions(task, split):
    at_places = [problem_at(split, 0, i, task=task) for i in range(500)]
    assert len({_asked(p) for p in at_places}) < 500  # else nothing is tested
    drawn = problems(split, 0, 0, 500, task=task)
    assert len({_asked(p) for p in drawn}) == len({p.id for p in drawn}) == 500


@pytest.mark.parametrize("task", TASKS)
def test_the_splits_share_no_question(task):
    asked = [{_asked(p) for p in problems(split, 0, 0, 300, task=task)} for split in ("train", "dev", "test")]
    assert not any(one & other for one, other in combinations(asked, 2))


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(["train", "dev", "test"]),
    st.integers(0, 3),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 20)), min_size=2, max_size=4),
)
def test_a_place_holds_the_same_problem_in_whatever_order_places_are_asked_for(split, seed, ranges):
    # One operation alone, where a place in five draws again.
    whole = problems(split, seed, 0, 60, levels=[1], task="code")
    for start, count in ranges:
        assert problems(split, seed, start, count, levels=(1,), task="code") == whole[start : start + count]
    assert len({p.question for p in whole}) == len(whole)


def test_a_place_draws_again_only_where_its_question_stands_before():
    seen = set()
    again = 0
    for i, problem in enumerate(problems("test", 0, 0, 300, task="code")):
        own = problem_at("test", 0, i, task="code")
        assert (problem == own) == (own.question not in seen)
        seen.add(problem.question)
        again += problem != own
    assert 10 < again < 100


def test_in_both_languages_a_question_stands_once():
    drawn = problems("train", 2, 0, 200, arithmetic=1.0, language="both")
    english = problems("train", 2, 0, 200, arithmetic=1.0)
    assert [p.answer for p in drawn] == [p.answer for p in english]
    assert {p.meta["language"] for p in drawn} == {"en", "eo"}


def test_a_world_without_so_many_questions_says_so():
    with pytest.raises(PonderosaError, match=r"the split test has hardly .* at the levels 1: ask for fewer"):
        problems("test", 0, 0, 400, levels=(1,), task="code")
