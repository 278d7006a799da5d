import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core import Ended
from ponderosa.models.text import Text


@pytest.fixture(scope="module")
def text(tokenizer: Any) -> Text:
    return Text(tokenizer, len(tokenizer) + 3, [tokenizer.eos_token_id])


def generated(
    text: Text, ids: list[int], stops: tuple[str, ...], limit: int = 10_000
) -> tuple[str, Ended, str | None, int]:
    """Feeds tokens one by one, as a model would; how it ended, and after how many tokens."""
    for count in range(1, len(ids) + 1):
        end = text.end(ids[:count], text.stops(stops), limit, prompt=text.encode("Ann has"))
        if end is not None:
            return (*end, count)
    raise AssertionError("it did not end")


def test_text_survives_the_way_to_tokens_and_back(text: Text) -> None:
    for sample in (
        "Ann has 3 apples?\n# Step 1: x = 2\n<end_of_step>",
        "é ☃ \t  two  spaces ",
        "<code>\n\n<answer>\\boxed{1}",
    ):
        assert text.decode(text.encode(sample), text.encode("Ben")) == sample


def test_a_marker_ends_a_text_and_is_trimmed(text: Text) -> None:
    ids = text.encode("x = 1\n<end_of_step>more")
    assert generated(text, ids, ("<end_of_step>", "<end_of_code>"))[:3] == ("x = 1\n", Ended.STOP, "<end_of_step>")


def test_a_marker_that_is_no_stop_is_part_of_the_text(text: Text) -> None:
    ids = text.encode("x = 1\n<end_of_step>\nprint(x)\n<end_of_code>")
    end = generated(text, ids, ("<end_of_code>",))
    assert end[:3] == ("x = 1\n<end_of_step>\nprint(x)\n", Ended.STOP, "<end_of_code>")


@given(st.data())
def test_any_stop_is_found_at_the_very_token_that_completes_it(text: Text, data: st.DataObject) -> None:
    sample = data.draw(st.text("aple n\n=é☃<>12", min_size=1, max_size=30))
    start = data.draw(st.integers(0, len(sample) - 1))
    stop = sample[start : data.draw(st.integers(start + 1, len(sample)))]
    ids = text.encode(sample)
    first = next(count for count in range(1, len(ids) + 1) if stop in text.decode(ids[:count]))
    assert generated(text, ids, (stop,)) == (sample[: sample.index(stop)], Ended.STOP, stop, first)


def test_a_stop_spelled_in_odd_tokens_is_found_too(text: Text, tokenizer: Any) -> None:
    letters = [token for char in "<end_of_step>" for token in tokenizer.encode(char)]
    assert generated(text, text.encode("x\n") + letters, ("<end_of_step>",))[:2] == ("x\n", Ended.STOP)


def test_of_two_stops_in_one_token_the_first_counts_and_of_these_the_longest(text: Text) -> None:
    ids = text.encode(" apples")
    assert len(ids) == 1
    assert generated(text, ids, ("les", "ppl", "pp"))[:3] == (" a", Ended.STOP, "ppl")


def test_the_end_of_the_text_is_no_part_of_it(text: Text, tokenizer: Any) -> None:
    ids = [*text.encode("done"), tokenizer.eos_token_id]
    assert generated(text, ids, ("<end_of_step>",))[:3] == ("done", Ended.EOS, None)


def test_an_end_of_text_that_is_a_stop_counts_as_the_stop(text: Text, tokenizer: Any) -> None:
    ids = [*text.encode("done"), tokenizer.eos_token_id]
    assert generated(text, ids, ("<eos>",))[:3] == ("done", Ended.STOP, "<eos>")


def test_the_limit_cuts_a_text_off_unless_its_last_token_stops_it(text: Text) -> None:
    ids = text.encode("Ann has apples\n<end_of_step>")
    assert generated(text, ids, ("<end_of_step>",), limit=len(ids))[1] is Ended.STOP
    cut = generated(text, ids, ("<end_of_step>",), limit=len(ids) - 1)
    assert cut[:3] == ("Ann has apples\n", Ended.LENGTH, None)


def test_tokens_beyond_the_tokenizer_have_no_text(text: Text, tokenizer: Any) -> None:
    rng = random.Random(0)
    ids = [*text.encode("Ann"), len(tokenizer) + rng.randrange(3), *text.encode(" has")]
    assert generated(text, ids, (" has",))[0] == "Ann"
