"""The thresholded distance against the textbook's whole table."""

from hypothesis import given
from hypothesis import strategies as st

from ponderosa.forest.edit_distance import at_least

texts = st.text("abc", max_size=12)


def levenshtein(a: str, b: str) -> int:
    if not a or not b:
        return len(a) + len(b)
    return min(
        levenshtein(a[1:], b) + 1,
        levenshtein(a, b[1:]) + 1,
        levenshtein(a[1:], b[1:]) + (a[0] != b[0]),
    )


@given(st.text("abc", max_size=5), st.text("abc", max_size=5), st.integers(0, 7))
def test_it_agrees_with_the_definition(a: str, b: str, distance: int) -> None:
    assert at_least(a, b, distance) == (levenshtein(a, b) >= distance)


@given(texts, texts, st.integers(0, 14))
def test_it_is_symmetric_and_falls_with_the_threshold(a: str, b: str, distance: int) -> None:
    assert at_least(a, b, distance) == at_least(b, a, distance)
    assert at_least(a, b, distance) >= at_least(a, b, distance + 1)


def test_known_distances() -> None:
    for a, b, distance in (("kitten", "sitting", 3), ("ann + 7", "ann - 7", 1), ("", "abc", 3), ("same", "same", 0)):
        assert at_least(a, b, distance)
        assert not at_least(a, b, distance + 1)
