"""The relation kinds that use no earlier entity."""

import random

from ponderosa.sapling.kinds import Kind, number, numbers


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
        (
            "{e} has {k} boxes with {m} {o} in each.",
            "{e} buys {k} bags of {m} {o}.",
            "{e} fills {k} jars with {m} {o} each.",
        ),
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
