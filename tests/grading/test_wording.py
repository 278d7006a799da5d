import pytest

from ponderosa.grading.grader import compare_quickly
from ponderosa.grading.wording import same_wording


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("Evelyn", "evelyn", True),
        ("New York", "new york", True),
        ("an ellipse", "Ellipse", True),
        ("north", "south", False),
        ("xy", "yx", None),
        ("B", "(B) 12", True),
        ("B", "(C) 12", False),
        ("(B)(C)", "(B)(D)", None),
        ("March 5, 2024", "2024-03-05", True),
        ("5th March 2024", "Mar. 5 2024", True),
        ("March 5, 2024", "2024-05-03", False),
        ("March 5, 2024", "3/5/2024", True),
        ("March 5", "5th March", True),
        ("March 5", "March 6", False),
        ("12:30 p.m", "12:30 PM", True),
        ("12:30 p.m", "12:30", True),
        ("3 pm", "15:00", True),
        ("3:00 a.m", "3:00 p.m", False),
        ("3:00 p.m", "3:01 p.m", False),
        ("12:00 a.m", "0:00", True),
        ("3:15", "15:15", None),
        ("5 cm", "5", None),
        ("x", "X", None),
        ("ACB", "ABC", False),
        ("ABC", "ABC", True),
        ("AB", "BA", None),
        ("\\pi", "3", None),
        ("x+1", "1+x", None),
    ],
)
def test_words_dates_and_times(a: str, b: str, same: bool | None) -> None:
    assert same_wording(a, b) is same
    assert same_wording(b, a) is same


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        ("3.5", "3 1/2", True),
        ("-7/2", "-3 1/2", True),
        ("31/2", "3 1/2", False),
        ("\\begin{bmatrix}1&2\\\\3&4\\end{bmatrix}", "\\begin{bmatrix} 1 & 2 \\\\ 3 & 4 \\end{bmatrix}", True),
        ("\\$12.50", "12.5 dollars", True),
    ],
)
def test_mixed_numbers_matrices_and_money(gold: str, answer: str, right: bool) -> None:
    verdict = compare_quickly(gold, answer)
    assert verdict is not None
    assert verdict.correct is right
