"""Hand-written trajectories, labelled: what is reflection, and what only looks like it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core import Outcome, Tree
from ponderosa.forest.redone import Redone, redone
from ponderosa.forest.reflection import Sign, count_reflections, reflection

QUESTION = "Ann has 12 apples. Ben has 4 more. They wait. Wait, how many has Ben?"
END = "<end_of_step>"
PRINT = "# Now print the final answer\nprint(answer)\n<end_of_code>"
BOX = "<answer>The answer is \\boxed{16}.\n<end_of_answer>"


def code(*lines: str) -> str:
    return "\n" + "\n".join(lines) + "\n" + END


def tree_of(*steps: str, reward: float | None = 1.0, errors: dict[int, str] = {}, outputs: dict[int, str] = {}) -> Tree:  # noqa: B006
    tree = Tree("p", QUESTION)
    node = 0
    for number, step in enumerate(steps):
        node = tree.add(node, step, error=errors.get(number, ""), output=outputs.get(number, ""))
    tree.nodes[node].outcome, tree.nodes[node].answer, tree.nodes[node].reward = Outcome.ANSWERED, "16", reward
    return tree


def fenced(before: str, *lines: str, output: str = "") -> str:
    return before + "\n```python\n" + "\n".join(lines) + "\n```\n" + (f"```output\n{output}\n```\n\n" if output else "")


REFLECT = {
    "a value that was misread is set again before anything uses it": (
        Sign.REDONE,
        1,
        2,
        tree_of(code("ann = 12"), code("ben = 4"), code("ben = ann + 4"), code("answer = ben"), PRINT, BOX),
    ),
    "what followed from the wrong value is calculated anew as well": (
        Sign.REDONE,
        1,
        3,
        tree_of(
            code("ann = 12"),
            code("ben = ann - 4"),
            code("answer = ben"),
            code("ben = ann + 4"),
            code("answer = ben + 0 * ann"),
            PRINT,
            BOX,
        ),
    ),
    "a step fails to run and is written in another way": (
        Sign.CODE_ERROR,
        0,
        1,
        tree_of(
            code("answer = solve(x)"),
            code("answer = 12 + 4"),
            PRINT,
            BOX,
            errors={0: "NameError: name 'solve' is not defined"},
        ),
    ),
    "an assertion fails and another formula follows": (
        Sign.FAILED_CHECK,
        1,
        2,
        tree_of(
            code("ben = 12 - 4"),
            code("assert ben > 12"),
            code("answer = 12 + 4"),
            PRINT,
            BOX,
            errors={1: "AssertionError"},
        ),
    ),
    "a check prints False and another formula follows": (
        Sign.FAILED_CHECK,
        0,
        1,
        tree_of(
            fenced("Ben has 8.", "print(12 - 4 == 12 + 4)", output="False"),
            fenced("Add.", "print(12 + 4)", output="16"),
            "So \\boxed{16}",
        ),
    ),
    "the text says wait and goes on": (
        Sign.SAID,
        0,
        0,
        tree_of("Ben has 8 apples. Wait, he has 4 more than Ann, so I must add here.\n\n", "So \\boxed{16}"),
    ),
    "the text says that this is wrong, and the next step is another": (
        Sign.SAID,
        0,
        1,
        tree_of("Ben has 8. However, this is wrong.\n\n", "He has 12 + 4.\n\n", "So \\boxed{16}"),
    ),
    "a comment admits a mistake": (
        Sign.SAID,
        1,
        2,
        tree_of(code("a = 12 - 4"), code("# I made a mistake"), code("answer = 12 + 4"), PRINT, BOX),
    ),
    "another approach": (
        Sign.SAID,
        0,
        1,
        tree_of("The sum leads nowhere. Let's try a different approach.\n\n", "Draw it.\n\n", "So \\boxed{16}"),
    ),
}

DO_NOT = {
    "no sign at all": tree_of(code("ann = 12"), code("answer = ann + 4"), PRINT, BOX),
    "a loop sets its variable again and again": tree_of(
        code("best = 5 - 4"),
        code("for i in range(9):", "    best = i * 3", "    i = 7"),
        code("answer = best"),
        PRINT,
        BOX,
    ),
    "a counter and an update": tree_of(code("n = 12"), code("n = n + 2"), code("n += 2", "answer = n"), PRINT, BOX),
    "a beginning that gets its value later": tree_of(code("answer = 0"), code("answer = 12 + 4"), PRINT, BOX),
    "a name is used for something else while what it gave lives on": tree_of(
        code("value = 12 + 1"), code("ann = value - 1"), code("value = 4 + 0"), code("answer = ann + value"), PRINT, BOX
    ),
    "a result was shown and the name is used again": tree_of(
        fenced("First.", "result = 3 * 4", "print(result)", output="12"),
        fenced("Then.", "result = 12 + 4", "print(result)", output="16"),
        "So \\boxed{16}",
    ),
    "the same value by another formula": tree_of(
        code("ann = 12"), code("ben = 4 + ann"), code("ben = ann + 4"), code("answer = ben"), PRINT, BOX
    ),
    "a symbol becomes a number": tree_of(
        code("from sympy import symbols", "x = symbols('x')"), code("x = 12 + 4"), code("answer = x"), PRINT, BOX
    ),
    "a branch decides": tree_of(
        code("ben = 5 + 1"), code("if ben > 3:", "    ben = 16"), code("answer = ben"), PRINT, BOX
    ),
    "the question says wait": tree_of("They wait. Wait, how many has Ben? He has 16.\n\n", "So \\boxed{16}"),
    "people wait in the story": tree_of("They wait 5 minutes. I wait too. Ben has 16.\n\n", "So \\boxed{16}"),
    "a proof by contradiction": tree_of(
        "Suppose Ben had 8. This contradicts the second sentence, which is impossible.\n\n", "So \\boxed{16}"
    ),
    "a case that does not work": tree_of("x = 3 does not work, but x = 4 does.\n\n", "So \\boxed{16}"),
    "praise": tree_of("Ben has 16. This is correct.\n\n", "That's right.\n\n", "So \\boxed{16}"),
    "not wrong": tree_of("Some say 16. That is not wrong.\n\n", "So \\boxed{16}"),
    "a comparison that is True": tree_of(
        fenced("Check.", "print(12 + 4 == 16)", output="True"), fenced("So.", "print(16)", output="16"), "\\boxed{16}"
    ),
    "a predicate that is False is a fact of the problem": tree_of(
        fenced("Is it prime?", "print(is_prime(16))", output="False"), fenced("So.", "print(16)"), "\\boxed{16}"
    ),
    "the failing step is repeated as it is": tree_of(
        code("x = 1 / 0"), code("x = 1 / 0"), BOX, errors={0: "ZeroDivisionError", 1: "ZeroDivisionError"}
    ),
    "an error that is followed by words alone": tree_of(code("x = 1 / 0"), BOX, errors={0: "ZeroDivisionError"}),
}


@pytest.mark.parametrize("name", REFLECT)
def test_this_is_reflection(name: str) -> None:
    sign, at, anew, tree = REFLECT[name]
    found = reflection(tree, len(tree.nodes) - 1)
    assert found is not None
    assert (found.sign, found.at, found.anew) == (sign, at, anew)


@pytest.mark.parametrize("name", DO_NOT)
def test_this_is_not_reflection(name: str) -> None:
    tree = DO_NOT[name]
    assert reflection(tree, len(tree.nodes) - 1) is None


def test_trajectories_are_counted_by_how_they_end() -> None:
    turned = (code("ann = 12"), code("ben = 4"), code("ben = ann + 4"), code("answer = ben"), PRINT, BOX)
    trees = [tree_of(*turned), tree_of(*turned, reward=-1.0), tree_of(*turned, reward=None), tree_of(BOX)]
    count = count_reflections(trees)
    assert (count.trajectories, count.correct, count.reflecting, count.recovered) == (3, 2, 2, 1)
    assert count.to_json()["signs"] == {"redone": 1}
    assert [example.evidence for example in count.examples] == ["ben"]


def test_examples_are_of_different_problems_and_signs() -> None:
    trees = [tree for _, _, _, tree in REFLECT.values()]
    for number, tree in enumerate(trees):
        tree.problem_id = str(number)
    count = count_reflections(trees, examples=4)
    assert len({example.sign for example in count.examples}) == 4
    assert sum(count.signs.values()) == len(REFLECT) == count.recovered


def test_sibling_steps_of_a_search_are_no_reflection() -> None:
    tree = tree_of(code("ann = 12"), code("answer = ann + 4"), PRINT, BOX)
    tree.add(1, code("ann = 5"), error="NameError: x")
    assert reflection(tree, 4) is None


_names = st.sampled_from(["a", "b", "c", "d"])
_sums = st.lists(st.tuples(_names, st.integers(2, 9)), min_size=1, max_size=6)


@given(_sums)
def test_programs_that_set_each_name_once_redo_nothing(made: list[tuple[str, int]]) -> None:
    parts = [f"{name}{i} = {number} + {i}" for i, (name, number) in enumerate(made)]
    assert redone(parts) == []


@given(_sums)
def test_only_a_value_that_nothing_rests_on_is_redone(made: list[tuple[str, int]]) -> None:
    """Each part sets a name to a number of its own and adds it to the total, so that every value is used."""
    parts = [
        f"{name} = {number}\ntotal{i} = {name} + {f'total{i - 1}' if i else 0}" for i, (name, number) in enumerate(made)
    ]
    assert redone([*parts, f"print(total{len(made) - 1})"]) == []
    bare = [f"{name} = {number}" for name, number in made]
    expected = []
    now: dict[str, tuple[int, int]] = {}
    for part, (name, number) in enumerate(made):
        if name in now and now[name][1] != number:
            expected.append(Redone(name, now[name][0], part))
        now[name] = (part, number)
    assert redone(bare) == expected


@given(st.lists(st.text(), max_size=4))
def test_any_text_can_be_read(texts: list[str]) -> None:
    redone(texts)
    reflection(tree_of(*texts, "So \\boxed{1}"), len(texts) + 1)
