import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core.problem import Problem
from ponderosa.sapling import MISREAD, StepClass, diagnose, problem_at
from ponderosa.sapling.diagnosis import execute
from ponderosa.sapling.dialects import noisy_steps, right_steps, run, step_texts
from ponderosa.sapling.world import ANSWER

places = st.tuples(st.sampled_from(["corpus", "test"]), st.integers(0, 9), st.integers(0, 10**6))


def sentence(text, kind, entity, uses, numbers, value):
    fields = {"text": text, "kind": kind, "phrasing": 0, "entity": entity}
    return fields | {"uses": uses, "numbers": numbers, "value": value}


PROBLEM = Problem(
    "p",
    "Ann has 12 apples. 5 of the apples of Ann are green. Ann has 4 more apples than Ben. "
    "How many apples does Ben have?",
    "8",
    {
        "sentences": [
            sentence("Ann has 12 apples.", "given", "ann", [], [12], 12),
            sentence("5 of the apples of Ann are green.", "quality", "ann", ["ann"], [5], 12),
            sentence("Ann has 4 more apples than Ben.", "reversed_more", "ben", ["ann"], [4], 8),
            sentence("How many apples does Ben have?", "has", "answer", ["ben"], [], 8),
        ]
    },
)
FIRST = "<code>\n# Step 1: Ann has 12 apples.\nann = 12\n<end_of_step>"


@given(places)
def test_right_solutions_are_right_in_every_step(place):
    problem = problem_at(*place)
    verdicts = diagnose(problem, step_texts(right_steps(problem)))
    assert all(v.kind is StepClass.RIGHT and v.values_ok for v in verdicts)


@given(places, st.integers())
def test_noisy_solutions_hold_wrong_ways_and_no_misread_step(place, seed):
    problem = problem_at(*place)
    steps = noisy_steps(problem, random.Random(seed))
    verdicts = diagnose(problem, step_texts(steps))
    assert not any(v.kind in MISREAD for v in verdicts)
    assert verdicts[-1].values_ok == all(v.kind is StepClass.RIGHT for v in verdicts)
    assert execute(step_texts(steps)) == str(run(steps)[ANSWER])


@pytest.mark.parametrize(
    ("comment", "code", "expected", "values_ok"),
    [
        ("Ann has 4 more apples than Ben.", "ben = ann - 4", StepClass.RIGHT, True),
        ("Ann has 4 more apples than Ben.", "ben = -4 + ann", StepClass.RIGHT, True),
        ("Ann has 4 more apples than Ben.", "ben = ann + 4", StepClass.WRONG_WAY, False),
        ("Ann has 4 more apples than Ben.", "ben = ann - 5", StepClass.MISBOUND, False),
        ("Ann has 4 more apples than Ben.", "ben = cal - 4", StepClass.MISBOUND, False),
        ("Ann has 4 more apples than Ben.", "cal = ann - 4", StepClass.MISBOUND, False),
        ("Ann has 4 more apples than Ben.", "ben = 8", StepClass.MISBOUND, True),
        ("Ann has 14 more apples than Ben.", "ben = ann - 14", StepClass.MISCOPIED, False),
        ("5 of the apples of Ann are green.", "ann = ann - 5", StepClass.WRONG_WAY, False),
        ("Ann has 4 more apples than Ben.", "ben = ann -", StepClass.MISBOUND, False),
        ("Ann has 4 more apples than Ben.", "ben := 4", StepClass.MALFORMED, True),
    ],
)
def test_a_step_is_classed_by_what_it_does(comment, code, expected, values_ok):
    verdicts = diagnose(PROBLEM, [FIRST, f"\n# Step 2: {comment}\n{code}\n<end_of_step>"])
    assert verdicts[0].kind is StepClass.RIGHT
    assert (verdicts[1].kind, verdicts[1].values_ok) == (expected, values_ok)


def test_a_wrong_value_stays_wrong_for_all_later_steps():
    steps = [
        FIRST,
        "\n# Step 2: Ann has 4 more apples than Ben.\nben = ann + 4\n<end_of_step>",
        "\n# Step 3: How many apples does Ben have?\nanswer = ben\n<end_of_step>",
        "\n# Now print the final answer\nprint(answer)\n<end_of_code>\n<output>16<end_of_output>",
        "\n<answer>The answer is \\boxed{16}.\n<end_of_answer>",
    ]
    verdicts = diagnose(PROBLEM, steps)
    assert [v.values_ok for v in verdicts] == [True, False, False, False, False]
    assert [v.kind for v in verdicts if v.kind is not StepClass.RIGHT] == [StepClass.WRONG_WAY]
    assert [v.value for v in verdicts[:3]] == [12, 16, 16]


@pytest.mark.parametrize(
    "closing",
    [
        "\n# Now print the final answer\nprint(ann)\n<end_of_code>",
        "\n<answer>The answer is \\boxed{16}.\n<end_of_answer>",
        "garbage",
    ],
)
def test_a_result_that_is_not_the_programs_is_malformed(closing):
    steps = [FIRST, "\n# Step 2: How many apples does Ben have?\nanswer = ann\n<end_of_step>", closing]
    assert diagnose(PROBLEM, steps)[-1].kind is StepClass.MALFORMED
