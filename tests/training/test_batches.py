import random

from hypothesis import given
from hypothesis import strategies as st

from ponderosa.training.batches import SimilarLengths


@given(lengths=st.lists(st.integers(1, 50), max_size=80), chunk=st.integers(1, 9), pool=st.integers(1, 4))
def test_every_row_comes_once_an_epoch(lengths: list[int], chunk: int, pool: int) -> None:
    assert sorted(SimilarLengths(lengths, chunk, seed=1, pool=pool)) == list(range(len(lengths)))


def test_rows_computed_together_are_of_similar_length() -> None:
    lengths = [random.Random(i).randint(1, 400) for i in range(1000)]
    order = list(SimilarLengths(lengths, chunk=8, seed=0))

    padded = sum(8 * max(lengths[i] for i in order[at : at + 8]) for at in range(0, 1000, 8))

    assert padded < 1.1 * sum(lengths)
    assert sum(lengths[i] for i in order[:500]) > 0.8 * sum(lengths) / 2  # short rows do not all come first, nor last
    assert sum(lengths[i] for i in order[500:]) > 0.8 * sum(lengths) / 2


def test_the_order_depends_on_the_seed_and_the_epoch_alone() -> None:
    lengths = list(range(100))
    sampler = SimilarLengths(lengths, 4, seed=0)
    first = list(sampler)
    assert list(sampler) == first
    assert list(SimilarLengths(lengths, 4, seed=1)) != first
    sampler.set_epoch(1)
    assert list(sampler) != first
