import random

from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core import Kind, boxed_answer
from ponderosa.grading.choices import read_choice
from ponderosa.problems.choices import letter, listed
from ponderosa.sapling import StepClass, diagnose, problem_at
from ponderosa.sapling.audit import split_steps
from ponderosa.sapling.choices import NONE, choice, choice_document, lookup
from ponderosa.sapling.diagnosis import execute
from ponderosa.sapling.dialects import right_steps, step_texts

places = st.tuples(st.sampled_from(["train", "test"]), st.integers(0, 9), st.integers(0, 10**6))


@given(places)
def test_a_choice_is_listed_and_graded_as_those_of_data_sets_are(place):
    plain, problem = problem_at(*place), problem_at(*place, task="choice")
    texts = problem.meta["choices"]
    assert problem.kind is Kind.CHOICE
    assert problem.question == listed(plain.question, texts)
    assert problem.answer == letter(texts.index(plain.answer))
    assert read_choice(problem.answer, texts) == problem.answer
    assert len(set(texts)) == len(texts) == 5
    assert texts[-1] == NONE


@given(places)
def test_a_right_solution_boxes_the_letter_of_what_it_printed(place):
    problem = problem_at(*place, task="choice")
    _, code, output, answer = choice_document(problem, right_steps(problem))
    assert boxed_answer(answer.text) == problem.answer
    steps = split_steps(code.text)
    assert execute(steps) == problem.answer
    verdicts = diagnose(problem, [*steps[:-1], steps[-1] + output.text, answer.text])
    assert all(verdict.kind is StepClass.RIGHT and verdict.values_ok for verdict in verdicts)
    wrong = diagnose(
        problem, [*steps[:-1], steps[-1] + output.text, answer.text.replace(f"{{{problem.answer}}}", "{E}")]
    )
    assert wrong[-1].kind is StepClass.MALFORMED


@given(places)
def test_what_is_looked_up_is_what_python_would_print(place):
    problem = problem_at(*place, task="choice")
    assert eval(lookup(problem), {"answer": int(problem.meta["choices"][2])}) == "C"
    assert eval(lookup(problem), {"answer": 10**9}) == "E"
    missing = lookup(problem).replace('"A"', '"B"')
    steps = step_texts(right_steps(problem), missing)
    assert diagnose(problem, steps)[-1].kind is StepClass.MALFORMED


def test_a_value_that_is_not_listed_is_none_of_these():
    boxed = []
    for i in range(300):
        problem = problem_at("corpus", 2, i, task="choice")
        _, code, output, answer = choice(problem, random.Random(i))
        said = boxed_answer(answer.text)
        assert output.text == f"\n<output>{said}<end_of_output>"
        assert execute(split_steps(code.text)) == said
        boxed.append(said)
    assert set(boxed) == set("ABCDE")
