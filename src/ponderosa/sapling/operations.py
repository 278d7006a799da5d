"""What the world of programs is made of: operations on a list of numbers, and what is returned of it."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Operation:
    """A kind of sentence that says what a program does next.

    `phrasings` are templates over {k} and {m}; `right` and `wrong` Python expressions over `xs`, the list so far, with
    the same fields. `wrong` are known misconceptions; a `trap` is an operation that many people get wrong.
    """

    name: str
    phrasings: tuple[str, ...]
    right: str
    wrong: tuple[str, ...] = ()
    draw: Callable[[random.Random], dict[str, int]] = field(default=lambda rng: {})
    trap: bool = False


def _k(low: int, high: int) -> Callable[[random.Random], dict[str, int]]:
    return lambda rng: _with_next({"k": rng.randint(low, high)})


def _with_next(numbers: dict[str, int]) -> dict[str, int]:
    return {**numbers, "before": numbers["k"] - 1, "after": numbers["k"] + 1}


def _range(rng: random.Random) -> dict[str, int]:
    k = rng.randint(-3, 6)
    return _with_next({"k": k, "m": k + rng.randint(5, 12)})


def _each(rng: random.Random) -> dict[str, int]:
    return _with_next({"k": rng.randint(2, 9)})


_STEPS: tuple[Operation, ...] = (
    Operation(
        "even",
        ("Keep the even numbers.", "Drop all odd numbers.", "Keep what can be halved."),
        "[x for x in xs if x % 2 == 0]",
        ("[x for x in xs if x % 2 == 1]",),
    ),
    Operation(
        "multiples",
        ("Keep the multiples of {k}.", "Keep the numbers that {k} divides.", "Drop what {k} does not divide."),
        "[x for x in xs if x % {k} == 0]",
        ("[x for x in xs if x % {k}]",),
        _k(2, 4),
    ),
    Operation(
        "at_least",
        ("Keep the numbers that are at least {k}.", "Keep {k} and what is more.", "Drop what is below {k}."),
        "[x for x in xs if x >= {k}]",
        ("[x for x in xs if x > {k}]",),
        _k(0, 8),
        trap=True,
    ),
    Operation(
        "more_than",
        ("Keep the numbers above {k}.", "Keep what is more than {k}.", "Drop {k} and what is less."),
        "[x for x in xs if x > {k}]",
        ("[x for x in xs if x >= {k}]",),
        _k(0, 8),
    ),
    Operation(
        "at_most",
        ("Keep the numbers that are at most {k}.", "Keep {k} and what is less.", "Drop what is above {k}."),
        "[x for x in xs if x <= {k}]",
        ("[x for x in xs if x < {k}]",),
        _k(6, 14),
        trap=True,
    ),
    Operation(
        "between",
        (
            "Keep the numbers from {k} to {m}.",
            "Keep those between {k} and {m}, ends included.",
            "Drop all not in {k} to {m}.",
        ),
        "[x for x in xs if {k} <= x <= {m}]",
        ("[x for x in xs if {k} <= x < {m}]", "[x for x in xs if {k} < x < {m}]"),
        _range,
        trap=True,
    ),
    Operation(
        "first",
        ("Take the first {k}.", "Keep {k} from the start.", "Cut the list after {k} numbers."),
        "xs[:{k}]",
        ("xs[:{before}]",),
        _k(3, 8),
    ),
    Operation(
        "skip",
        ("Drop the first {k}.", "Skip {k} numbers.", "Take away {k} from the start."),
        "xs[{k}:]",
        ("xs[{before}:]",),
        _k(2, 4),
    ),
    Operation(
        "from_place",
        (
            "Start from number {k} of the list.",
            "Keep place {k} and all after it.",
            "Begin at the place {k}, counted from 1.",
        ),
        "xs[{before}:]",
        ("xs[{k}:]",),
        _k(2, 5),
        trap=True,
    ),
    Operation(
        "last",
        ("Take the last {k}.", "Keep {k} from the end.", "Keep only the final {k} numbers."),
        "xs[-{k}:]",
        ("xs[{k}:]",),
        _k(3, 7),
    ),
    Operation(
        "without_last",
        ("Drop the last {k}.", "Take away {k} from the end.", "Leave out the final {k} numbers."),
        "xs[:-{k}]",
        ("xs[:{k}]",),
        _k(2, 4),
    ),
    Operation(
        "every",
        (
            "Keep the places that {k} divides.",
            "Keep place {k} and each {k} places on.",
            "Of every {k} numbers keep the last.",
        ),
        "xs[{before}::{k}]",
        ("xs[::{k}]",),
        _k(2, 3),
        trap=True,
    ),
    Operation(
        "odd_places",
        (
            "Keep every other number, with the first.",
            "Take the places 1, 3, 5 and so on.",
            "Leave out each second number.",
        ),
        "xs[::2]",
        ("xs[1::2]",),
        trap=True,
    ),
    Operation(
        "ascending",
        ("Sort the numbers.", "Put the numbers in order, smallest first.", "Order them from low to high."),
        "sorted(xs)",
        ("sorted(xs, reverse=True)",),
    ),
    Operation(
        "descending",
        ("Sort from high to low.", "Put the largest first and so on down.", "Order them with the smallest at the end."),
        "sorted(xs, reverse=True)",
        ("sorted(xs)",),
    ),
    Operation(
        "reverse",
        ("Reverse the list.", "Turn the list around.", "Read the list from the end."),
        "xs[::-1]",
        ("sorted(xs, reverse=True)",),
        trap=True,
    ),
    Operation(
        "add",
        ("Add {k} to each.", "Make each number {k} more.", "Raise every number by {k}."),
        "[x + {k} for x in xs]",
        ("[x * {k} for x in xs]",),
        _each,
    ),
    Operation(
        "times",
        ("Multiply each by {k}.", "Make each number {k} times as large.", "Replace each number by {k} times it."),
        "[x * {k} for x in xs]",
        ("[x + {k} for x in xs]",),
        _each,
    ),
    Operation(
        "square",
        ("Square each number.", "Multiply each number by itself.", "Replace the numbers by their squares."),
        "[x * x for x in xs]",
        ("[x * 2 for x in xs]",),
    ),
    Operation(
        "distinct",
        (
            "Drop repeats, and keep the order.",
            "Keep each value where it comes first.",
            "Keep one of each value, unsorted.",
        ),
        "list(dict.fromkeys(xs))",
        ("sorted(set(xs))",),
        trap=True,
    ),
    Operation(
        "unique",
        ("Keep what is there only once.", "Drop all values that repeat.", "Keep the values without a twin."),
        "[x for x in xs if xs.count(x) == 1]",
        ("list(dict.fromkeys(xs))",),
        trap=True,
    ),
    Operation(
        "absolute",
        ("Take the absolute values.", "Drop the minus signs.", "Make all numbers positive."),
        "[abs(x) for x in xs]",
        ("[-x for x in xs]",),
    ),
    Operation(
        "differences",
        (
            "Take each number less the one before it.",
            "Replace the list by its steps up.",
            "Take how much it grows from one to the next.",
        ),
        "[b - a for a, b in zip(xs, xs[1:])]",
        ("[a - b for a, b in zip(xs, xs[1:])]",),
        trap=True,
    ),
    Operation(
        "running",
        ("Take the running sums.", "Replace each by the sum up to it.", "Sum it up as you go, number by number."),
        "[sum(xs[:i + 1]) for i in range(len(xs))]",
        ("[sum(xs[:i]) for i in range(len(xs))]",),
        trap=True,
    ),
)

_ENDS: tuple[Operation, ...] = (
    Operation("list", ("Return the list.", "Return what is left.", "Return all of them."), "xs"),
    Operation("sum", ("Return the sum.", "Return the total.", "Return what they add up to."), "sum(xs)", ("len(xs)",)),
    Operation(
        "count",
        ("Return how many there are.", "Return the length.", "Return the count."),
        "len(xs)",
        ("len(xs) - 1",),
    ),
    Operation(
        "largest",
        ("Return the largest.", "Return the maximum.", "Return the number that no other beats."),
        "max(xs)",
        ("xs[-1]",),
    ),
    Operation(
        "smallest",
        ("Return the smallest.", "Return the minimum.", "Return the number that beats no other."),
        "min(xs)",
        ("xs[0]",),
    ),
    Operation(
        "spread",
        (
            "Return the range of the values.",
            "Return how far the extremes are apart.",
            "Return the largest less the smallest.",
        ),
        "max(xs) - min(xs)",
        ("xs[-1] - xs[0]",),
        trap=True,
    ),
    Operation(
        "values",
        (
            "Return how many different values there are.",
            "Count each value once and return the count.",
            "Return the number of distinct values.",
        ),
        "len(set(xs))",
        ("len(xs)",),
        trap=True,
    ),
    Operation(
        "place_of_largest",
        (
            "Return the place of the largest, counted from 1.",
            "Return where the first maximum is; the list starts at 1.",
            "Return which number of the list is the largest.",
        ),
        "xs.index(max(xs)) + 1",
        ("xs.index(max(xs))",),
        trap=True,
    ),
    Operation(
        "mean",
        (
            "Return the average, rounded down.",
            "Return the whole part of the mean.",
            "Return the mean as a whole number, floored.",
        ),
        "sum(xs) // len(xs)",
        ("sum(xs) / len(xs)",),
        trap=True,
    ),
    Operation(
        "squares",
        ("Return the sum of the squares.", "Square them and return the total.", "Return what the squares add up to."),
        "sum(x * x for x in xs)",
        ("sum(xs) ** 2",),
        trap=True,
    ),
    Operation(
        "end",
        ("Return the last.", "Return the final number.", "Return what stands at the end."),
        "xs[-1]",
        ("xs[0]",),
    ),
)

STEPS: dict[str, Operation] = {operation.name: operation for operation in _STEPS}
"""What is done to the list."""
ENDS: dict[str, Operation] = {operation.name: operation for operation in _ENDS}
"""What is returned."""
OPERATIONS: dict[str, Operation] = STEPS | ENDS
