import time

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
        ("**5**", "5"),
        ("**Answer:** 5", "5"),
        ("**Final Answer**\n$5$", "$5$"),
        ("x**2 + y**2", "x**2 + y**2"),
        ("<think>4?</think> <answer>5</answer>", "5"),
        ("Therefore, x = 5.", "x = 5."),
        ("Thus\n\\[\nx = 5.\n\\]", "\\[ x = 5 \\]"),
        ("The answer is 5, not 2", "5"),
        ("The answer is 5 because 2 + 3 = 5", "5"),
        ("There are 6 in all. I hope it is correct.", "6"),
        ("The largest $n$ is 34.", "34"),
        ("The point nearest to it is (1, 2).", "(1, 2)"),
        ("The solutions of this are 1 and 2.", "1 and 2"),
        ("The day of the party is Tuesday.", "Tuesday"),
        ("Yes, it is possible.", "Yes"),
        ("There are 4 objects and 4/9 remain.", "4/9"),
        ("Ans: 5", "5"),
        ("\\boxed{1} and \\boxed{-2}", "1, -2"),
        ("$\\boxed{(1,2)} \\quad \\text{or} \\quad \\boxed{(3,4)}$", "(1,2), (3,4)"),
        ("It is \\boxed{5}, so \\boxed{5}", "5"),
        ("Not \\boxed{5}, no: \\boxed{7}", "7"),
        ("\\boxed{1} gives x^{2} and \\boxed{3}", "3"),
        ("所以一共有**858颗**糖果。", "858"),
        ("2or-2or\\frac{1}{2}or-\\frac{1}{2}", "2or-2or\\frac{1}{2}or-\\frac{1}{2}"),
        ("New York", "New York"),
        ("x^2 + 1", "x^2 + 1"),
        ("(1, 2]", "(1, 2]"),
        ("5 cm", "5 cm"),
        ("\\( so we are left, after all of that, with \\(x\\)", "x"),
        ("", ""),
    ],
)
def test_the_answer_in_a_text(text: str, answer: str) -> None:
    assert extract_answer(text) == answer


@pytest.mark.parametrize(
    "piece", ["\\[", "\\(", "$", "} ", "\\boxed{1} and ", "<answer>", "so ", "**a ", "answer is ", "1 "]
)
def test_a_text_of_openings_takes_no_time(piece: str) -> None:
    started = time.process_time()
    extract_answer(piece * 50_000)
    assert time.process_time() - started < 2


WORDS = ["so", "there are", "the answer is", "Answer:", "is", "not", "and", "5", "x", "$x=2$", "\\[", "\\]", "$", "**"]
WORDS += ["\\boxed{3}", "\\boxed{", "}", ".", ",", "; ", "\n", "####", "<answer>", "</answer>", "yes,", "=", "apples"]


@given(st.text() | st.lists(st.sampled_from(WORDS)).map(" ".join))
def test_any_text_has_one(text: str) -> None:
    assert isinstance(extract_answer(text), str)


@pytest.mark.parametrize("opened", [r"\(", r"\[", "$$", "$", "#### ", r"\boxed{", "the answer is "])
def test_a_text_that_opens_again_and_again_and_never_closes_takes_no_longer_than_another(opened: str) -> None:
    began = time.monotonic()
    extract_answer(opened * 50_000)
    assert time.monotonic() - began < 3
