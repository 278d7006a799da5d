import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core import TAGS, Completion, Ended, StepKind, Tags, answer_alone, make_format

THINK = TAGS["think"]
LETTERS = Tags(("<a>", "<b>", "<c>"), "<c>")


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("So 8.\n</think> <answer>8</answer>", True),
        ("<think>So 8.\n</think> <answer>8</answer>", False),  # the prompt opened the thinking
        ("So 8. <answer>8</answer>", False),
        ("So 8.</think><answer>8</answer><answer>9</answer>", False),
        ("<answer>8</answer></think>", False),
    ],
)
def test_the_prompt_opens_what_it_opens(text: str, holds: bool) -> None:
    assert THINK.hold(text) is holds


def test_the_parts_of_a_solution_are_told_apart() -> None:
    assert THINK.parts("So 8.</think> <answer>8</answer>") == ("So 8. ", "8")
    assert THINK.parts("So 8.") == ("So 8.", "")


@pytest.mark.parametrize("format", TAGS)
def test_an_answer_alone_has_no_reasoning(format: str) -> None:
    alone = TAGS[format].alone("8")
    reasoning, answer = TAGS[format].parts(alone)
    assert (reasoning.strip(), answer) == ("", "8")


def test_an_answer_alone_closes_the_thinking_that_the_prompt_opened() -> None:
    assert THINK.hold(THINK.alone("8"))
    step = make_format("think").parse(Completion(THINK.alone("8"), Ended.EOS))
    assert (step.kind, step.answer) == (StepKind.ANSWER, "8")


def test_without_an_answer_nothing_stands_alone() -> None:
    assert answer_alone("think", ("So 8.\n",), None) is None
    assert answer_alone("text", (), None) is None


@given(st.lists(st.sampled_from(["<a>", "<b>", "<c>", "x", " "]), max_size=8))
def test_tags_hold_if_they_are_what_is_left_without_the_words(pieces: list[str]) -> None:
    assert LETTERS.hold("".join(pieces)) == (
        [piece for piece in pieces if piece in LETTERS.order] == list(LETTERS.order)
    )
