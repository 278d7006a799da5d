import re

import pytest

from ponderosa.core import Completion, Ended, StepKind, make_format
from ponderosa.sapling.examples import long_solutions, translations
from ponderosa.sapling.languages import language_share, translate


@pytest.fixture(scope="module")
def solutions() -> list[dict[str, str]]:
    return long_solutions(60)


def test_a_long_solution_ends_with_an_answer_that_the_format_reads(solutions: list[dict[str, str]]) -> None:
    format = make_format("think")
    for row in solutions:
        *steps, last = format.split(Completion(row["response"], Ended.EOS))
        assert all(step.kind is StepKind.TEXT for step in steps)
        assert last.kind is StepKind.ANSWER
        assert last.answer == re.search(r"boxed\{(-?\d+)\}", row["response"])[1]


def test_it_keeps_to_one_language(solutions: list[dict[str, str]]) -> None:
    shares = [language_share(row["response"], "en") for row in solutions]
    assert set(shares) == {0.0, 1.0}


def restated(line: str) -> str:
    """The sentence that a line of thought is about."""
    return re.split(r" (?:So|Tial) \w+ =", line)[0]


def test_every_mistake_is_noticed(solutions: list[dict[str, str]]) -> None:
    doubts = {translate("Wait, that is not right.", language) for language in ("en", "eo")}
    noticed = 0
    for row in solutions:
        lines = row["response"].splitlines()
        for before, doubt, after in zip(lines, lines[1:], lines[2:], strict=False):
            if doubt in doubts:
                noticed += 1
                assert restated(before) == restated(after)
                assert before != after
    assert noticed


def test_a_translation_is_thoughtless_and_can_be_carried_back() -> None:
    for row in translations(10):
        asked = row["prompt"].partition("Translate: ")[2].partition("\n")[0]
        said = re.fullmatch(r"</think> <answer>(.*)</answer>", row["response"])[1]
        language = "en" if language_share(asked, "en") > 0.5 else "eo"
        assert translate(said, language) == asked


def test_other_seeds_give_other_rows() -> None:
    assert long_solutions(2, seed=0) == long_solutions(2, seed=0) != long_solutions(2, seed=1)
