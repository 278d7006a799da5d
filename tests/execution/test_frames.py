import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.execution.jail.frames import MAX_FRAME, Decoder, encode

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(st.dictionaries(st.text(max_size=5), json_values, max_size=4), max_size=5), st.data())
def test_messages_survive_any_cutting_of_the_stream(messages, data):
    stream = b"".join(map(encode, messages))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    decoder = Decoder()
    pieces = [stream[i:j] for i, j in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [message for piece in pieces for message in decoder.feed(piece)] == messages


def test_lone_surrogates_cross_the_stream():
    message = {"code": "print('\ud800')"}
    assert Decoder().feed(encode(message)) == [message]


def test_an_absurd_length_is_an_error_and_not_an_allocation():
    with pytest.raises(ValueError, match="broken"):
        Decoder().feed((MAX_FRAME + 1).to_bytes(4, "big"))
