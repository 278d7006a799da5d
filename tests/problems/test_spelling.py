# ruff: noqa: RUF001
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.problems.spelling import words

SAME = [
    ("What is $\\frac{1}{3}$ of 9?", "what is $\\dfrac13$ of $9$ ?"),
    ("Find $x$ if $x+2=5$.", "find x if x + 2 = 5"),
    ("Let $f(x) = x^{2}$.", "Let \\( f \\left( x \\right) = x^2 \\)"),
    ("Is $a \\leq b \\cdot c$?", "Is a ≤ b × c?"),
    ("She pays 1,234 dollars.", "She pays $1234$ dollars"),
    ("She pays 12{,}345 dollars.", "she pays 12,345 dollars!"),
    ("A “red” ball isn’t blue.", 'A "red" ball isn\'t blue'),
    ("The degree of 𝑥 and 𝐴", "the degree of x and A"),
    ("$\\frac{\\frac{1}{2}}{3}$ is what?", "1/2/3 is what"),
    ("The sum\n  is   $\\text{odd}$.", "The sum is odd"),
    ("a—b", "a b"),
    ("Plot $(1,-2)$ and $(3, 4)$", "Plot ( 1, -2 ) and (3,4)."),
    ("Let $y=\\frac{c e^{x}}{x}$", "let y = \\frac{c e^x}{x}"),
]

DIFFERENT = [
    ("Find x if x + 2 = 5.", "Find x if x - 2 = 5."),
    ("It is 1.5 long.", "It is 15 long."),
    ("What is 3 of 9?", "What is 4 of 9?"),
    ("Is a <= b?", "Is a < b?"),
    ("What is $\\sqrt{2}$?", "What is $2$?"),
    ("What is 12 3?", "What is 1 23?"),
    ("Plot (1, -2).", "Plot (1 - 2)."),
    ("What is 5!?", "What is 5?"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_spellings_of_one_question_are_the_same_words(one: str, other: str) -> None:
    assert words(one) == words(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_questions_that_ask_something_else_have_other_words(one: str, other: str) -> None:
    assert words(one) != words(other)


def test_a_formula_is_one_word() -> None:
    assert words("Solve $x^2 + 2 x = 3$ now.") == ["solve", "x^2+2", "x=3", "now"]


@given(st.text())
def test_any_text_has_words_without_white_space(text: str) -> None:
    assert all(word == "".join(word.split()) and word for word in words(text))


@given(st.lists(st.sampled_from(["apples", "x+1", "six", "has"])), st.sampled_from([" ", "  ", "\n", ", "]))
def test_what_divides_words_makes_no_difference(parts: list[str], between: str) -> None:
    assert words(between.join(parts)) == parts
