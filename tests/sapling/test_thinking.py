import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core import Completion, Ended, StepKind
from ponderosa.core.plain_formats import ThinkFormat
from ponderosa.sapling import StepClass, diagnose, problem_at
from ponderosa.sapling.dialects import Written, right_steps
from ponderosa.sapling.languages import language_share
from ponderosa.sapling.thinking import RESULT_WEIGHT, closing, computed, think, think_document, thoughts
from ponderosa.sapling.world import facts

places = st.tuples(st.sampled_from(["corpus", "test"]), st.integers(0, 9), st.integers(0, 10**6))
NUMBERS = {"ann": 12, "ben": 75, "cal": 480}


@pytest.mark.parametrize(
    ("expression", "chain"),
    [
        ("ann", "ann = 12"),
        ("40", "40"),
        ("ann - 4", "ann - 4 = 12 - 4 = 8"),
        ("2 * (ann + ben)", "2 * (ann + ben) = 2 * (12 + 75) = 2 * 87 = 174"),
        ("-(-ben // 9)", "-(-ben // 9) = -(-75 // 9) = 9"),
        ("ann - ben", "ann - ben = 12 - 75 = -63"),
        ("ann * 2 ** 3", "ann * 2 ** 3 = 12 * 2 ** 3 = 12 * 8 = 96"),
        ("cal * 75 // 100", "cal * 75 // 100 = 480 * 75 // 100 = (33600 + 2400) // 100 = 36000 // 100 = 360"),
        ("math.gcd(12, 18)", "gcd(12, 18) = 6"),
    ],
)
def test_a_line_computes_one_operation_at_a_time(expression, chain):
    assert computed(expression, NUMBERS) == chain


@given(places)
def test_every_link_of_a_chain_has_the_same_value(place):
    problem = problem_at(*place)
    truth, steps = facts(problem), right_steps(problem)
    names = truth | {"gcd": math.gcd, "lcm": math.lcm, "max": max, "min": min}
    for step, text in zip(steps, thoughts(steps, ["en"] * len(steps))[0], strict=True):
        links = text.rstrip(".\n").split(f" So {step.variable} = ")[1].split(" = ")
        assert {eval(link, dict(names)) for link in links} == {truth[step.variable]}  # our own text


@given(places, st.sampled_from(["en", "eo"]))
def test_a_right_solution_is_what_the_format_reads_and_the_world_finds_right(place, language):
    problem = problem_at(*place, language=language)
    steps = right_steps(problem)
    prompt, *segments = think_document(problem, steps, [language] * len(steps))
    solution = "".join(segment.text for segment in segments)
    form = ThinkFormat()
    assert prompt.text == form.render(problem.question).text
    parsed = form.split(Completion(solution, Ended.EOS))
    assert "".join(step.text for step in parsed) == solution
    assert [step.kind for step in parsed[:-1]] == [StepKind.TEXT] * len(steps)
    assert parsed[-1].answer == problem.answer
    verdicts = diagnose(problem, [step.text for step in parsed])
    assert all(verdict.kind is StepClass.RIGHT and verdict.values_ok for verdict in verdicts)


def _steps(problem, seed):
    text = "".join(segment.text for segment in think(problem, random.Random(seed))[1:])
    return [step.text for step in ThinkFormat().split(Completion(text, Ended.EOS))]


def test_what_is_computed_weighs_more_than_what_is_copied():
    for i in range(40):
        problem = problem_at("corpus", 4, i, arithmetic=0)
        heavy = [s.text for s in think(problem, random.Random(i)) if s.weight == RESULT_WEIGHT]
        assert not any(name in text for text in heavy for name in facts(problem))
        assert all(text[0] == " " and text[1] in "-(0123456789" for text in heavy)
    steps = [Written("Ann has 3 more than Ben.", "answer", "2 * (ben + 3)")]
    values = [Written("Ben has 4.", "ben", "4"), *steps]
    heavy = [s.text for s in think_document(problem, values, ["en"] * 2) if s.weight == RESULT_WEIGHT]
    assert heavy == [" 2 * 7 = 14.\n"]


def test_what_the_corpus_holds_is_never_misread_or_miscalculated():
    known = {StepClass.RIGHT, StepClass.WRONG_WAY, StepClass.SECOND_THOUGHT}
    for i in range(60):
        problem = problem_at("corpus", 4, i, language="both")
        assert {verdict.kind for verdict in diagnose(problem, _steps(problem, i))} <= known


def test_some_wrong_lines_are_taken_back_and_put_right():
    wrong = noticed = 0
    for i in range(400):
        problem = problem_at("corpus", 4, i, arithmetic=0)
        verdicts = diagnose(problem, _steps(problem, i))
        kinds = [verdict.kind for verdict in verdicts]
        wrong += kinds.count(StepClass.WRONG_WAY)
        for place, kind in enumerate(kinds):
            if kind is StepClass.SECOND_THOUGHT:
                noticed += 1
                assert kinds[place - 1] is StepClass.WRONG_WAY
                assert kinds[place + 1] is StepClass.RIGHT
                assert not verdicts[place].values_ok
    assert 0.05 < noticed / wrong < 0.15


def test_most_thinking_is_in_the_language_of_the_question():
    shares = []
    for i in range(400):
        problem = problem_at("corpus", 5, i, arithmetic=0, language="both")
        shares.append(language_share("".join(_steps(problem, i)), problem.meta["language"]))
    own = sum(share == 1 for share in shares) / len(shares)
    assert 0.65 < own < 0.8
    assert min(shares) == 0
    assert any(0 < share < 1 for share in shares)


def _word_problem():
    return next(p for i in range(99) if (p := problem_at("train", 0, i, (2,), 0)).meta["kinds"][0] == "given")


def test_a_line_that_gets_its_arithmetic_wrong_is_miscalculated_and_goes_on_with_what_it_wrote():
    problem = _word_problem()
    right = right_steps(problem)
    lines = thoughts(right, ["en"] * len(right))[0]
    place = next(i for i, line in enumerate(lines) if line.count(" = ") > 2)
    head, _, value = lines[place].rstrip(".\n").rpartition(" = ")
    lines[place] = f"{head} = {int(value) + 1}.\n"
    verdict = diagnose(problem, lines)[place]
    assert (verdict.kind, verdict.value, verdict.values_ok) == (StepClass.MISCALCULATED, int(value) + 1, False)


def test_a_line_of_another_sentence_is_miscopied_and_an_answer_of_ones_own_malformed():
    problem = _word_problem()
    verdicts = diagnose(problem, ["Nobody has 3 apples. So nobody = 3.\n", closing(3)])
    assert [verdict.kind for verdict in verdicts] == [StepClass.MISCOPIED, StepClass.MALFORMED]
