import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core import PonderosaError
from ponderosa.core.format import CodeFormat, boxed_answer
from ponderosa.sapling import problem_at
from ponderosa.sapling.corpora import CORPORA, corpus
from ponderosa.sapling.corpus import document
from ponderosa.sapling.dialects import code_document, noisy_steps, right_steps, step_texts, wrong_rate
from ponderosa.sapling.thinking import RESULT_WEIGHT
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


@given(st.sampled_from(sorted(CORPORA)), st.integers(0, 10**6))
def test_loss_weights_read_little_and_never_learn_the_output(name, index):
    prompt, *rest = document(1, index, name)
    assert prompt.weight == 0.1
    assert {segment.weight for segment in rest} <= {0.0, 1.0, RESULT_WEIGHT}
    assert all(segment.weight == 0 for segment in rest if "<output>" in segment.text)


def test_a_corpus_mixes_its_dialects_by_their_parts():
    texts = ["".join(segment.text for segment in document(2, i, "polyglot")) for i in range(400)]
    shares = {
        "code": sum("<code>" in text and "(A)" not in text for text in texts) / len(texts),
        "choice": sum("<code>" in text and "(A)" in text for text in texts) / len(texts),
        "think": sum("</think> <answer>" in text for text in texts) / len(texts),
        "program": sum("def solve" in text for text in texts) / len(texts),
    }
    parts = {dialect: source.parts for dialect, source in CORPORA["polyglot"].sources.items()}
    assert sum(shares.values()) == pytest.approx(1)
    for dialect, share in shares.items():
        assert share == pytest.approx(parts[dialect] / sum(parts.values()), abs=0.08)


def test_a_corpus_that_is_not_known_names_those_that_are():
    with pytest.raises(PonderosaError, match="code, polyglot"):
        corpus("latin")


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
