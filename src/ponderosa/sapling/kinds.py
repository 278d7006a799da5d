"""What a kind of sentence is: its phrasings, its right way of solving and its wrong ways."""

import random
from collections.abc import Callable
from dataclasses import dataclass

LARGEST_VALUE = 999
"""No quantity of the world is larger."""

Draw = Callable[[random.Random, int, int], tuple[int, ...] | None]
"""Draws a sentence's numbers, given the values of the first two entities it uses (0 for none); None if none fit."""

SLOTS = ("a", "b", "c", "k", "m", "n")
"""Names in formulas: the earlier entities a, b, c and the sentence's own numbers k, m, n."""


@dataclass(frozen=True)
class Kind:
    """A kind of relation or question.

    `phrasings` are templates over {e} (the entity defined), {a} {b} {c} (entities used), {k} {m} {n} (numbers) and {o}
    (the things counted). `right` and `wrong` are formulas over the slots; `wrong` are known misconceptions, each with a
    value unlike the right one in every problem. A `trap` is a kind that many people get wrong: it decides how often the
    pre-training corpus does.
    """

    name: str
    arity: int
    phrasings: tuple[str, ...]
    right: str
    wrong: tuple[str, ...] = ()
    draw: Draw = lambda rng, a, b: ()
    trap: bool = False
    weight: float = 1.0
    """How often the kind is tried, relative to others; larger where few numbers fit."""


def number(low: int, high: int) -> Draw:
    """One number, whatever the entities' values."""
    return lambda rng, a, b: (rng.randint(low, high),)


def numbers(*ranges: tuple[int, int]) -> Draw:
    """Several independent numbers."""
    return lambda rng, a, b: tuple(rng.randint(low, high) for low, high in ranges)


def below(low: int = 2, high: int = 60) -> Draw:
    """One number smaller than the first entity's value."""
    return lambda rng, a, b: (rng.randint(low, min(high, a - 1)),) if a > low else None


def above(low: int = 3, high: int = 60) -> Draw:
    """One number that exceeds the first entity's value by `low` to `high`."""
    return lambda rng, a, b: (a + rng.randint(low, high),)


def divisor(low: int = 2, high: int = 9) -> Draw:
    """One number that divides the first entity's value, with a quotient of at least 2."""

    def draw(rng: random.Random, a: int, b: int) -> tuple[int, ...] | None:
        fitting = [k for k in range(low, high + 1) if a % k == 0 and a // k >= 2]
        return (rng.choice(fitting),) if fitting else None

    return draw


def non_divisor(low: int = 3, high: int = 9) -> Draw:
    """One number that does not divide the first entity's value, and is smaller."""

    def draw(rng: random.Random, a: int, b: int) -> tuple[int, ...] | None:
        fitting = [k for k in range(low, high + 1) if a % k and a > k]
        return (rng.choice(fitting),) if fitting else None

    return draw


def percentage(*choices: int) -> Draw:
    """A percentage for which the first entity's value gives a whole number."""

    def draw(rng: random.Random, a: int, b: int) -> tuple[int, ...] | None:
        fitting = [k for k in choices if a * k % 100 == 0 and a * k]
        return (rng.choice(fitting),) if fitting else None

    return draw


def given_that(fits: Callable[[int, int], bool], draw: Draw = lambda rng, a, b: ()) -> Draw:
    """`draw` where the entities' values allow it, else None."""
    return lambda rng, a, b: draw(rng, a, b) if fits(a, b) else None
