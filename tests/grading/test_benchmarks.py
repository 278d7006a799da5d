"""Every answer of the benchmarks beside the repository is itself, and is not another."""

import asyncio
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import pytest

from ponderosa.core import Problem
from ponderosa.grading import MathGrader

Load = Callable[[str], list[dict[str, Any]]]

NUMBER = re.compile(r"\d*\.\d+|\d+")
_LABELS = re.compile(r"\\(?:text|mathrm|mbox|circ)[^,;=]*$|_\{?$")
"""What stands before a number that is no value: in a unit, or an index."""

TRUE_EITHER_WAY = (
    r"\left[\begin{array}{rr}12&-7\\-5&3\end{array}\right]\left[\begin{array}{r}0\\-1\end{array}\right]"
    r"=\left[\begin{array}{r}7\\-3\end{array}\right]\quadSox=7andy=-3."
)
"""Its first number is multiplied by 0."""


def perturbed(answer: str) -> Iterator[str]:
    """The answer with its first, or its last, number larger by 1."""
    found = [match for match in NUMBER.finditer(answer) if not _LABELS.search(answer[: match.start()])]
    for match in {found[0], found[-1]} if found else ():
        larger = Fraction(match.group()) + 1
        places = len(match.group().partition(".")[2])
        text = f"{float(larger):.{places}f}" if places else str(larger)
        yield answer[: match.start()] + text + answer[match.end() :]


@pytest.mark.parametrize(
    "name",
    [
        *("GSM8K", "math500", "aime2024", "amc23", "gaokao2023en", "olympiadbench"),
        pytest.param("collegemath", marks=pytest.mark.slow),
    ],
)
def test_an_answer_is_itself_and_no_other(shared: Load, name: str) -> None:
    answers = {str(row["answer"]) for row in shared(f"benchmarks/{name}.json")} - {TRUE_EITHER_WAY, ""}

    async def wrong() -> list[tuple[str, str]]:
        async with MathGrader(timeout_s=1.0) as grader:

            async def correct(answer: str, gold: str) -> bool:
                return (await grader.grade(answer, Problem("", "", gold))).correct

            pairs = [(gold, other) for gold in answers for other in perturbed(gold)]
            itself = [(gold, gold) for gold in answers if not await correct(gold, gold)]
            return itself + [(gold, other) for gold, other in pairs if await correct(other, gold)]

    assert asyncio.run(wrong()) == []
