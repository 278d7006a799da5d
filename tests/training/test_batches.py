import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ponderosa.training.batches import SimilarLengths, WeightedRows


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


@given(weights=st.lists(st.sampled_from([0.25, 0.5, 1.0]), min_size=1, max_size=60), chunk=st.integers(1, 9))
def test_rows_are_drawn_as_their_weights_say(weights: list[float], chunk: int) -> None:
    sampler = WeightedRows(weights, [1] * len(weights), chunk, seed=0)
    drawn: Counter[int] = Counter()
    for epoch in range(200):
        sampler.set_epoch(epoch)
        order = list(sampler)
        assert len(order) == len(sampler) == max(1, round(sum(weights) / max(weights)))
        drawn.update(order)
    for row, weight in enumerate(weights):
        expected = 200 * len(sampler) * weight / sum(weights)
        assert abs(drawn[row] - expected) < 50


def test_of_a_group_whose_weights_add_up_to_one_a_row_comes_each_epoch() -> None:
    weights = [1.0, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 1.0]
    sampler = WeightedRows(weights, [1] * 8, 2, seed=0)
    for epoch in range(20):
        sampler.set_epoch(epoch)
        groups = Counter("abbccccd"[row] for row in sampler)
        assert groups == {"a": 1, "b": 1, "c": 1, "d": 1}
