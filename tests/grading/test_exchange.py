"""The values that leave a process, and those that do not."""

import json
from collections import Counter, OrderedDict, namedtuple
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.grading.exchange import NotPlainError, pack, unpack

hashable = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | st.fractions(),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
values = st.recursive(
    hashable | st.complex_numbers(allow_nan=False) | st.dates() | st.datetimes() | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hashable, inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_a_plain_value_comes_back_equal_and_of_its_kind(value: Any) -> None:
    there = unpack(json.loads(json.dumps(pack(value))))
    assert there == value
    assert type(there) is type(value)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Counter("aab"), {"a": 2, "b": 1}),
        (OrderedDict(x=1), {"x": 1}),
        (namedtuple("P", "x y")(1, 2), (1, 2)),
        (date(2024, 3, 5), date(2024, 3, 5)),
        (datetime(2024, 3, 5, 7), datetime(2024, 3, 5, 7)),
        (Decimal("1.10"), Decimal("1.10")),
        (Fraction(1, 3), Fraction(1, 3)),
        ({"a": 1}.values(), [1]),
        (bytearray(b"x"), bytearray(b"x")),
    ],
)
def test_what_is_more_than_a_value_leaves_as_one(value: Any, plain: Any) -> None:
    assert unpack(pack(value)) == plain
    assert type(unpack(pack(value))) is type(plain)


def test_an_iterator_leaves_as_what_it_gives() -> None:
    assert list(unpack(pack(x * x for x in range(4)))) == [0, 1, 4, 9]


@pytest.mark.parametrize("value", [object(), lambda: 0, type("Equal", (), {"__eq__": lambda a, b: True})()])
def test_an_object_with_a_behaviour_does_not_leave(value: object) -> None:
    with pytest.raises(NotPlainError):
        pack([value])
