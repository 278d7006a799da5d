"""The relation kinds: sentences that define one entity's quantity, with the ways people solve them."""

import random

from ponderosa.sapling.kinds import (
    Kind,
    above,
    below,
    divisor,
    given_that,
    non_divisor,
    number,
    numbers,
    percentage,
)


def _plain(rng: random.Random, a: int, b: int) -> tuple[int, ...]:
    # Half of the plain quantities have many divisors, so that shares, fractions and percentages can follow.
    return (rng.randint(3, 60),) if rng.random() < 0.4 else (rng.choice((12, 20, 24, 30, 36, 40, 48, 60, 72, 80, 90)),)


def _loss(rng: random.Random, a: int, b: int) -> tuple[int, ...]:
    k, n = rng.randint(2, 9), rng.randint(3, 8)
    return rng.randint(k * n + 3, k * n + 60), k, n


def _broken(rng: random.Random, a: int, b: int) -> tuple[int, ...]:
    k, m = rng.randint(3, 9), rng.randint(4, 12)
    return k, m, rng.randint(2, m - 1)


def _posts(rng: random.Random, a: int, b: int) -> tuple[int, ...]:
    m = rng.randint(2, 6)
    return m * rng.randint(4, 20), m


def _numbered(rng: random.Random, a: int, b: int) -> tuple[int, ...]:
    k = rng.randint(3, 40)
    return k, k + rng.randint(5, 50)


def _fraction(rng: random.Random, a: int, b: int) -> tuple[int, ...] | None:
    fitting = [(k, m) for m in (3, 4, 5, 6, 8) for k in range(2, m) if a % m == 0 and a]
    return rng.choice(fitting) if fitting else None


def _fewer_than_times(rng: random.Random, a: int, b: int) -> tuple[int, ...] | None:
    m = rng.randint(2, 4)
    return (rng.randint(2, min(30, m * a - 2)), m) if a >= 3 else None


def _average(rng: random.Random, a: int, b: int) -> tuple[int, ...]:
    return (rng.randint(a // 2 + 3, a // 2 + 40),)


SOURCES: tuple[Kind, ...] = (
    Kind(
        "given",
        0,
        ("{e} has {k} {o}.", "{e} starts with {k} {o}.", "There are {k} {o} in {e}'s basket."),
        "k",
        draw=_plain,
        weight=5.0,
    ),
    Kind(
        "boxes",
        0,
        ("{e} has {k} boxes with {m} {o} in each.", "{e} buys {k} bags of {m} {o}.", "{e} fills {k} jars with {m} {o} each."),
        "k * m",
        ("k + m",),
        numbers((3, 12), (4, 15)),
    ),
    Kind(
        "dozens",
        0,
        ("{e} has {k} dozen {o}.", "{e} buys {k} dozen {o}.", "A shop sends {e} {k} dozen {o}."),
        "k * 12",
        ("k * 10",),
        number(2, 15),
    ),
    Kind(
        "daily_loss",
        0,
        (
            "{e} had {k} {o} and gave away {m} a day for {n} days.",
            "{e} had {k} {o} but lost {m} of them on each of {n} days.",
            "Out of {k} {o}, {e} used {m} every day for {n} days and kept the rest.",
        ),
        "k - m * n",
        ("k - m",),
        _loss,
        trap=True,
    ),
    Kind(
        "weeks",
        0,
        (
            "{e} picks {k} {o} a day for {m} weeks.",
            "For {m} weeks {e} finds {k} {o} each day.",
            "{e} collects {k} {o} daily for {m} weeks.",
        ),
        "k * 7 * m",
        ("k * m",),
        numbers((2, 12), (2, 5)),
        trap=True,
    ),
    Kind(
        "free_gift",
        0,
        (
            "{e} buys {k} packs of {m} {o} and gets {n} more for free.",
            "{e} finds {k} sacks of {m} {o} and {n} loose ones.",
            "{e} has {k} trays of {m} {o} plus {n} single ones.",
        ),
        "k * m + n",
        ("k * (m + n)",),
        numbers((3, 9), (4, 12), (2, 15)),
    ),
    Kind(
        "spoiled",
        0,
        (
            "{e} had {k} boxes of {m} {o}, but {n} in each box were bad and thrown away.",
            "{e} got {k} crates of {m} {o} and gave away {n} from each crate.",
            "From {k} bags of {m} {o} {e} took {n} out of every bag and kept the others.",
        ),
        "k * (m - n)",
        ("k * m - n",),
        _broken,
        trap=True,
    ),
    Kind(
        "both_ends",
        0,
        (
            "{e} sets {o} along a {k} meter path, one every {m} meters and one at both ends.",
            "On a {k} meter wall {e} puts {o} every {m} meters, from one end to the other.",
            "{e} lines up {o} {m} meters apart over {k} meters, with one at each end.",
        ),
        "k // m + 1",
        ("k // m",),
        _posts,
        trap=True,
    ),
    Kind(
        "numbered",
        0,
        (
            "{e} has the {o} numbered from {k} to {m}.",
            "{e} takes {o} number {k} through number {m}.",
            "The {o} with numbers {k} to {m} belong to {e}.",
        ),
        "m - k + 1",
        ("m - k",),
        _numbered,
        trap=True,
    ),
)
"""Relations that use no earlier entity."""

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
            "{a} has {k} more {o} than {e}.",
            "{a} has as many {o} as {e} and {k} more.",
            "{a} beats {e} by {k} {o}.",
        ),
        "a - k",
        ("a + k",),
        below(),
        trap=True,
    ),
    Kind(
        "reversed_fewer",
        1,
        ("{a} has {k} fewer {o} than {e}.", "{a} has {k} {o} less than {e}.", "{a} is {k} {o} behind {e}."),
        "a + k",
        ("a - k",),
        number(2, 60),
        trap=True,
    ),
    Kind(
        "times",
        1,
        ("{e} has {k} times as many {o} as {a}.", "{e} has {k} {o} for each one of {a}.", "{e} owns {k} times the {o} of {a}."),
        "a * k",
        ("a + k",),
        number(2, 6),
    ),
    Kind(
        "reversed_times",
        1,
        (
            "{a} has {k} times as many {o} as {e}.",
            "{a} has {k} {o} for each one of {e}.",
            "{a} owns {k} times the {o} of {e}.",
        ),
        "a // k",
        ("a * k",),
        divisor(),
        trap=True,
    ),
    Kind(
        "half",
        1,
        ("{e} has half as many {o} as {a}.", "{e} has half of what {a} has.", "{e} owns one half of the number of {a}."),
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
