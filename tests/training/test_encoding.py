from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core import CodeFormat
from ponderosa.core.plain_formats import FencedFormat
from ponderosa.training.encoding import IGNORED, encode_continuations, encode_prompts, encode_responses, split_response

TEXT = st.text(st.sampled_from("ab12\n .é<>"), max_size=12)


def test_the_executor_wrote_the_output_with_its_markers_and_the_line_break_before_them() -> None:
    code = "<code>\nprint(1)\n<end_of_code>"
    response = CodeFormat().with_output(code, "12") + "\n<answer>\\boxed{12}<end_of_answer>"

    assert split_response(response) == [
        (code, True),
        ("\n<output>12<end_of_output>", False),
        ("\n<answer>\\boxed{12}<end_of_answer>", True),
    ]


def test_an_output_block_is_the_executors_in_plain_text_too() -> None:
    code = "Let us add.\n```python\nprint(1)\n```\n"
    shown = FencedFormat().with_output(code, "12\n```\n13")
    assert split_response(shown + "So it is 12.") == [
        (code, True),
        ("\n```output\n12\n```\n13\n```\n\n", False),
        ("So it is 12.", True),
    ]


@given(prompt=TEXT, outputs=st.lists(TEXT, max_size=3), written=st.lists(TEXT, min_size=4, max_size=4))
def test_the_loss_is_on_what_the_policy_wrote_and_on_nothing_else(
    tokenizer: Any, prompt: str, outputs: list[str], written: list[str]
) -> None:
    response = written[0] + "".join(
        f"\n<output>{output}<end_of_output>{text}" for output, text in zip(outputs, written[1:], strict=False)
    )

    ((ids, labels),) = encode_responses(tokenizer, [prompt], [response])

    assert tokenizer.decode(ids) == prompt + response + "<eos>"
    assert all(label in (token, IGNORED) for token, label in zip(ids, labels, strict=True))
    learned = [token for token, label in zip(ids, labels, strict=True) if label != IGNORED]
    assert tokenizer.decode(learned) == "".join(written[: len(outputs) + 1]) + "<eos>"


def test_what_is_masked_ends_where_a_token_ends(tokenizer: Any) -> None:
    ((ids, labels),) = encode_responses(tokenizer, ["a"], ["b"])  # "ab" is one token, but the policy wrote only "b"

    assert [tokenizer.decode([token]) for token in ids] == ["a", "b", "<eos>"]
    assert labels == [IGNORED, *ids[1:]]


def test_an_output_that_was_cut_off_is_the_policys_own_text() -> None:
    assert split_response("<output>12") == [("<output>12", True)]


class StartAndEnd:
    """A tokenizer that puts a start token before a text and an end token after it."""

    eos_token_id = 1

    def __call__(self, texts: list[str], add_special_tokens: bool = True) -> dict[str, list[list[int]]]:
        plain = [[ord(c) for c in text] for text in texts]
        return {"input_ids": [[0, *ids, 1] for ids in plain] if add_special_tokens else plain}


def test_a_prompt_keeps_its_start_token_and_loses_its_end_token() -> None:
    assert encode_prompts(StartAndEnd(), ["ab"]) == {"ab": [0, 97, 98]}
    assert encode_continuations(StartAndEnd(), ["ab"]) == {"ab": [97, 98]}
