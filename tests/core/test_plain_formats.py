import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core import Completion, Ended, Outcome, StepKind
from ponderosa.core.plain_formats import FencedFormat, ProgramFormat, TextFormat, ThinkFormat

TEXT, FENCED, PROGRAM = TextFormat(), FencedFormat(), ProgramFormat()
THINK, PARAGRAPHS = ThinkFormat(), ProgramFormat(paragraphs=True)


def stopped(text: str, stop: str) -> Completion:
    return Completion(text, Ended.STOP, stop)


def test_a_paragraph_is_a_step():
    step = TEXT.parse(stopped("There are 3 apples.", "\n\n"))
    assert (step.text, step.kind, step.outcome) == ("There are 3 apples.\n\n", StepKind.TEXT, None)


@pytest.mark.parametrize("format", [TEXT, FENCED, THINK])
def test_a_box_ends_a_trajectory(format):
    step = format.parse(Completion("So it is \\boxed{\\frac{1}{2}}.", Ended.EOS))
    assert (step.kind, step.answer) == (StepKind.ANSWER, "\\frac{1}{2}")


@pytest.mark.parametrize("format", [TEXT, FENCED, PROGRAM, THINK, PARAGRAPHS])
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


FORMATS = [TEXT, FENCED, PROGRAM, TextFormat(whole=True), THINK, ThinkFormat(divider="\n\n"), PARAGRAPHS]
PIECES = [
    "word",
    " ",
    "\n",
    "\n\n",
    "<think>",
    "</think>",
    "<answer>",
    "</answer>",
    "\\boxed{7}",
    "```python\n",
    "```\n",
]


@given(
    st.text() | st.lists(st.sampled_from(PIECES)).map("".join), st.sampled_from(list(Ended)), st.sampled_from(FORMATS)
)
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


PROOF = TextFormat(whole=True)


def test_where_the_whole_text_is_the_answer_its_end_is_the_end_and_a_box_is_not():
    steps = PROOF.split(Completion("Let n = 2k.\n\n\\boxed{4k^2}\n\nSo it is even.", Ended.EOS))
    assert [step.kind for step in steps] == [StepKind.TEXT, StepKind.TEXT, StepKind.END]
    assert "".join(step.text for step in steps) == "Let n = 2k.\n\n\\boxed{4k^2}\n\nSo it is even."
    assert [step.outcome for step in steps] == [None, None, Outcome.ANSWERED]


def test_a_whole_text_may_end_with_a_blank_line_but_not_at_the_token_limit():
    assert PROOF.split(Completion("Let n = 2k.\n\n", Ended.EOS))[-1].kind is StepKind.END
    assert PROOF.split(Completion("Let n = 2k.\n\n", Ended.LENGTH))[-1].kind is StepKind.MALFORMED
    assert PROOF.parse(Completion("Let n", Ended.LENGTH)).kind is StepKind.MALFORMED


def test_of_a_server_that_does_not_say_why_it_stopped_only_nothing_more_is_the_end_of_a_whole_text():
    assert PROOF.parse(Completion("Let n = 2k.", Ended.STOP)).kind is StepKind.TEXT
    assert PROOF.parse(Completion("", Ended.STOP)).kind is StepKind.END


THOUGHT, OPENING, CODE = "Square it.\n\n", "```python\n", "def f(x):\n\n    return x * x\n"


def test_a_program_is_an_answer_after_a_thought():
    thought = PROGRAM.parse(stopped(THOUGHT, OPENING))
    assert (thought.text, thought.kind) == (THOUGHT + OPENING, StepKind.TEXT)
    program = PROGRAM.parse(stopped(CODE, "```\n"))
    assert (program.kind, program.answer) == (StepKind.ANSWER, CODE.strip())
    assert PROGRAM.render("?", (thought.text, program.text)).text.endswith(f"{THOUGHT}{OPENING}{CODE}```\n")


@pytest.mark.parametrize(
    "end", [Completion("", Ended.STOP, "```\n"), Completion("```", Ended.EOS), Completion("```\nDone.", Ended.EOS)]
)
def test_a_chain_with_a_program_has_two_steps(end):
    chain = Completion(THOUGHT + OPENING + CODE + end.text, end.ended, end.stop)
    first, last = PROGRAM.split(chain)
    assert (first.text, first.outcome) == (THOUGHT + OPENING, None)
    assert last.answer == CODE.strip()


def test_the_last_block_is_the_program():
    steps = PROGRAM.split(stopped(f"Not\n{OPENING}print(1)\n```\nbut\n{OPENING}print(2)\n", "```\n"))
    assert steps[-1].answer == "print(2)"


@pytest.mark.parametrize(
    "completion",
    [Completion(OPENING + CODE, Ended.LENGTH), Completion(OPENING + "```", Ended.EOS), Completion(CODE, Ended.EOS)],
)
def test_a_program_that_is_cut_off_or_empty_is_malformed(completion):
    assert PROGRAM.split(completion)[-1].outcome is Outcome.MALFORMED


def test_where_no_stop_is_named_code_is_told_from_words():
    assert PROGRAM.parse(Completion(THOUGHT, Ended.STOP)) == PROGRAM.parse(stopped(THOUGHT, OPENING))
    assert PROGRAM.parse(Completion(CODE, Ended.STOP)) == PROGRAM.parse(stopped(CODE, "```\n"))


def test_thinking_is_a_line_a_step_and_the_answer_stands_between_tags():
    steps = THINK.split(Completion("Ann has 3.\nSo ben = 3 + 4 = 7.\n</think> <answer> 7 ", Ended.STOP, "</answer>"))
    assert [step.text for step in steps] == ["Ann has 3.\n", "So ben = 3 + 4 = 7.\n", "</think> <answer> 7 </answer>"]
    assert [step.kind for step in steps] == [StepKind.TEXT, StepKind.TEXT, StepKind.ANSWER]
    assert steps[-1].answer == "7"


def test_the_prompt_of_thinking_opens_it_and_says_what_the_tags_are():
    prompt = THINK.render("How many?", ("One.\n",))
    assert prompt.text.startswith("How many?\n\n")
    assert prompt.text.endswith("<think>\nOne.\n")
    assert "</answer>" in prompt.question
    assert prompt.body == "One.\n"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("</think> <answer>The total is \\boxed{\\frac{1}{2}}.</answer>", "\\frac{1}{2}"),
        ("</think>\n\nThe total is \\boxed{12}.", "12"),
        ("<answer>3</answer> no, <answer>4</answer>", "4"),
    ],
)
def test_an_answer_may_be_boxed_with_or_without_tags(text, answer):
    assert THINK.parse(Completion(text, Ended.EOS)).answer == answer


@pytest.mark.parametrize(
    "completion",
    [
        Completion("<answer>", Ended.STOP, "</answer>"),
        Completion("<answer>\\boxed{}", Ended.STOP, "</answer>"),
        Completion("an end without a beginning", Ended.STOP, "</answer>"),
        Completion("</think> <answer>7", Ended.EOS),
        Completion("</think> <answer>7", Ended.STOP, "\n"),
        Completion("", Ended.STOP, "\n"),
        Completion("cut off", Ended.LENGTH),
    ],
)
def test_tags_that_do_not_match_and_empty_thoughts_are_malformed(completion):
    assert THINK.parse(completion).outcome is Outcome.MALFORMED


def test_where_no_stop_is_named_an_open_answer_tag_tells_it():
    assert THINK.parse(Completion("</think> <answer>7", Ended.STOP)).answer == "7"
    assert THINK.parse(Completion("Ann has 3.", Ended.STOP)).text == "Ann has 3.\n"


def test_the_lines_of_an_answer_are_no_steps():
    steps = THINK.split(Completion("One.\n</think>\n<answer>\n7\n", Ended.STOP, "</answer>"))
    assert [step.text for step in steps] == ["One.\n", "</think>\n", "<answer>\n7\n</answer>"]
    assert steps[-1].answer == "7"


def test_thinking_that_ends_without_an_answer_is_malformed():
    steps = THINK.split(Completion("One.\nTwo.\n", Ended.EOS))
    assert [step.kind for step in steps] == [StepKind.TEXT, StepKind.MALFORMED]


CODE = "def f(x):\n    return x\n"


def test_paragraphs_before_a_program_are_steps():
    chain = f"First this.\n\nThen that.\n\n```python\n{CODE}"
    steps = PARAGRAPHS.split(stopped(chain, "```\n"))
    assert [step.text for step in steps] == ["First this.\n\n", "Then that.\n\n", f"```python\n{CODE}```\n"]
    assert steps[-1].answer == CODE.strip("\n")
    assert [step.kind for step in steps[:-1]] == [StepKind.TEXT] * 2


def test_a_blank_line_within_a_program_is_malformed_where_paragraphs_are_steps():
    assert PARAGRAPHS.parse(stopped("```python\nimport math", "\n\n")).outcome is Outcome.MALFORMED
    assert PROGRAM.parse(stopped("import math\n\nprint(math.pi)\n", "```\n")).kind is StepKind.ANSWER


@given(st.lists(st.sampled_from(["a word", "b = 2.", "So it is."]), min_size=1), st.sampled_from(["7", "-3/4", "x"]))
def test_a_chain_of_thinking_splits_into_what_its_steps_were(lines, answer):
    chain = "".join(f"{line}\n" for line in lines) + f"</think> <answer>{answer}"
    steps = THINK.split(stopped(chain, "</answer>"))
    assert "".join(step.text for step in steps) == f"{chain}</answer>"
    assert len(steps) == len(lines) + 1
    assert steps[-1].answer == answer
    for step in steps[:-1]:
        assert step == THINK.parse(stopped(step.text.removesuffix("\n"), "\n"))
