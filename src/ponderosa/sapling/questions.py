"""The question kinds: what is asked of the entities, with the ways people answer."""

from ponderosa.sapling.kinds import Kind, above, below, divisor, given_that, non_divisor, number, percentage

_LEFT = "How many {o} are left?"

_ALL: tuple[Kind, ...] = (
    Kind(
        "has",
        1,
        ("How many {o} does {a} have?", "What is the number of {o} of {a}?", "How many {o} are there with {a}?"),
        "a",
    ),
    Kind(
        "together",
        2,
        (
            "How many {o} do {a} and {b} have together?",
            "What is the total of {a} and {b}?",
            "How many {o} do {a} and {b} own in all?",
        ),
        "a + b",
        ("a - b",),
    ),
    Kind(
        "how_many_more",
        2,
        (
            "How many more {o} does {a} have than {b}?",
            "By how many {o} does {a} beat {b}?",
            "How many {o} must {b} get to equal {a}?",
        ),
        "a - b",
        ("a + b",),
        given_that(lambda a, b: a > b + 1),
    ),
    Kind(
        "gives_away",
        1,
        (
            "{a} gives away {k} {o}. " + _LEFT,
            "{a} loses {k} of the {o}. " + _LEFT,
            "After {a} sells {k} {o}, how many {o} remain?",
        ),
        "a - k",
        ("a + k",),
        below(),
    ),
    Kind(
        "cost",
        1,
        (
            "Each of the {o} costs {k} coins. What do those of {a} cost?",
            "{a} sells all {o} at {k} coins each. How many coins is that?",
            "How many coins are the {o} of {a} worth at {k} coins each?",
        ),
        "a * k",
        ("a + k",),
        number(2, 9),
    ),
    Kind(
        "shared",
        1,
        (
            "{a} shares the {o} equally among {k} friends. How many does each get?",
            "{k} friends split the {o} of {a} evenly. How many {o} does one get?",
            "How many {o} go in each of {k} equal piles made by {a}?",
        ),
        "a // k",
        ("a - k",),
        divisor(),
    ),
    Kind(
        "joined_share",
        1,
        (
            "{a} and {k} friends share the {o} of {a} equally. How many does each get?",
            "{k} friends join {a} and all of them split the {o} of {a} evenly. How many {o} per person?",
            "If {a} keeps the same share as each of {k} friends, how many {o} is a share?",
        ),
        "a // (k + 1)",
        ("a // k",),
        lambda rng, a, b: None if (n := divisor(3, 9)(rng, a, b)) is None else (n[0] - 1,),
        trap=True,
        weight=1.3,
    ),
    Kind(
        "total_of_three",
        3,
        (
            "How many {o} do {a}, {b} and {c} have together?",
            "What is the total of {a}, {b} and {c}?",
            "How many {o} are there if {a}, {b} and {c} put theirs in one heap?",
        ),
        "a + b + c",
        ("a + b",),
    ),
    Kind(
        "average_of_two",
        2,
        (
            "What is the average of {a} and {b}?",
            "How many {o} do {a} and {b} have on average?",
            "If {a} and {b} level their {o} out, how many does each have?",
        ),
        "(a + b) // 2",
        ("a + b",),
        given_that(lambda a, b: (a + b) % 2 == 0),
        trap=True,
    ),
    Kind(
        "to_reach",
        1,
        (
            "How many more {o} does {a} need to have {k}?",
            "{a} wants {k} {o}. How many are missing?",
            "How many {o} is {a} short of {k}?",
        ),
        "k - a",
        ("k + a",),
        above(),
    ),
    Kind(
        "bags_for_all",
        1,
        (
            "How many bags of {k} does {a} need for all the {o}?",
            "A box holds {k} {o}. How many boxes does {a} need?",
            "{a} can carry {k} {o} at a time. How many trips for all of them?",
        ),
        "-(-a // k)",
        ("a // k",),
        non_divisor(),
        trap=True,
    ),
    Kind(
        "percent_sold",
        1,
        (
            "{a} sells {k} percent of the {o}. " + _LEFT,
            "{a} gives away {k} percent of the {o}. " + _LEFT,
            "If {k} percent of the {o} of {a} are lost, how many {o} remain?",
        ),
        "a - a * k // 100",
        ("a * k // 100", "a - k"),
        percentage(10, 20, 25, 30, 40, 60, 75),
        trap=True,
        weight=1.3,
    ),
)

QUESTIONS: dict[str, Kind] = {kind.name: kind for kind in _ALL}
