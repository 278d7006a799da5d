"""Equations, which math-verify by itself compares by their last side."""

import pytest

from ponderosa.grading.comparison import compare


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("x=3", "3"),
        ("x=3", "x=3"),
        ("x=\\frac{6}{2}", "x=3"),
        ("y=2x+1", "2x-y+1=0"),
        ("4x^2+8x=0", "x^2+2x=0"),
        ("t=\\frac{\\ln(4)}{2}=\\ln(2)", "t=\\ln(2)"),
        ("x=1,y=2", "y=2,x=1"),
        ("a=(1,2),b=3", "a=(1,2),b=3"),
        ("(x+1)^2=4", "x^2+2x+1=4"),
    ],
)
def test_the_same_equations(gold: str, answer: str) -> None:
    assert compare(gold, answer)
    assert compare(answer, gold)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("x=3", "x=4"),
        ("x=3", "y=3"),
        ("4x^2+8x+19=0", "5x^2+8x+19=0"),
        ("\\log_{6}(216)=3", "\\log_{7}(216)=3"),
        ("\\cos(\\pi)=-1,\\sin(\\pi)=0", "\\cos(\\pi)=-2,\\sin(\\pi)=0"),
        ("x=1,y=2", "x=1"),
        ("x=1,x=2", "x=1,x=1"),
        ("0=0", "x=x"),
        ("m_{\\max}=n^{2}-n", "m_{\\max}=n^{2}+n"),
    ],
)
def test_other_equations(gold: str, answer: str) -> None:
    assert not compare(gold, answer)
    assert not compare(answer, gold)
