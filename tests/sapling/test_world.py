import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponderosa.sapling import facts, problems
from ponderosa.sapling.arithmetic import ExpressionError
from ponderosa.sapling.dialects import right_steps, run
from ponderosa.sapling.kinds import LARGEST_VALUE
from ponderosa.sapling.questions import QUESTIONS
from ponderosa.sapling.relations import DERIVED, RELATIONS
from ponderosa.sapling.vocabulary import NAMES, NO_OPS
from ponderosa.sapling.world import (
    ANSWER,
    KINDS,
    LEVELS,
    SPLITS,
    belongs,
    combinations,
    is_held_out,
    sentences,
    word_problem,
)

places = st.tuples(st.integers(0, 10**6), st.integers(0, 10**9), st.sampled_from(LEVELS))
splits = st.sampled_from(SPLITS)


@given(splits, places)
def test_a_problem_is_a_pure_function_of_its_place(split, place):
    assert word_problem(split, *place) == word_problem(split, *place)


@given(splits, places)
def test_only_test_problems_hold_held_out_combinations_and_each_of_them_does(split, place):
    held_out = [is_held_out(*pair) for pair in combinations(sentences(word_problem(split, *place)))]
    assert any(held_out) == (split == "test")


@given(splits, places)
def test_a_question_belongs_to_one_split_alone(split, place):
    question = word_problem(split, *place).question
    assert [s for s in SPLITS if belongs(question, s)] == [split]


@given(splits, places)
def test_every_value_is_a_small_whole_number_and_the_last_is_the_answer(split, place):
    problem = word_problem(split, *place)
    values = facts(problem)
    assert all(isinstance(v, int) and 1 <= v <= LARGEST_VALUE for v in values.values())
    assert str(values[ANSWER]) == problem.answer


@given(splits, places)
def test_the_right_ways_compute_the_facts_exactly(split, place):
    problem = word_problem(split, *place)
    assert run(right_steps(problem)) == facts(problem)


@given(splits, places)
def test_divisions_are_exact_where_a_value_is_a_share(split, place):
    # Floor division is only meant to round in these kinds.
    rounding = {"bags_needed", "bags_for_all", "left_over"}
    for sentence in sentences(word_problem(split, *place)):
        way = KINDS[sentence.kind].right
        if "//" in way and sentence.kind not in rounding:
            values = facts(word_problem(split, *place))
            env = {name: values[name] for name in sentence.uses}
            exact = eval(  # the formulas of the world itself
                way.replace("//", "/"),
                dict(zip("abc", env.values(), strict=False)) | dict(zip("kmn", sentence.numbers, strict=False)),
            )
            assert exact == sentence.value


@given(splits, places)
def test_wrong_ways_differ_from_the_right_one(split, place):
    problem = word_problem(split, *place)
    values = facts(problem)
    for sentence in sentences(problem):
        for way in KINDS[sentence.kind].wrong:
            assert sentence.evaluate(way, values) != sentence.value


@given(splits, places)
def test_one_wrong_way_leads_to_a_wrong_answer(split, place):
    problem = word_problem(split, *place)
    written = [s for s in sentences(problem) if not s.is_no_op]
    truth = facts(problem)
    for i, sentence in enumerate(written):
        for way in KINDS[sentence.kind].wrong:
            values = dict(truth)
            values[sentence.entity] = sentence.evaluate(way, truth)
            try:
                for later in written[i + 1 :]:
                    values[later.entity] = later.evaluate(KINDS[later.kind].right, values)
            except ExpressionError:
                continue
            assert values[ANSWER] != truth[ANSWER]


@given(splits, places)
def test_the_level_is_the_number_of_relations_that_use_an_earlier_entity(split, place):
    problem = word_problem(split, *place)
    derived = {kind.name for kind in DERIVED}
    assert sum(s.kind in derived for s in sentences(problem)) == place[2] == problem.meta["level"]


@given(splits, places)
def test_entities_are_defined_before_they_are_used_and_sentences_make_up_the_question(split, place):
    problem = word_problem(split, *place)
    defined: set[str] = set()
    for sentence in sentences(problem):
        assert set(sentence.uses) <= defined
        if not sentence.is_no_op:
            assert sentence.entity not in defined
            defined.add(sentence.entity)
    assert problem.question == " ".join(s.text for s in sentences(problem))
    assert "{" not in problem.question


def test_there_are_enough_kinds_with_three_phrasings_each():
    assert len(RELATIONS) >= 22
    assert len(QUESTIONS) >= 8
    assert all(len(kind.phrasings) >= 3 for kind in KINDS.values())


def test_every_kind_appears_at_every_split():
    for split in SPLITS:
        seen = {kind for p in problems(split, 5, 0, 1500, arithmetic=0) for kind in p.meta["kinds"]}
        assert seen == set(KINDS)


def test_held_out_combinations_are_a_small_share():
    pairs = [(used, user) for used in RELATIONS for user in [*(k.name for k in DERIVED), *QUESTIONS]]
    assert 0.08 < sum(is_held_out(*pair) for pair in pairs) / len(pairs) < 0.16


def test_variables_are_distinct_and_no_sentence_is_a_part_of_another():
    assert len({name.lower() for name in NAMES}) == len(NAMES)
    templates = sorted(p for kind in KINDS.values() for p in kind.phrasings)
    assert all(first != second for first, second in pairwise(templates))


@settings(max_examples=20)
@given(splits, st.integers(0, 200), st.integers(1, 5))
def test_problems_of_a_range_do_not_depend_on_where_the_range_begins(split, start, count):
    assert problems(split, 1, start, count) == problems(split, 1, start - start % 3, count + start % 3)[start % 3 :]


def test_identities_are_unique_and_levels_and_shares_are_as_asked():
    drawn = problems("train", 3, 0, 600, levels=(2, 4), arithmetic=0.25)
    assert len({p.id for p in drawn}) == len(drawn)
    assert {p.meta["level"] for p in drawn} == {0, 2, 4}
    assert 0.18 < sum(p.meta["level"] == 0 for p in drawn) / len(drawn) < 0.32


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="splits are"):
        word_problem("validation", 0, 0, 1)


def test_no_ops_do_not_change_what_is_true():
    rng = random.Random(0)
    with_no_ops = [
        p for p in problems("train", rng.randrange(99), 0, 100, arithmetic=0) if set(p.meta["kinds"]) & set(NO_OPS)
    ]
    assert with_no_ops
    for problem in with_no_ops:
        assert not any(
            step.comment == s.text for step in right_steps(problem) for s in sentences(problem) if s.is_no_op
        )
