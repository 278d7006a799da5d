"""Who and what the world's sentences are about, and the sentences that say nothing of use."""

from ponderosa.sapling.kinds import Kind, below, number

# fmt: off
NAMES = (
    "Ann", "Ben", "Cal", "Dan", "Eva", "Fay", "Gus", "Hal", "Ida", "Jon", "Kim", "Leo",
    "Mia", "Ned", "Oli", "Pam", "Quin", "Ray", "Sue", "Tom", "Una", "Vic", "Wes", "Xia",
    "Yan", "Zoe", "Amy", "Bob", "Carl", "Dora", "Emma", "Finn", "Gina", "Hugo", "Iris", "Jack",
)
"""Entities. A variable is the lower-cased name."""

OBJECTS = (
    "apples", "pears", "books", "cards", "pens", "stamps", "shells", "beads", "eggs",
    "nuts", "cups", "stones", "figs", "plums", "buttons", "marbles",
)
# fmt: on

NO_OPS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "quality",
            1,
            (
                "{k} of the {o} of {a} are green.",
                "Among the {o} of {a}, {k} are a bit smaller than average.",
                "{a} got {k} of these {o} from an uncle.",
            ),
            "a",
            ("a - k",),
            below(2, 12),
            trap=True,
        ),
        Kind(
            "setting",
            0,
            ("The shop opens at {k}.", "It is a warm day in week {k}.", "The market has {k} stalls."),
            "k",
            draw=number(2, 30),
        ),
    )
}
"""Sentences that no right solution uses (GSM-NoOp, arXiv 2410.05229). The wrong way of `quality` changes {a}."""
