from hypothesis import given
from hypothesis import strategies as st

from ponderosa.training.bins import best_fit

LENGTHS = st.lists(st.integers(1, 40), max_size=60)


@given(lengths=LENGTHS, capacity=st.integers(1, 50))
def test_every_row_is_in_one_sequence_that_holds_it(lengths: list[int], capacity: int) -> None:
    bins = best_fit(lengths, capacity)
    assert sorted(row for rows in bins for row in rows) == list(range(len(lengths)))
    assert all(len(rows) == 1 or sum(lengths[row] for row in rows) <= capacity for rows in bins)


@given(lengths=LENGTHS, capacity=st.integers(40, 80))
def test_no_two_sequences_would_go_into_one(lengths: list[int], capacity: int) -> None:
    sizes = sorted(sum(lengths[row] for row in rows) for rows in best_fit(lengths, capacity))
    assert len(sizes) < 2 or sizes[0] + sizes[1] > capacity


def test_a_row_goes_where_the_least_room_stays() -> None:
    assert best_fit([6, 5, 4, 3], 10) == [[0, 2], [1, 3]]
