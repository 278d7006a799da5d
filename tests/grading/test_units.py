import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.grading.grader import compare_quickly
from ponderosa.grading.normal_form import tidy
from ponderosa.grading.units import split_unit


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("5 cm", "5", "cm"),
        ("5cm", "5", "cm"),
        (r"5\text{m}", "5", "m"),
        (r"5 \mathrm{~cm}^{2}", "5", "cm^2"),
        ("5 square centimetres", "5", "cm^2"),
        ("5 cubic feet", "5", "ft^3"),
        ("5 cm²", "5", "cm^2"),
        ("60 kilometers per hour", "60", "km/h"),
        (r"5\,\mathrm{m}\,\mathrm{s}^{-1}", "5", "m/s"),
        (r"16\pi \text{ cm}^2", r"16\pi", "cm^2"),
        (r"2\sqrt{3} in", r"2\sqrt{3}", "in"),
        (r"25\pi\text{ m}^2", r"25\pi", "m^2"),
        ("5 apples", "5", "apple"),
        ("3 hrs", "3", "h"),
        ("60 mph", "60", "mi/h"),
        ("60 miles per hour", "60", "mi/h"),
        (r"17\text{ square units}", "17", ""),
        ("5", "5", ""),
    ],
)
def test_a_value_and_its_unit(text: str, value: str, unit: str) -> None:
    assert split_unit(tidy(text)) == (value, unit)


@pytest.mark.parametrize(
    "text",
    [
        "5x",
        "2xy",
        "2x^2y",
        "10m",
        "2i",
        r"\pi h",
        r"\pi r^2",
        "x=5",
        "5 and",
        "1 or 2",
        "5 if n",
        "New York",
        "3 mod 5",
    ],
)
def test_what_is_no_value_with_a_unit_stays_whole(text: str) -> None:
    assert split_unit(tidy(text)) == (tidy(text), "")


@pytest.mark.parametrize(
    ("gold", "answer", "right"),
    [
        ("5 cm", "5", True),
        ("5 cm", "5 centimeters", True),
        ("5 cm", "5 m", False),
        (r"5\text{ cm}^2", r"5\text{ cm}^3", False),
        (r"5\text{ kg}", r"5\text{ g}", False),
        ("5 apples", "5 pears", False),
        ("12.5 dollars", "25/2", True),
        ("12 dollars", "25/2", False),
        ("2xy", "2", None),
        ("2x^2y", "2yx^2", None),
    ],
)
def test_units_must_not_contradict_each_other(gold: str, answer: str, right: bool | None) -> None:
    for one, other in ((gold, answer), (answer, gold)):
        verdict = compare_quickly(one, other)
        assert (verdict and verdict.correct) is right


@given(st.text(max_size=100))
def test_any_text_can_be_split(text: str) -> None:
    value, _ = split_unit(tidy(text))
    assert tidy(text).startswith(value)
