import numpy as np
import pytest
import torch

from ponderosa.core import BackendError
from ponderosa.models.transformers.sampling import draw, log_probabilities, uniforms

WEIGHTS = np.array([0.5, 0.0, 0.2, 0.15, 0.1, 0.05])
"""Of the tokens 0 to 5; token 1 is impossible."""


def drawn(rows: int, temperature: float = 1.0, top_p: float = 1.0, top_k: int = 0) -> np.ndarray:
    """How often each token was drawn, as a share."""
    with np.errstate(divide="ignore"):
        logits = torch.from_numpy(np.log(WEIGHTS)).float().expand(rows, -1)
    seeds = np.arange(rows, dtype=np.uint64) * np.uint64(7919)
    tokens = draw(
        logits,
        uniforms(seeds, np.zeros(rows, np.int64)),
        np.full(rows, temperature, np.float32),
        np.full(rows, top_p, np.float32),
        np.full(rows, top_k, np.int64),
    )
    return np.bincount(tokens.numpy(), minlength=len(WEIGHTS)) / rows


def test_uniforms_are_the_published_splitmix64_sequence() -> None:
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    ours = uniforms(np.full(4, 1234567, np.uint64), np.arange(4))
    assert ours.tolist() == [(x >> 11) / 2**53 for x in published]


def test_uniforms_are_uniform_across_steps_and_across_neighbouring_seeds() -> None:
    along = uniforms(np.full(20_000, 5, np.uint64), np.arange(20_000))
    across = uniforms(np.arange(20_000, dtype=np.uint64), np.zeros(20_000, np.int64))
    for numbers in (along, across):
        shares = np.histogram(numbers, bins=20, range=(0, 1))[0] / 20_000
        assert np.abs(shares - 0.05).max() < 0.008  # five standard deviations
        assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.036


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_are_drawn_with_their_probabilities(temperature: float) -> None:
    expected = WEIGHTS ** (1 / temperature)
    assert np.abs(drawn(40_000, temperature) - expected / expected.sum()).max() < 0.0125


def test_top_k_keeps_the_k_most_probable() -> None:
    expected = np.array([0.5, 0, 0.2, 0, 0, 0]) / 0.7
    assert np.abs(drawn(40_000, top_k=2) - expected).max() < 0.0125


def test_top_p_keeps_the_fewest_that_reach_p() -> None:
    expected = np.array([0.5, 0, 0.2, 0.15, 0, 0]) / 0.85
    assert np.abs(drawn(40_000, top_p=0.8) - expected).max() < 0.0125
    assert drawn(100, top_p=0.0)[0] == 1.0


def test_top_p_is_a_share_of_what_top_k_leaves() -> None:
    assert drawn(1000, top_k=2, top_p=0.7)[0] == 1.0  # 0.5 of 0.7 is more than 0.7 of it
    assert drawn(1000, top_k=2, top_p=0.75)[2] > 0.2


def test_temperature_zero_takes_the_best_in_company_of_rows_that_draw() -> None:
    logits = torch.tensor([[0.0, 1.0, 0.5]]).expand(64, -1)
    temperature = np.tile(np.array([0.0, 5.0], np.float32), 32)
    numbers = uniforms(np.arange(64, dtype=np.uint64), np.zeros(64, np.int64))
    tokens = draw(logits, numbers, temperature, np.ones(64, np.float32), np.zeros(64, np.int64))
    assert (tokens[::2] == 1).all()
    assert set(tokens[1::2].tolist()) == {0, 1, 2}


def test_a_row_draws_the_same_in_any_company() -> None:
    logits = torch.randn(10, 50, generator=torch.Generator().manual_seed(0))
    seeds, steps = np.arange(10, dtype=np.uint64), np.arange(10)
    one, zero = np.ones(10, np.float32), np.zeros(10, np.int64)
    together = draw(logits, uniforms(seeds, steps), one, one, zero)
    alone = [
        draw(logits[i : i + 1], uniforms(seeds[i : i + 1], steps[i : i + 1]), one[:1], one[:1], zero[:1])
        for i in range(10)
    ]
    assert together.tolist() == torch.cat(alone).tolist()


def test_the_numbers_next_to_zero_and_one_draw_tokens_that_are_possible() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, 0.0, -torch.inf]]).expand(2, -1)
    ends = np.array([0.0, 1 - 2.0**-53])
    one = np.ones(2, np.float32)
    assert draw(logits, ends, one, one, np.zeros(2, np.int64)).tolist() == [1, 2]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_no_numbers_are_an_error(bad: float, temperature: float) -> None:
    logits = torch.tensor([[0.0, 1.0], [bad, 1.0]])
    settings = np.full(2, temperature, np.float32), np.ones(2, np.float32), np.zeros(2, np.int64)
    with pytest.raises(BackendError, match="not numbers"):
        draw(logits, np.zeros(2), *settings)


def test_log_probabilities_are_those_at_the_sampling_temperature() -> None:
    logits = torch.tensor([[0.0, np.log(3.0)], [0.0, np.log(3.0)]])
    found = log_probabilities(logits, torch.tensor([1, 1]), np.array([0.0, 0.5], np.float32))
    assert found.tolist() == pytest.approx([np.log(0.75), np.log(0.9)])
