import asyncio

import pytest

from ponderosa.core import Graded, Kind, Problem, Verdict
from ponderosa.grading import ChoiceGrader
from ponderosa.grading.choices import read_choice

CHOICES = ("an apple", "a pear", r"$\frac{1}{2}$", "None of the above")


def problem(answer: str | None = "B", choices: tuple[str, ...] = CHOICES) -> Problem:
    return Problem("p", "Which?", answer, {"choices": choices}, Kind.CHOICE)


@pytest.mark.parametrize(
    "text",
    [
        *("B", "(B)", "B.", "B:", "b", "(b)", "[B]", r"\text{B}", r"\textbf{(B)}", "$B$", "Option B"),
        *("The answer is B.", "So the answer is (B).", r"Hence \boxed{B}"),
        *(
            "I think it's B",
            "Option B is correct.",
            "Therefore (B) is the answer.",
            "**B**",
            "The answer is **(B)** a pear.",
        ),
        *("The answer is for sure B, it can't be A or C", "It's not A because it is round, therefore I think it's B"),
        *("B. It can't be A or C", "A is wrong, so B"),
        *("(B) a pear", "B. A pear", "B) a pear", "a pear", "A Pear."),
    ],
)
def test_a_choice_is_named_in_any_usual_writing(text: str) -> None:
    assert read_choice(text, CHOICES) == "B"


@pytest.mark.parametrize("text", ["", "E", "pear", "B. an apple", "A or B", "AB", "12", "none", "a pear tree", "C D"])
def test_what_names_no_one_choice_is_none(text: str) -> None:
    assert read_choice(text, CHOICES) is None


def test_a_choice_is_named_by_its_value() -> None:
    assert read_choice("0.5", CHOICES) == "C"
    assert read_choice("none of the above", CHOICES) == "D"


def test_a_letter_is_the_choice_of_that_place_and_not_the_one_that_reads_so() -> None:
    assert read_choice("B", ("B", "A")) == "B"
    assert read_choice("b", ("b", "a")) == "A"  # a variable, not a label


def test_two_choices_that_read_the_same_are_named_by_their_letters_alone() -> None:
    assert read_choice("yes", ("yes", "yes")) is None
    assert read_choice("A", ("yes", "yes")) == "A"


@pytest.mark.parametrize(("answer", "right"), [("(B)", True), ("a pear", True), ("A", False), ("I do not know", False)])
def test_an_answer_is_right_or_wrong(answer: str, right: bool) -> None:
    assert asyncio.run(ChoiceGrader().grade(answer, problem())) == Verdict(right)


def test_a_reference_may_be_the_text() -> None:
    assert asyncio.run(ChoiceGrader().grade("B", problem("a pear"))).correct


def test_without_a_reference_there_is_no_verdict() -> None:
    assert asyncio.run(ChoiceGrader().grade("B", problem(None))).status is Graded.NO_REFERENCE
    assert asyncio.run(ChoiceGrader().grade("B", problem("a plum"))).status is Graded.ERROR


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [("B", "(B)", True), ("B", "a pear", True), ("A", "B", False), ("a plum", "A plum", True), ("a plum", "B", False)],
)
def test_votes_for_a_choice_are_merged(a: str, b: str, same: bool) -> None:
    assert asyncio.run(ChoiceGrader().equivalent(a, b, problem())) is same
    assert asyncio.run(ChoiceGrader().equivalent(b, a, problem())) is same
