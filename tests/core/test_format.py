import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core import CodeFormat, Completion, Ended, Outcome, StepKind, boxed_answer, plain_text
from ponderosa.core.format import END_OF_ANSWER, END_OF_CODE, END_OF_STEP, MARKERS

FORMAT = CodeFormat()
# Text that a model may write inside a step: anything but the markers and a box.
plain = st.text(st.characters(blacklist_categories=["Cs"])).filter(
    lambda text: text.strip() and not any(marker in text for marker in MARKERS) and "\\boxed" not in text
)


def stopped(text: str, stop: str) -> Completion:
    return Completion(text, Ended.STOP, stop)


def test_a_prompt_is_the_question_in_the_official_template_and_the_steps() -> None:
    prompt = FORMAT.render("What is 1 + 1?", ["<code>\nx = 1\n<end_of_step>"])
    assert prompt.text == (
        "<|user|>:\nWhat is 1 + 1?\n<|assistant|>: Let's think step by step and solve the problem with code."
        "<code>\nx = 1\n<end_of_step>"
    )


def test_a_step_reads_as_plain_text_without_markers_and_empty_lines() -> None:
    step = FORMAT.with_output("<code>\n# Step 1: half\n\nx = 4 / 2\nif x:\n    print(x)\n<end_of_code>", "2.0\n")
    assert plain_text(step) == "# Step 1: half\nx = 4 / 2\nif x:\n    print(x)\nOutput: 2.0"
    assert plain_text("\n<answer>It is \\boxed{2}.\n<end_of_answer>") == "It is \\boxed{2}."
    assert plain_text("Two halves are one.\n\n") == "Two halves are one."


def test_the_stop_tells_what_a_step_is() -> None:
    assert FORMAT.parse(stopped("\nx = 1\n", END_OF_STEP)).kind is StepKind.CODE
    assert FORMAT.parse(stopped("\nprint(x)\n", END_OF_CODE)).kind is StepKind.CODE_END
    answer = FORMAT.parse(stopped("\n<answer>It is \\boxed{1}.\n", END_OF_ANSWER))
    assert (answer.kind, answer.answer, answer.outcome) == (StepKind.ANSWER, "1", Outcome.ANSWERED)
    assert answer.text.endswith(END_OF_ANSWER)


@pytest.mark.parametrize(
    ("text", "stop"),
    [
        ("\nx = 1  # prints nothing\n", "<end_of_step>"),
        ("\n# Now print the final answer\nprint(x)\n", "<end_of_code>"),
        ("\n<answer>It is \\boxed{print(1)}.\n", "<end_of_answer>"),
    ],
)
def test_where_no_stop_is_named_the_text_tells_it(text: str, stop: str) -> None:
    assert FORMAT.parse(Completion(text, Ended.STOP)) == FORMAT.parse(Completion(text, Ended.STOP, stop))


def test_what_does_not_follow_the_format_is_malformed() -> None:
    for completion in (
        stopped("  \n", END_OF_STEP),
        stopped("\\boxed{}", END_OF_ANSWER),
        stopped("\\boxed{1", END_OF_ANSWER),
        stopped("\n<answer>no box\n", END_OF_ANSWER),
        Completion("x = 1", Ended.EOS),
        Completion("x = 1", Ended.LENGTH),
        stopped("\n<output>3<end_of_output>\n", END_OF_STEP),
    ):
        assert FORMAT.parse(completion).outcome is Outcome.MALFORMED, completion


@given(st.lists(plain, min_size=1, max_size=5))
def test_a_chain_splits_into_the_steps_that_it_was_made_of(thoughts: list[str]) -> None:
    *steps, last = thoughts
    text = "".join(step + END_OF_STEP for step in steps) + last
    parsed = FORMAT.split(stopped(text, END_OF_CODE))
    assert [step.text for step in parsed] == [step + END_OF_STEP for step in steps] + [last + END_OF_CODE]
    assert [step.kind for step in parsed] == [StepKind.CODE] * len(steps) + [StepKind.CODE_END]


pieces = st.lists(st.sampled_from([*"ab \n", *MARKERS, "\\boxed{", "}"])).map("".join)


@given(pieces, st.sampled_from(Ended))
def test_any_text_gives_steps_of_which_at_most_the_last_is_final(text: str, ended: Ended) -> None:
    parsed = FORMAT.split(Completion(text, ended, END_OF_CODE if ended is Ended.STOP else None))
    assert parsed
    assert all(step.outcome is None for step in parsed[:-1])


def test_a_chain_cut_off_after_a_step_does_not_pass_for_a_whole_one() -> None:
    parsed = FORMAT.split(Completion("\nx = 1\n" + END_OF_STEP, Ended.LENGTH))
    assert [step.kind for step in parsed] == [StepKind.MALFORMED]


@given(st.lists(plain, min_size=1, max_size=4), plain)
def test_the_program_holds_all_code_and_no_output(thoughts: list[str], output: str) -> None:
    steps = [thought + END_OF_STEP for thought in thoughts]
    steps[-1] = FORMAT.with_output(steps[-1], output)
    assert FORMAT.program(steps).strip() == "".join(thoughts).strip()


def test_long_output_is_cut_in_the_middle() -> None:
    shown = CodeFormat(max_output=10).with_output("x", "a" * 20 + "b" * 20)
    assert shown == "x\n<output>aaaaa...bbbbb<end_of_output>"
    assert FORMAT.has_output(shown)


@given(st.recursive(st.text("ab1\\"), lambda inner: inner.map(lambda s: "{" + s + "}"), max_leaves=5), plain)
def test_the_last_box_is_read_with_its_braces(content: str, before: str) -> None:
    assert boxed_answer(f"\\boxed{{no}} {before} \\boxed{{{content}}} and more") == content.strip()


def test_no_box_is_no_answer_and_an_unclosed_one_is_empty() -> None:
    assert boxed_answer("nothing") is None
    assert boxed_answer("\\boxed{1") == ""
