from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.grading.number import Number, read_number, same_number

fractions = st.fractions(max_denominator=10**6)


def number(text: str) -> Number:
    read = read_number(text)
    assert read is not None, text
    return read


@given(fractions)
def test_a_fraction_reads_as_itself_however_written(value):
    sign = "-" if value < 0 else ""
    above, below = abs(value.numerator), value.denominator
    for text in (
        f"{value.numerator}/{below}",
        f"{sign}\\frac{{{above}}}{{{below}}}",
        f"\\frac{{{value.numerator}}}{{{below}}}",
    ):
        assert number(text).value == value


@given(st.integers(-(10**30), 10**30))
def test_an_integer_reads_with_and_without_thousands_separators(value):
    for text in (str(value), f"{value:,}", f"{value:,}".replace(",", "{,}"), f"{value}.", f"{value}.00"):
        assert number(text).value == value


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=8))
def test_a_decimal_reads_exactly(value):
    assert number(f"{value:f}").value == Fraction(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"3\frac{1}{2}", Fraction(7, 2)),
        (r"-3\frac12", Fraction(-7, 2)),
        (r"\frac34", Fraction(3, 4)),
        (".5", Fraction(1, 2)),
        ("1e3", Fraction(1000)),
        ("2.5E-3", Fraction(1, 400)),
        ("(1)/(2)", Fraction(1, 2)),
    ],
)
def test_other_notations(text, value):
    assert number(text).value == value


@pytest.mark.parametrize(
    "text",
    ["", "x", "1,2", "12,34", "1/0", r"\frac{1}{0}", "1.2.3", "--1", "1e9999", "e3", "1 2", "9" * 1000, "10**10**10"],
)
def test_what_is_no_rational_number_is_none(text):
    assert read_number(text) is None


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("1/2", "0.5", True),
        ("10000", "10001", False),
        ("1/3", "0.33", False),
        ("1/3", "0.333333", True),
        ("2/3", "0.6666666666666666", True),
        ("1/3", "0.333335", False),
        ("2.4", "2.4000000000000004", True),
        ("123456.7", "123456.70000000001", True),
        ("0.1234567", "0.1234569", False),
        ("50%", "1/2", True),
        ("50%", "50", True),
        ("50%", "5", False),
        ("33.3333333%", "1/3", True),
        ("50%", "5%", False),
    ],
)
def test_long_decimals_stand_for_what_they_round_and_per_cent_reads_either_way(a, b, same):
    assert same_number(number(a), number(b)) is same
    assert same_number(number(b), number(a)) is same


@given(st.integers(), st.integers())
def test_integers_are_the_same_only_if_equal(a, b):
    assert same_number(Number(Fraction(a)), Number(Fraction(b))) == (a == b)
