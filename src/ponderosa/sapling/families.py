"""Arithmetic families of reasoning-gym that a model of this size can read, in reasoning-gym's own words.

Only the families' parameters are set; questions and answers are what the library gives.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ponderosa.core.problem import Problem
from ponderosa.core.seeds import derive_seed
from ponderosa.sapling.arithmetic import formula
from ponderosa.sapling.world import belongs

_STRIDE = 1 << 40


@dataclass(frozen=True)
class Family:
    """A family: its parameters in reasoning-gym, and the ways its questions are solved.

    `ways` maps a question to the expressions of its solution, the right one first, known wrong ways after it; a wrong
    way that happens to give the right answer is left out. `wrong_rate` is how often the corpus solves it wrongly.
    """

    parameters: dict[str, Any]
    ways: Callable[[str], list[str]]
    wrong_rate: float


def _expression(question: str) -> str:
    match = re.search(r"(?:problem: |Calculate |multiplication: )([-+*() \d]*[\d)])", question)
    if match is None:
        raise ValueError(f"no expression in {question!r}")
    return match[1]


def _chain(question: str) -> list[str]:
    # Wrong way: what follows a minus is taken together.
    right = _expression(question)
    head, minus, tail = right.partition(" - ")
    grouped = f"{head} - ({tail})" if minus and re.search(r" [+-] ", tail) else right
    return [right, grouped]


def _precedence(question: str) -> list[str]:
    # Wrong way: from left to right, as if all operators bound equally and parentheses did not matter.
    right = _expression(question)
    first, *rest = right.replace("( ", "").replace(" )", "").split(" ")
    left_to_right = first
    for i, (sign, operand) in enumerate(zip(rest[::2], rest[1::2], strict=True)):
        if sign == "*" and i and rest[2 * i - 2] != "*":
            left_to_right = f"({left_to_right})"
        left_to_right = f"{left_to_right} {sign} {operand}"
    return [right, left_to_right]


def _equation(question: str) -> list[str]:
    # Wrong way: the constant is moved across without a change of sign.
    left, right = question.rsplit(": ", 1)[1].split(" = ")
    if match := re.fullmatch(r"(?:(\d+)\*)?[a-z]", left):
        return [_over(right, match[1]), f"{right} - {match[1] or 1}"]
    if match := re.fullmatch(r"(?:(\d+)\*)?[a-z] ([+-]) (\d+)", left):
        inverse = {"+": "-", "-": "+"}[match[2]]
        return [_over(f"{right} {sign} {match[3]}", match[1]) for sign in (inverse, match[2])]
    if match := re.fullmatch(r"(\d+) ([+-]) (?:(\d+)\*)?[a-z]", left):
        ways = [_over(difference, match[3]) for difference in (f"{right} - {match[1]}", f"{match[1]} - {right}")]
        return ways if match[2] == "+" else ways[::-1]
    raise ValueError(f"an equation of another form: {question!r}")


def _over(value: str, divisor: str | None) -> str:
    if divisor is None:
        return value
    return f"({value}) // {divisor}" if " " in value else f"{value} // {divisor}"


def _divisors(function: str, other: str) -> Callable[[str], list[str]]:
    def ways(question: str) -> list[str]:
        first, second = re.findall(r"\d+", question.split(": ", 1)[1])
        return [f"math.{name}({first}, {second})" for name in (function, other)]

    return ways


FAMILIES: dict[str, Family] = {
    "chain_sum": Family({"min_terms": 2, "max_terms": 4, "max_digits": 2}, _chain, 0.45),
    "basic_arithmetic": Family(
        {
            "min_terms": 3,
            "max_terms": 4,
            "max_digits": 2,
            "operators": ("+", "-", "*"),
            # Without parentheses, reasoning-gym (0.1.25) itself answers from left to right: 8 + 8 + 1 * 3 as 51.
            "allow_parentheses": True,
            "allow_negation": False,
        },
        _precedence,
        0.62,
    ),
    "simple_equations": Family({"min_terms": 2, "max_terms": 2, "max_value": 50}, _equation, 0.4),
    "gcd": Family({"max_value": 200}, _divisors("gcd", "lcm"), 0.12),
    "lcm": Family({"max_value": 60}, _divisors("lcm", "gcd"), 0.6),
    "products": Family({"max_digits": 2}, lambda question: [_expression(question)], 0.0),
}


@lru_cache(maxsize=64)
def _dataset(family: str, seed: int) -> Any:
    import reasoning_gym

    return reasoning_gym.create_dataset(family, size=1, seed=seed, **FAMILIES[family].parameters)


def family_problem(split: str, seed: int, index: int) -> Problem:
    """The arithmetic problem of this place; its family, too, is a function of the place. `meta` holds the ways."""
    names = sorted(FAMILIES)
    family = names[derive_seed("family", split, seed, index) % len(names)]
    dataset = _dataset(family, derive_seed("reasoning-gym", family, split, seed) % _STRIDE)
    attempt = 0
    while True:
        item = dataset[index + attempt * _STRIDE]
        if belongs(item["question"], split):
            break
        attempt += 1
    right, *wrong = FAMILIES[family].ways(item["question"])
    ways = [right, *(way for way in wrong if formula(way)({}) != int(item["answer"]))]
    meta = {"world": "reasoning-gym", "language": "en", "family": family, "level": 0, "kinds": [family], "ways": ways}
    return Problem(f"reasoning-gym:{family}:{split}:{seed}:{index}", item["question"], str(item["answer"]), meta)
