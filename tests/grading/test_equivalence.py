"""Which answers are the same: cases as math-verify's own tests label them, and more of each sort of answer.

Where labels take what is near for equal, ours is what a mathematician would say.
"""

import asyncio
from collections.abc import Iterator

import pytest

from ponderosa.core import Problem
from ponderosa.grading import MathGrader, extract_answer

SAME = [
    # numbers
    ("1000", "1,000.0"),
    ("1000.99", "$1,000.99"),
    ("0.4", ".4"),
    ("10/9", r"\frac{10}{9}"),
    ("-10/9", r"-\frac{10}{9}"),
    ("1/3", r"\frac13"),
    (r"\sqrt{3}", r"\sqrt3"),
    ("1/3", r"\left( \frac{1}{3} \right)"),
    ("1/3", r"\frac{1}{3} \text{meters}"),
    ("1/3", r"k = \frac{1}{3}"),
    ("3.5", r"3\frac{1}{2}"),
    ("10", "(9+1)"),
    ("0.5", r"\frac{1}{2}"),
    (r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt{3}}"),
    # per cent, money, degrees, units
    (r"28\%", "28"),
    (r"28\%", r"0.28"),
    (r"28\%", "28 percent"),
    ("0.28", "28 pct"),
    (r"90^\circ", "90"),
    (r"\$12", "12"),
    (r"15\mbox{ cm}^2", "15"),
    ("5 cm", "5"),
    ("5 cm", "5 centimetres"),
    (r"5\text{ cm}^2", "5 square centimeters"),
    ("60 km/h", "60 kilometers per hour"),
    (r"16\pi\text{ cm}^2", r"16\pi"),
    # decimals that repeat, powers of ten, digits in groups, a comma for a point, numbers in words, mixed numbers
    (r"0.1\overline{6}", r"\frac16"),
    (r"2.\overline{45}", "27/11"),
    (r"2\times10^3", "2000"),
    (r"6.02\times10^{23}", "6.02e23"),
    (r"2.314814814815\times10^{-3}", r"\frac{1}{432}"),
    ("1 000 000", "1000000"),
    ("1000.99", "1000,99"),
    ("12", r"\text{twelve}"),
    ("40/9", "4 4/9"),
    ("185", "185\\"),
    (r"11,\! 111,\! 100", "11111100"),
    (r"56,\!01,\!78", "560178"),
    # signs typed as such
    (r"2\sqrt{3}", "2√3"),
    (r"(-\infty,3]", "(-∞, 3]"),
    (r"\frac{\sqrt3\pi}{2}", "√3*pi/2"),
    ("x^2", "x**2"),
    # angles and complex numbers
    (r"\sin 30^\circ", r"\frac12"),
    (r"\sin(90^{\circ}-x)", r"\cos(x)"),
    (r"(1+i)^2", "2i"),
    ("1+2i", "i(2-i)"),
    (r"e^{i\pi}", "-1"),
    # expressions and equations
    ("2x^2y", "2yx^2"),
    ("xy", "yx"),
    ("2-2p", "2(1-p)"),
    ("(x+1)^2", "x^2+2x+1"),
    ("y=2x+1", "2x-y+1=0"),
    (r"\log(0.01)=-2", r"\log_{10}(0.01)=-2"),
    (r"\frac{40}{3}\approx13.33", r"\frac{40}{3}"),
    # lists in any order, sets, tuples, matrices
    ("-2,1", "1,-2"),
    (r"12\text{ and }13", "12, 13"),
    ("x=1, x=-1", "-1 or 1"),
    (r"\pm\sqrt{3}", r"-\sqrt3, \sqrt3"),
    (r"1\pm\sqrt2", r"1-\sqrt2 \text{ or } 1+\sqrt2"),
    (r"x=\pm 2", r"\pm 2"),
    ("1, 2, 3", r"\{3, 2, 1\}"),
    ("(1,2),(3,4)", "(3,4),(1,2),(3,4)"),
    ("x=1, y=2", "(1, 2)"),
    ("(x, y) = (1, 2)", "y=2, x=1"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", "(1,2)"),
    (r"\langle 1,2 \rangle", "(1, 2)"),
    (r"\emptyset", r"\{ \}"),
    ("1, 2", r"\{1,~2\}"),
    (r"\{1,3\}\cup\{2,4\}", r"\{1,2,3,4\}"),
    (r"\{1,1,2\}", r"\{1,2\}"),
    (r"(3, \frac{\pi}{2})", r"\left( 3, \pi/2 \right)"),
    (r"\begin{pmatrix} 0 & 3 \\ 0 & -1 \end{pmatrix}", r"\begin{pmatrix}0&3\\0&-1\end{pmatrix}"),
    (r"\begin{pmatrix} 1/2 \\ 1 \end{pmatrix}", r"\begin{pmatrix} 0.5 \\ 1 \end{pmatrix}"),
    # intervals and inequalities
    ("[0,1)", "[0, 1)"),
    ("x<3", r"(-\infty,3)"),
    (r"x\le 3", r"(-\infty,3]"),
    ("1<x<2", "(1,2)"),
    (r"(-\infty,2)\cup(3,\infty)", r"(3,\infty)\cup(-\infty,2)"),
    (r"(-\infty,-1)\cup(1,\infty)", r"x<-1 \text{ or } x>1"),
    (r"[0,1]\cup\{2\}", r"\{2\}\cup[0,1]"),
    (r"(-\infty,2)\cup(2,\infty)", r"x\ne 2"),
    # words, choices, dates, times, bases
    (r"\text{ellipse}", "an ellipse"),
    ("A", r"\textbf{(A) }12"),
    ("March 5", "5th March"),
    ("12:30 p.m.", r"12:30\text{ PM}"),
    ("20:34", r"8:34 \text{P.M.}"),
    (r"\text{Evelyn}", "evelyn"),
    ("March 5, 2024", "2024-03-05"),
    ("52_8", "52_{8}"),
    ("52_8", "52"),
    ("4210_{5}", "4210_5"),
]

OTHER = [
    ("1000", "1001"),
    ("0.28", "28"),
    ("28", "28/100"),
    (r"\frac{1}{3}", "0.33"),
    ("1-5051/2^{100}", "1-5051/2^{101}"),
    (r"\log(0.01)=-2", r"\log(0.02)=-2"),
    (r"\log(0.01)=-2", r"\log(0.01)=-3"),
    (r"\cos(\pi)=-1,\sin(\pi)=0", r"\cos(\pi)=-2,\sin(\pi)=0"),
    (r"\sin\left(\pi^{\circ}\right)\approx0.055", r"\sin\left(\pi^{\circ}\right)\approx1.055"),
    (r"\cos(e)\approx-0.912", r"\cos(e)\approx-1.912"),
    ("x=3", "y=3"),
    ("1,1,2,3", "2,1,2,3"),
    ("1,2", "1,2,2"),
    ("n=2, 3, 4", "n=1, 2, 3"),
    ("(1,2)", "(2,1)"),
    ("(1,2)", "[1,2]"),
    ("(1,2)", r"\{1,2\}"),
    ("[0,9)", "[0,1)"),
    ("(0,9)", "[0,9)"),
    (r"x\le 3", r"(-\infty,3)"),
    ("x<3", r"(-\infty,4)"),
    (r"\begin{pmatrix} 0 & 3 \\ 0 & -1 \end{pmatrix}", r"\begin{pmatrix}0&3\\0&1\end{pmatrix}"),
    ("March 5, 2024", "2024-05-03"),
    ("52_8", "52_9"),
    ("40_9", "40_{10}"),
    ("5 cm", "5 m"),
    (r"\text{even}", r"\text{odd}"),
    ("2", "AZYUK2A"),
    (r"5\text{ cm}^2", r"5\text{ cm}^3"),
    (r"5\text{ kg}", r"5\text{ g}"),
    ("2", "2xy"),
    ("2", r"2\mathrm{i}"),
    ("12", "1  2"),
    ("32349", "32, 349"),
    (r"0.\overline{3}", "0.33"),
    (r"2\times10^3", "200"),
    ("71/6", r"11\frac{6}{5}"),
    ("E", "E'"),
    (r"\pm 2", "2"),
    (r"\pm 3", r"\pm 2"),
    ("x=1, y=2", "(2,1)"),
    ("(1,2),(3,4)", "(1,2),(4,3)"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", "(2,1)"),
    (r"(-\infty,-1)\cup(1,\infty)", r"x\le -1 \text{ or } x\ge 1"),
    (r"(1+i)^2", "-2i"),
    ("3+4i", "3-4i"),
    (r"\sin 30^\circ", r"\sin 30"),
    ("A", r"\textbf{(B) }12"),
    ("3:00 p.m.", "3:00 a.m."),
    ("12:30 p.m.", "12:31 p.m."),
    ("March 5", "March 6"),
    ("", r"\boxed{}"),
]


@pytest.fixture(scope="module")
def grader() -> Iterator[MathGrader]:
    grader = MathGrader(timeout_s=5.0)
    yield grader
    asyncio.run(grader.close())


def correct(grader: MathGrader, gold: str, answer: str, **meta: object) -> bool:
    return asyncio.run(grader.grade(answer, Problem("", "", gold, meta))).correct


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_either_way_round(grader: MathGrader, one: str, other: str) -> None:
    assert correct(grader, one, other)
    assert correct(grader, other, one)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_not_the_same_either_way_round(grader: MathGrader, one: str, other: str) -> None:
    assert not correct(grader, one, other)
    assert not correct(grader, other, one)


@pytest.mark.parametrize(
    ("gold", "answer", "tolerance", "right"),
    [
        ("9.8", "9.81", 0.01, True),
        ("9.8", "9.81", 0.001, False),
        ("9.8", "9.81", 0, False),
        ("0", "0.005", 0.01, True),
        ("0", "0.02", 0.01, False),
        ("-2000", "-1990", 0.01, True),
        ("-2000", "1990", 0.01, False),
        ("100", "101", 0.01, True),
        ("100", "101.5", 0.01, False),
        (r"\sqrt{2}", "1.41", 0.01, True),
        (r"\sqrt{2}", "1.43", 0.01, False),
        ("5 cm", "5.01", 0.01, True),
        ("25\\%", "0.2501", 0.01, True),
        ("x+1", "x+2", 0.5, False),
    ],
)
def test_a_stated_tolerance_is_a_share_of_the_reference(
    grader: MathGrader, gold: str, answer: str, tolerance: float, right: bool
) -> None:
    assert correct(grader, gold, answer, tolerance=tolerance) is right


def test_a_sentence_in_dollars_is_the_sentence() -> None:
    sentence = "The graph of f has 2 maxima"
    assert extract_answer(f"${sentence}$") == extract_answer(sentence)
    assert extract_answer(f"\\({sentence}\\)") == extract_answer(sentence)
