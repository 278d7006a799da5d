import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.grading import normalise
from ponderosa.grading.normal_form import tidy


@pytest.mark.parametrize(
    "same",
    [
        [
            "5",
            " 5 ",
            "+5",
            "5.",
            "5.0",
            "$5$",
            r"\(5\)",
            r"\boxed{5}",
            r"\$5",
            "5^\\circ",
        ],
        ["1/2", ".5", "0.50", r"\frac{1}{2}", r"\dfrac12", r"\tfrac{1}{2}", "2/4"],
        ["1234", "1,234", "1{,}234", r"1\,234", r"1,\!234", r"\$1,234.00"],
        ["-3/4", "-0.75", r"-\frac{3}{4}", r"\frac{-3}{4}", "\u22120.75"],
        ["(1,2)", "(1, 2)", r"\left(1,2\right)", r"$(1,\ 2)$"],
        ["x+1", "x + 1", r"$x\,+\,1$"],
        ["C", "(C)", r"\text{C}", r"\text{(C)}"],
        [r"x\le 1", r"x \leq 1", "x ≤ 1"],
        ["5 cm", r"5\text{ cm}", r"5\,\mathrm{cm}", r"5~\mbox{cm}", "5  cm"],
        [r"2\sqrt{3}", "2√3"],
        ["1/3", r"0.\overline{3}", r".\bar{3}"],
        ["2000", r"2\times10^3", r"2\cdot 10^{3}", "2e3", "2 000"],
    ],
)
def test_spellings_of_one_value_share_a_key(same):
    assert {normalise(text) for text in same} == {normalise(same[0])}


@pytest.mark.parametrize(
    "different",
    [
        ["12", "1 2", "1,2", "21"],
        ["1  2", "12"],
        ["5, 120", "5120"],
        ["5", r"5\text{ cm}", r"5\text{ cm}^2", r"5\text{ m}"],
        ["2i", "2"],
        [r"2\mathrm{i}", "2"],
        [r"\pi r", r"\pir"],
        ["(1,2)", "[1,2]", r"\{1,2\}", "1,2"],
        ["50%", "50", "5"],
        ["10000", "10001"],
        ["x", "X", "-x"],
        ["(A)", "a"],
        [r"\sqrt{2}", r"\sqrt{3}", "2"],
    ],
)
def test_different_values_do_not_share_a_key(different):
    assert len({normalise(text) for text in different}) == len(different)


@given(st.text(max_size=300))
def test_any_text_has_a_key_and_tidying_twice_changes_nothing_that_matters(text):
    assert isinstance(normalise(text), str)
    assert normalise(f"  {text}  ") == normalise(text)


@given(st.fractions())
def test_a_key_of_a_number_is_its_own_key(value):
    assert normalise(str(value)) == str(value)
    assert normalise(normalise(str(value))) == str(value)


def test_a_huge_text_is_cheap_and_kept():
    assert tidy("x" * 10**6) == "x" * 10**6
    assert normalise("9" * 10**6) == "9" * 10**6


@pytest.mark.parametrize("name", ["GSM8K", "math500", "aime2024", "amc23", "gaokao2023en", "olympiadbench"])
def test_dressing_an_answer_up_keeps_its_key(shared, name):
    for row in shared(f"benchmarks/{name}.json"):
        answer = str(row["answer"])
        if "$" not in answer:
            assert normalise(f"${answer}$") == normalise(answer)
        assert normalise(f" {answer} ") == normalise(answer)
