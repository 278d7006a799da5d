import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core import Completion, Ended, Outcome, StepKind
from ponderosa.core.plain_formats import FencedFormat, TextFormat

TEXT, FENCED = TextFormat(), FencedFormat()


def stopped(text: str, stop: str) -> Completion:
    return Completion(text, Ended.STOP, stop)


def test_a_paragraph_is_a_step():
    step = TEXT.parse(stopped("There are 3 apples.", "\n\n"))
    assert (step.text, step.kind, step.outcome) == ("There are 3 apples.\n\n", StepKind.TEXT, None)


@pytest.mark.parametrize("format", [TEXT, FENCED])
def test_a_box_ends_a_trajectory(format):
    step = format.parse(Completion("So it is \\boxed{\\frac{1}{2}}.", Ended.EOS))
    assert (step.kind, step.answer) == (StepKind.ANSWER, "\\frac{1}{2}")


@pytest.mark.parametrize("format", [TEXT, FENCED])
@pytest.mark.parametrize(
    "completion",
    [
        Completion("", Ended.EOS),
        Completion("no answer", Ended.EOS),
        Completion("cut off", Ended.LENGTH),
        Completion("an empty \\boxed{}", Ended.EOS),
    ],
)
def test_what_ends_without_an_answer_is_malformed(format, completion):
    assert format.parse(completion).outcome is Outcome.MALFORMED


def test_a_chain_of_text_is_split_at_blank_lines_and_ends_with_its_answer():
    steps = TEXT.split(Completion("one\n\n\n\ntwo\n\nso \\boxed{3}\n\nmore", Ended.EOS))
    assert [step.text for step in steps] == ["one\n\n", "two\n\n", "so \\boxed{3}\n\n"]
    assert steps[-1].answer == "3"


def test_a_chain_of_text_without_an_answer_ends_malformed():
    assert TEXT.split(Completion("one\n\ntwo\n\n", Ended.EOS))[-1].outcome is Outcome.MALFORMED


@given(st.text(), st.sampled_from(list(Ended)), st.sampled_from([TEXT, FENCED]))
def test_any_text_gives_typed_steps(text, ended, format):
    stop = format.step_stops[0] if ended is Ended.STOP else None
    completion = Completion(text, ended, stop)
    assert format.parse(completion).kind in StepKind
    steps = format.split(completion)
    assert steps
    assert all(step.outcome is None for step in steps[:-1])


BLOCK = "First some code.\n```python\nx = 3\nprint('x is', x)\n"


def test_a_block_ends_a_step_and_is_run():
    step = FENCED.parse(stopped(BLOCK, "```\n"))
    assert step.kind is StepKind.CODE_END
    assert FENCED.program((step.text,)) == "x = 3\nprint('x is', x)\n"


@pytest.mark.parametrize(
    ("format", "text", "told"),
    [
        (TEXT, "One thought.", Completion("One thought.", Ended.STOP, "\n\n")),
        (TEXT, "So \\boxed{4}.", Completion("So \\boxed{4}.", Ended.STOP, "\n\n")),
        (FENCED, "```python\nprint(1)\n", Completion("```python\nprint(1)\n", Ended.STOP, "```\n")),
        (FENCED, "So \\boxed{4}.", Completion("So \\boxed{4}.", Ended.EOS)),
        (FENCED, "No answer.", Completion("No answer.", Ended.EOS)),
    ],
)
def test_where_no_stop_is_named_the_text_tells_it(format, text, told):
    assert format.parse(Completion(text, Ended.STOP)) == format.parse(told)


def test_a_fence_without_python_is_text():
    assert FENCED.parse(stopped("A table:\n```text\na b\n", "```\n")).kind is StepKind.TEXT


def test_output_that_the_policy_writes_itself_is_malformed():
    assert FENCED.parse(stopped("```output\n42\n", "```\n")).outcome is Outcome.MALFORMED


def test_a_block_shows_its_own_output_and_not_that_of_blocks_before():
    first = FENCED.with_output(BLOCK + "```\n", "x is 3\n")
    assert first.endswith("```\n\n```output\nx is 3\n```\n\n")
    assert FENCED.has_output(first)
    program = FENCED.program((first, "Now square it.\n```python\nprint(x**2, end='')\n```\n"))
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert FENCED.with_output("", printed).split("```")[1] == "output\n9\n"


def test_a_long_output_is_cut_in_the_middle():
    shown = FENCED.with_output("", "x" * 3000)
    assert "x" * 512 + "..." + "x" * 512 in shown


def test_prompts_hold_instruction_question_and_steps():
    prompt = TextFormat(few_shot="An example.\n\n").render("How many?", ("one\n\n",))
    assert prompt.text.startswith("An example.\n\nHow many?\n\n")
    assert prompt.text.endswith("\n\none\n\n")
    assert "\\boxed{}" in prompt.question
