"""Keys and values of texts that were computed before, for texts that begin the same way.

A tree search asks again and again with a prompt that extends an earlier one by a step, and a few-shot prompt begins
every request: most of a text need not be computed again.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 16
"""Tokens a block: what a text shares with an earlier one is found in whole blocks."""

BlockKey = tuple[int, tuple[int, ...]]
"""The serial number of the block before (0 at the start) and its tokens: an exact name of all tokens so far."""


@dataclass(frozen=True, slots=True)
class Match:
    """What is known of a text: its first `known` tokens, in the blocks at `places`.

    `missing` names the block after these, if the text has a whole one.
    """

    known: int
    places: tuple[int, ...]
    missing: BlockKey | None


class PrefixCache:
    """Blocks of keys and values [layers, 2, kv_heads, BLOCK, head_dim], the least recently used dropped first.

    A match holds until the next `store`.
    """

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._pool: Tensor | None = None
        self._free: list[int] = []
        self._blocks: OrderedDict[BlockKey, tuple[int, int]] = OrderedDict()  # -> (serial number, place in the pool)
        self._serial = 0

    def match(self, tokens: Sequence[int], limit: int) -> Match:
        """The longest known beginning of `tokens` that has at most `limit` of them."""
        keys: list[BlockKey] = []
        places: list[int] = []
        serial = 0
        missing = None
        for start in range(0, limit - BLOCK + 1, BLOCK):
            key = (serial, tuple(tokens[start : start + BLOCK]))
            if key not in self._blocks:
                missing = key
                break
            serial, place = self._blocks[key]
            keys.append(key)
            places.append(place)
        self._touch(keys)
        return Match(BLOCK * len(places), tuple(places), missing)

    def load(self, match: Match, target: Tensor) -> None:
        """Writes what is known to the beginning of `target` [layers, 2, kv_heads, length, head_dim]."""
        if match.places:
            assert self._pool is not None
            blocks = self._pool[torch.tensor(match.places, device=target.device)]
            target[:, :, :, : match.known] = blocks.permute(1, 2, 3, 0, 4, 5).flatten(3, 4)

    def store(self, tokens: Sequence[int], source: Tensor) -> None:
        """Keeps the whole blocks of `tokens`.

        `source` [layers, 2, kv_heads, length, head_dim] are their keys and values.
        """
        if self._pool is None:
            self._allocate(source)
        assert self._pool is not None
        keys: list[BlockKey] = []
        starts: list[int] = []
        places: list[int] = []
        serial = 0
        for start in range(0, len(tokens) - BLOCK + 1, BLOCK):
            key = (serial, tuple(tokens[start : start + BLOCK]))
            if key in self._blocks:
                serial, place = self._blocks[key]
            else:
                if not self._free and not self._evict(keys):
                    break
                serial = self._serial = self._serial + 1
                place = self._free.pop()
                self._blocks[key] = serial, place
                starts.append(start)
                places.append(place)
            keys.append(key)
        self._touch(keys)
        if places:
            first, count = starts[0], len(starts)  # new blocks follow the known ones without a gap
            blocks = source[:, :, :, first : first + count * BLOCK].unflatten(3, (count, BLOCK))
            self._pool[torch.tensor(places, device=source.device)] = blocks.permute(3, 0, 1, 2, 4, 5)

    def _touch(self, keys: Sequence[BlockKey]) -> None:
        for key in reversed(keys):  # a block is of use only with those before it: it must be dropped before them
            self._blocks.move_to_end(key)

    def _allocate(self, like: Tensor) -> None:
        layers, two, heads, _, dim = like.shape
        count = self._size_bytes // (like.element_size() * layers * two * heads * BLOCK * dim)
        self._pool = torch.empty(count, layers, two, heads, BLOCK, dim, dtype=like.dtype, device=like.device)
        self._free = list(reversed(range(count)))

    def _evict(self, keep: Sequence[BlockKey]) -> bool:
        oldest = next(iter(self._blocks), None)
        if oldest is None or oldest in keep:
            return False
        self._free.append(self._blocks.pop(oldest)[1])
        return True
