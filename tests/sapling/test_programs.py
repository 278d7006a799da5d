import asyncio
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core import Completion, Ended, Kind
from ponderosa.core.plain_formats import ProgramFormat
from ponderosa.execution import ExecutionSettings, Limits, make_executor
from ponderosa.grading.programs import CodeGrader
from ponderosa.sapling import StepClass, diagnose, problem_at, problems
from ponderosa.sapling.operations import OPERATIONS
from ponderosa.sapling.programs import code_step, instructions, paragraphs, program, program_document, write_program
from ponderosa.sapling.programs import wrong_rate as rate_of
from ponderosa.sapling.world import is_held_out

places = st.tuples(st.sampled_from(["train", "test"]), st.integers(0, 9), st.integers(0, 10**6))


def _passes(problem, ways):
    asked = instructions(problem)
    names = {}
    exec(program([one.statement(way) for one, way in zip(asked, ways, strict=True)]), names)  # our own text
    try:
        exec(problem.meta["tests"][0]["code"], names)
    except (AssertionError, ArithmeticError, IndexError, TypeError, ValueError):
        return False
    return True


@given(places)
def test_the_right_program_passes_the_tests_and_every_single_wrong_way_fails_them(place):
    problem = problem_at(*place, task="code")
    right = [one.ways[0] for one in instructions(problem)]
    assert problem.kind is Kind.CODE
    assert problem.checkable
    assert problem.answer == program([one.statement(one.ways[0]) for one in instructions(problem)])
    assert _passes(problem, right)
    for i, one in enumerate(instructions(problem)):
        for way in one.ways[1:]:
            assert not _passes(problem, [*right[:i], way, *right[i + 1 :]])


@given(places)
def test_only_test_problems_hold_a_combination_that_is_held_out(place):
    kinds = problem_at(*place, task="code").meta["kinds"]
    assert any(is_held_out(*pair) for pair in pairwise(kinds)) == (place[0] == "test")


@pytest.mark.parametrize("split_at", [ProgramFormat(), ProgramFormat(paragraphs=True)])
@given(place=places, seed=st.integers())
def test_a_document_is_what_both_formats_read_and_the_world_judges(split_at, place, seed):
    problem = problem_at(*place, task="code")
    prompt, solution = write_program(problem, random.Random(seed))
    assert prompt.text == split_at.render(problem.question).text
    parsed = split_at.split(Completion(solution.text.removesuffix("```\n"), Ended.STOP, "```\n"))
    assert "".join(step.text for step in parsed) == solution.text
    verdicts = diagnose(problem, [step.text for step in parsed])
    assert {verdict.kind for verdict in verdicts} <= {StepClass.RIGHT, StepClass.WRONG_WAY}
    assert verdicts[-1].kind is StepClass.RIGHT
    assert verdicts[-1].values_ok == (parsed[-1].answer == problem.answer)


def test_a_program_that_is_not_that_of_its_paragraphs_is_malformed():
    problem = next(p for p in problems("train", 0, 0, 99, task="code") if len(instructions(p)) > 2)
    asked = instructions(problem)
    right = [one.ways[0] for one in asked]
    words = paragraphs(problem, right)
    assert diagnose(problem, [*words, code_step(problem, right)])[-1].values_ok
    other = code_step(problem, right).replace("xs = ", "xs  = ")
    assert diagnose(problem, [*words, other])[-1].kind is StepClass.MALFORMED
    swapped = diagnose(problem, [words[1], words[0]])
    assert swapped[0].kind is StepClass.MISBOUND
    assert not swapped[1].values_ok
    assert diagnose(problem, ["Do nothing. So xs = xs\n\n"])[0].kind is StepClass.MISCOPIED
    assert diagnose(problem, ["Well.\n\n"])[0].kind is StepClass.MALFORMED


def test_no_phrasing_is_of_two_operations():
    phrasings = [text for operation in OPERATIONS.values() for text in operation.phrasings]
    assert len(set(phrasings)) == len(phrasings)
    assert all(len(operation.phrasings) == 3 for operation in OPERATIONS.values())


def test_how_often_the_corpus_errs_leaves_the_right_way_to_be_found():
    rates = [rate_of(name, i) for name, operation in OPERATIONS.items() for i in range(3) if operation.wrong]
    assert min(rates) > 0
    assert max(rates) < 0.75
    assert 0.05 < sum(rate > 0.5 for rate in rates) / len(rates) < 0.2


def test_the_graders_sandbox_agrees():
    problem = problem_at("train", 0, 3, task="code")
    right = [one.ways[0] for one in instructions(problem)]
    place = next(i for i, one in enumerate(instructions(problem)) if len(one.ways) > 1)
    wrong = [*right[:place], instructions(problem)[place].ways[1], *right[place + 1 :]]
    texts = [program_document(problem, ways)[1].text for ways in (right, wrong)]

    async def graded():
        executor = make_executor(ExecutionSettings(limits=Limits(wall_s=5.0)))
        try:
            return [(await CodeGrader(executor).grade(text, problem)).correct for text in texts]
        finally:
            await executor.close()

    assert asyncio.run(graded()) == [True, False]
