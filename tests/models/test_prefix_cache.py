import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.models.transformers.prefix_cache import BLOCK, PrefixCache

LAYERS, HEADS, DIM = 2, 1, 2
BLOCK_BYTES = 4 * LAYERS * 2 * HEADS * BLOCK * DIM


def states(tokens: list[int]) -> torch.Tensor:
    """Keys and values [layers, 2, heads, length, dim] that depend on all tokens so far, as a model's do."""
    sums = torch.tensor(tokens, dtype=torch.float32).mul(torch.arange(1, len(tokens) + 1)).cumsum(0)
    return sums[:, None].expand(LAYERS, 2, HEADS, len(tokens), DIM).contiguous()


def remembered(cache: PrefixCache, tokens: list[int]) -> int:
    """How many tokens are known; what is loaded for them must be right."""
    match = cache.match(tokens, len(tokens))
    target = torch.zeros(LAYERS, 2, HEADS, len(tokens), DIM)
    cache.load(match, target)
    assert torch.equal(target[:, :, :, : match.known], states(tokens)[:, :, :, : match.known])
    return match.known


texts = st.lists(st.lists(st.integers(0, 1), max_size=4 * BLOCK), min_size=1, max_size=8)


@given(texts)
def test_the_longest_common_beginning_is_known_in_whole_blocks(stored: list[list[int]]) -> None:
    cache = PrefixCache(100 * BLOCK_BYTES)
    for tokens in stored:
        cache.store(tokens, states(tokens))
    for tokens in stored:
        assert remembered(cache, tokens) == len(tokens) // BLOCK * BLOCK
    longer = [*stored[0], 2, 2, 2]
    assert remembered(cache, longer) == len(stored[0]) // BLOCK * BLOCK


@given(texts, st.integers(1, 6))
def test_a_cache_that_is_too_small_forgets_but_never_errs(stored: list[list[int]], blocks: int) -> None:
    cache = PrefixCache(blocks * BLOCK_BYTES)
    for tokens in stored:
        cache.store(tokens, states(tokens))
        assert remembered(cache, tokens) == min(len(tokens) // BLOCK, blocks) * BLOCK
        for other in stored:
            remembered(cache, other)


def test_what_was_used_least_recently_is_forgotten_first() -> None:
    cache = PrefixCache(2 * BLOCK_BYTES)
    a, b, c = ([i] * BLOCK for i in range(3))
    cache.store(a, states(a))
    cache.store(b, states(b))
    remembered(cache, a)
    cache.store(c, states(c))
    assert [remembered(cache, tokens) for tokens in (a, b, c)] == [BLOCK, 0, BLOCK]


def test_a_text_is_forgotten_from_its_end() -> None:
    cache = PrefixCache(3 * BLOCK_BYTES)
    long, other = list(range(2 * BLOCK)), [7] * (2 * BLOCK)
    cache.store(long, states(long))
    cache.store(other, states(other))
    assert remembered(cache, long) == BLOCK


def test_a_match_ends_at_its_limit_and_names_the_block_that_is_missing() -> None:
    cache = PrefixCache(10 * BLOCK_BYTES)
    tokens = list(range(3 * BLOCK))
    assert cache.match(tokens, 3 * BLOCK).missing == cache.match([*tokens[:BLOCK], 99], BLOCK).missing
    cache.store(tokens, states(tokens))
    match = cache.match(tokens, 3 * BLOCK - 1)
    assert (match.known, match.missing) == (2 * BLOCK, None)
    assert cache.match([*tokens[:BLOCK], *tokens[:BLOCK]], 2 * BLOCK).missing is not None


@pytest.mark.parametrize("size", [0, BLOCK_BYTES - 1])
def test_a_cache_without_room_for_a_block_knows_nothing(size: int) -> None:
    cache = PrefixCache(size)
    tokens = [1] * BLOCK
    cache.store(tokens, states(tokens))
    assert remembered(cache, tokens) == 0
