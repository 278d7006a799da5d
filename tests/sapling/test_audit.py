import pytest

from ponderosa.sapling import StepClass, problem_at, problems
from ponderosa.sapling.audit import Audit, Measured, is_right
from ponderosa.sapling.card import dialect_figures
from ponderosa.sapling.dialects import code_document, right_steps, step_texts
from ponderosa.sapling.programs import code_step, instructions, paragraphs
from ponderosa.sapling.thinking import closing, thoughts


def _thinking(problem):
    steps = right_steps(problem)
    lines, answer = thoughts(steps, ["en"] * len(steps))
    return [*lines, closing(answer)]


def test_a_right_solution_of_every_dialect_counts():
    result = Audit()
    problem = problem_at("test", 0, 1)
    answer = code_document(problem, right_steps(problem))[-1].text
    result.add(problem, [*step_texts(right_steps(problem)), answer])
    result.add(problem, _thinking(problem))
    program = problem_at("test", 0, 1, task="code")
    ways = [one.ways[0] for one in instructions(program)]
    result.add(program, [*paragraphs(program, ways), code_step(program, ways)])
    assert (result.count, result.correct, result.misread, result.lucky) == (3, 3, 0, 0)
    assert result.accuracy == 1
    assert result.first_error == {"none": 3}
    assert result.own_language == 3


def test_the_first_error_and_its_class_are_counted():
    problem = problem_at("test", 0, 1, arithmetic=0)
    lines = _thinking(problem)
    lines[-1] = closing("12345")
    result = Audit()
    result.add(problem, lines)
    result.add(problem, [])
    assert (result.correct, result.misread) == (0, 1)
    assert result.share_with(StepClass.MALFORMED) == 0.5


@pytest.mark.parametrize("rest", ["", "\nand more words\n"])
def test_a_program_is_right_if_it_is_the_right_one(rest):
    (problem,) = problems("test", 3, 0, 1, task="code")
    assert is_right(problem, [f"```python\n{problem.answer}\n```\n{rest}"])
    assert not is_right(problem, [f"```python\n{problem.answer.replace('xs)', 'ys)')}\n```\n"])
    assert not is_right(problem, [])


def test_figures_of_several_dialects_are_a_table():
    problem = problem_at("test", 0, 1)
    result = Audit()
    result.add(problem, _thinking(problem))
    text = dialect_figures({"think (think)": Measured(result, 1, 1.0, 0.25)}, 7, 8, 1.0)
    assert "| think (think) | 100.0% | 100.0% | 25.0% | 0.0% | 0.0% | 0.0% | 100.0% | 0 |" in text
    assert "1 problems of the test split a dialect, seed 7" in text
