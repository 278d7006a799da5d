import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.grading import extract_answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("18", "18"),
        ("so \\boxed{\\frac{1}{2}} it is, not 3", "\\frac{1}{2}"),
        ("She has 9 left.\n#### 1,234", "1,234"),
        ("The answer is 18.", "18"),
        ("Thus the final answer is: $x = 3$. I hope it is correct.", "$x = 3$"),
        ("The answer is 2. No, wait: the answer is 3.5.", "3.5"),
        ("We add them all up and get $a+b$ in the end", "a+b"),
        ("There are 12 apples and 30 pears in them, all told 42", "42"),
        ("New York", "New York"),
        ("x^2 + 1", "x^2 + 1"),
        ("(1, 2]", "(1, 2]"),
        ("5 cm", "5 cm"),
        ("", ""),
    ],
)
def test_the_answer_in_a_text(text: str, answer: str) -> None:
    assert extract_answer(text) == answer


@given(st.text())
def test_any_text_has_one(text: str) -> None:
    assert isinstance(extract_answer(text), str)
