import random

from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core.format import CodeFormat, boxed_answer
from ponderosa.sapling import problem_at
from ponderosa.sapling.dialects import DIALECTS, code_document, noisy_steps, right_steps, step_texts, wrong_rate
from ponderosa.sapling.world import KINDS

places = st.tuples(st.sampled_from(["corpus", "test"]), st.integers(0, 9), st.integers(0, 10**6))


@given(places)
def test_a_document_is_the_format_that_search_renders(place):
    problem = problem_at(*place)
    form = CodeFormat()
    prompt, steps, output, answer = code_document(problem, right_steps(problem))
    assert prompt.text == form.render(problem.question).text
    *before, last = step_texts(right_steps(problem))
    assert steps.text + output.text == "".join(before) + form.with_output(last, problem.answer)
    assert boxed_answer(answer.text) == problem.answer


@given(places)
def test_right_solutions_run_to_the_answer_in_python(place):
    problem = problem_at(*place)
    program = CodeFormat().program(step_texts(right_steps(problem)))
    printed: list[int] = []
    exec(program, {"print": printed.append})  # our own text
    assert [str(value) for value in printed] == [problem.answer]


@given(places, st.integers())
def test_loss_weights_read_little_and_never_learn_the_output(place, seed):
    problem = problem_at(*place)
    for dialect in DIALECTS.values():
        segments = dialect(problem, random.Random(seed))
        assert segments[0].weight == 0.1
        assert all(0 <= s.weight <= 1 for s in segments)
        assert all(s.weight == 0 for s in segments if "<output>" in s.text)


def test_how_often_a_sentence_is_solved_wrongly_depends_on_kind_and_phrasing_alone():
    rates = [wrong_rate(name, i) for name, kind in KINDS.items() for i in range(len(kind.phrasings)) if kind.wrong]
    assert min(rates) > 0
    assert max(rates) < 0.75  # the right way must be there to be found
    assert 0.08 < sum(rate > 0.5 for rate in rates) / len(rates) < 0.25


def test_the_corpus_errs_as_often_as_its_cells_say():
    rng = random.Random(1)
    problem = next(p for i in range(500) if "weeks" in (p := problem_at("corpus", 0, i)).meta["kinds"])
    sentence = next(s for s in problem.meta["sentences"] if s["kind"] == "weeks")
    count = 2000
    wrong = sum(
        step.variable == sentence["entity"] and " * 7 * " not in step.expression
        for _ in range(count)
        for step in noisy_steps(problem, rng)
    )
    assert abs(wrong / count - wrong_rate("weeks", sentence["phrasing"])) < 0.05
