"""The relation kinds: sentences that define one entity's quantity, with the ways people solve them."""

import random

from ponderosa.sapling.kinds import Kind, above, below, divisor, given_that, non_divisor, number, percentage
from ponderosa.sapling.sources import SOURCES


def _fraction(rng: random.Random, a: int, b: int) -> tuple[int, ...] | None:
    fitting = [(k, m) for m in (3, 4, 5, 6, 8) for k in range(2, m) if a % m == 0 and a]
    return rng.choice(fitting) if fitting else None


def _fewer_than_times(rng: random.Random, a: int, b: int) -> tuple[int, ...] | None:
    m = rng.randint(2, 4)
    return (rng.randint(2, min(30, m * a - 2)), m) if a >= 3 else None


def _average(rng: random.Random, a: int, b: int) -> tuple[int, ...]:
    return (rng.randint(a // 2 + 3, a // 2 + 40),)


_FROM_ONE: tuple[Kind, ...] = (
    Kind(
        "more",
        1,
        ("{e} has {k} more {o} than {a}.", "{e} has as many {o} as {a} and {k} more.", "{e} beats {a} by {k} {o}."),
        "a + k",
        ("a - k",),
        number(2, 60),
    ),
    Kind(
        "fewer",
        1,
        ("{e} has {k} fewer {o} than {a}.", "{e} has {k} {o} less than {a}.", "{e} is {k} {o} behind {a}."),
        "a - k",
        ("a + k",),
        below(),
    ),
    Kind(
        "reversed_more",
        1,
        (
            "The {o} of {a} are {k} more than those of {e}.",
            "{a} is {k} {o} ahead of {e}.",
            "Next to {e}, {a} has {k} more {o}.",
        ),
        "a - k",
        ("a + k",),
        below(),
        trap=True,
    ),
    Kind(
        "reversed_fewer",
        1,
        (
            "The {o} of {a} are {k} fewer than those of {e}.",
            "{a} needs {k} more {o} to catch up with {e}.",
            "Next to {e}, {a} has {k} fewer {o}.",
        ),
        "a + k",
        ("a - k",),
        number(2, 60),
        trap=True,
    ),
    Kind(
        "times",
        1,
        (
            "{e} has {k} times as many {o} as {a}.",
            "{e} has {k} {o} for each one of {a}.",
            "{e} owns {k} times the {o} of {a}.",
        ),
        "a * k",
        ("a + k",),
        number(2, 6),
    ),
    Kind(
        "reversed_times",
        1,
        (
            "The {o} of {a} are {k} times those of {e}.",
            "Next to {e}, {a} has {k} times the {o}.",
            "Only with {k} times the {o} would {e} equal {a}.",
        ),
        "a // k",
        ("a * k",),
        divisor(),
        trap=True,
    ),
    Kind(
        "half",
        1,
        (
            "{e} has half as many {o} as {a}.",
            "{e} has half of what {a} has.",
            "{e} owns one half of the number of {a}.",
        ),
        "a // 2",
        ("a * 2",),
        given_that(lambda a, b: a % 2 == 0 and a > 3),
    ),
    Kind(
        "fraction",
        1,
        (
            "{e} has {k}/{m} as many {o} as {a}.",
            "{e} has {k}/{m} of the number {a} has.",
            "The {o} of {e} are {k}/{m} of those of {a}.",
        ),
        "a * k // m",
        ("a // m",),
        _fraction,
        trap=True,
        weight=1.2,
    ),
    Kind(
        "percent_more",
        1,
        (
            "{e} has {k} percent more {o} than {a}.",
            "{e} has as many {o} as {a} plus {k} percent.",
            "The {o} of {e} exceed those of {a} by {k} percent.",
        ),
        "a + a * k // 100",
        ("a + k", "a * k // 100"),
        percentage(10, 20, 25, 30, 40, 50, 60, 75),
        trap=True,
        weight=1.5,
    ),
    Kind(
        "percent_less",
        1,
        (
            "{e} has {k} percent fewer {o} than {a}.",
            "{e} has as many {o} as {a} minus {k} percent.",
            "The {o} of {e} fall short of those of {a} by {k} percent.",
        ),
        "a - a * k // 100",
        ("a * k // 100", "a - k"),
        percentage(10, 20, 25, 30, 40, 60, 75),
        trap=True,
        weight=1.5,
    ),
    Kind(
        "more_than_twice",
        1,
        (
            "{e} has {k} more than twice as many {o} as {a}.",
            "{e} has twice as many {o} as {a}, and {k} more.",
            "{e} has {k} {o} on top of double the number of {a}.",
        ),
        "2 * a + k",
        ("2 * (a + k)",),
        number(2, 40),
        trap=True,
    ),
    Kind(
        "fewer_than_times",
        1,
        (
            "{e} has {k} fewer than {m} times as many {o} as {a}.",
            "{e} has {m} times as many {o} as {a}, less {k}.",
            "{e} needs {k} more to have {m} times the {o} of {a}.",
        ),
        "m * a - k",
        ("m * (a - k)", "m * a + k"),
        _fewer_than_times,
        trap=True,
    ),
    Kind(
        "bags_needed",
        1,
        (
            "{a} packs all {o} in bags of {k}, and {e} has one for each bag needed.",
            "{e} has one for every box of {k} that {a} needs to store all the {o}.",
            "All the {o} of {a} go in cases that hold {k}; {e} has one for each case.",
        ),
        "-(-a // k)",
        ("a // k",),
        non_divisor(),
        trap=True,
    ),
    Kind(
        "share",
        1,
        (
            "The {o} of {a} are shared equally by {k} children, and {e} has as many as one child.",
            "{e} has one of {k} equal shares of the {o} of {a}.",
            "{a} could make {k} equal heaps, and {e} has as many {o} as one heap.",
        ),
        "a // k",
        ("a - k",),
        divisor(),
    ),
    Kind(
        "left_over",
        1,
        (
            "{a} could fill bags of {k}, and {e} has as many {o} as would be left over.",
            "{e} has as many {o} as remain when those of {a} are counted in groups of {k}.",
            "With the {o} of {a} set in rows of {k}, {e} has the number in the last short row.",
        ),
        "a % k",
        ("a // k",),
        non_divisor(4, 12),
    ),
    Kind(
        "pair_total",
        1,
        (
            "{e} and {a} have {k} {o} together.",
            "The {o} of {a} and {e} add up to {k}.",
            "In total {a} and {e} own {k} {o}.",
        ),
        "k - a",
        ("k + a", "k // 2"),
        above(),
    ),
    Kind(
        "pair_average",
        1,
        (
            "{e} and {a} have {k} {o} on average.",
            "The average of {a} and {e} is {k} {o}.",
            "On average {a} and {e} own {k} {o} each.",
        ),
        "2 * k - a",
        ("(a + k) // 2", "k - a"),
        _average,
        trap=True,
    ),
    Kind(
        "doubling",
        1,
        (
            "{e} began with as many {o} as {a} and doubled them {k} times.",
            "{e} had the same as {a}, then the {o} of {e} doubled on each of {k} days.",
            "Starting from the number of {a}, the {o} of {e} doubled {k} times over.",
        ),
        "a * 2 ** k",
        ("a * 2 * k",),
        given_that(lambda a, b: a <= 100, number(3, 5)),
        trap=True,
    ),
)

_FROM_TWO: tuple[Kind, ...] = (
    Kind(
        "sum",
        2,
        (
            "{e} has as many {o} as {a} and {b} together.",
            "{e} has the total of {a} and {b}.",
            "{e} has the {o} of {a} and {b} combined.",
        ),
        "a + b",
        ("2 * a",),
    ),
    Kind(
        "difference",
        2,
        (
            "{e} has as many {o} as {a} has more than {b}.",
            "{e} has the difference between {a} and {b}.",
            "{e} has the number by which {a} beats {b}.",
        ),
        "a - b",
        ("a + b",),
        given_that(lambda a, b: a > b + 1),
    ),
    Kind(
        "twice_both",
        2,
        (
            "{e} has twice as many {o} as {a} and {b} together.",
            "{e} has double the total of {a} and {b}.",
            "For every one of {a} and {b}, {e} has two {o}.",
        ),
        "2 * (a + b)",
        ("2 * a + b",),
        trap=True,
    ),
    Kind(
        "average",
        2,
        (
            "{e} has the average of {a} and {b}.",
            "{e} has as many {o} as {a} and {b} have on average.",
            "The {o} of {e} number halfway between {a} and {b}.",
        ),
        "(a + b) // 2",
        ("a + b", "(a - b) // 2"),
        given_that(lambda a, b: (a + b) % 2 == 0),
        trap=True,
    ),
    Kind(
        "larger",
        2,
        (
            "{e} has as many {o} as the one of {a} and {b} with more.",
            "{e} has the larger number of {a} and {b}.",
            "Of {a} and {b}, {e} matches the one who has more {o}.",
        ),
        "max(a, b)",
        ("min(a, b)",),
        given_that(lambda a, b: a != b),
        weight=0.5,
    ),
    Kind(
        "smaller",
        2,
        (
            "{e} has as many {o} as the one of {a} and {b} with fewer.",
            "{e} has the smaller number of {a} and {b}.",
            "Of {a} and {b}, {e} matches the one who has fewer {o}.",
        ),
        "min(a, b)",
        ("max(a, b)",),
        given_that(lambda a, b: a != b),
        weight=0.5,
    ),
    Kind(
        "half_and_all",
        2,
        (
            "{e} has as many as half of {a} and all of {b}.",
            "{e} has half the {o} of {a} plus those of {b}.",
            "{e} has the number of {b} and half the number of {a}.",
        ),
        "a // 2 + b",
        ("(a + b) // 2",),
        given_that(lambda a, b: a % 2 == 0),
        trap=True,
    ),
)

DERIVED: tuple[Kind, ...] = _FROM_ONE + _FROM_TWO
"""Relations that use one or two earlier entities."""

RELATIONS: dict[str, Kind] = {kind.name: kind for kind in SOURCES + DERIVED}
