"""Attention over prompts that samples share, for any causal model with the attention interface of transformers.

The keys and values of a prompt are stored once for up to `width` samples of it, in a *slot*; each sample has a *cell*
for the tokens that it has generated. In a decoding step the queries of a slot's cells meet the slot's keys in one
matrix product, so a prompt is read once and not once a sample. All tokens of a step, one of each decoding row and all
the new ones of prompts, go through the model as one flat sequence [1, M]: what is not attention needs no padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

ATTENTION = "ponderosa_shared_prefix"
_GROWTH = 64
"""Slots and cells grow in steps of so many tokens, so that they are seldom moved."""


@dataclass(frozen=True, slots=True)
class Extension:
    """A prompt's tokens that are new: their places in its slot."""

    slot: int
    start: int
    stop: int


class KeyValueStore:
    """The keys and values of the slots and their cells.

    `prefix` [layers, 2, slots, kv_heads, prefix_length, head_dim] holds the prompts, and `own` [layers, 2, cells,
    kv_heads, own_length, head_dim] what the samples generated, slot by slot. Both grow as needed; slots in use come
    first.
    """

    def __init__(self, model: PreTrainedModel, width: int) -> None:
        config = model.config.get_text_config()
        heads = config.num_attention_heads
        self.layers: int = config.num_hidden_layers
        self.kv_heads: int = getattr(config, "num_key_value_heads", None) or heads
        self.head_dim: int = getattr(config, "head_dim", None) or config.hidden_size // heads
        self.width = width
        empty = (self.layers, 2, 0, self.kv_heads, 0, self.head_dim)
        self.prefix = torch.zeros(empty, dtype=model.dtype, device=model.device)
        self.own = self.prefix.clone()

    def reserve(self, slots: int = 0, prefix_length: int = 0, own_length: int = 0) -> None:
        """Makes room for so many slots, and for prompts and samples of so many tokens."""
        self.prefix = _grown(self.prefix, slots, prefix_length)
        self.own = _grown(self.own, slots * self.width, own_length)

    def copy_prompt(self, source: int, target: int, length: int) -> None:
        """Gives a slot the first `length` tokens of another's prompt."""
        self.prefix[:, :, target, :, :length] = self.prefix[:, :, source, :, :length]

    def move(self, source: int, target: int) -> None:
        """Moves a slot with its cells."""
        self.prefix[:, :, target] = self.prefix[:, :, source]
        cells = self.own.unflatten(2, (-1, self.width))
        cells[:, :, target] = cells[:, :, source]


def _grown(tensor: Tensor, places: int, length: int) -> Tensor:
    """`tensor` [layers, 2, places, kv_heads, length, head_dim] with at least so much room: that of places doubles."""
    have_places, have_length = tensor.shape[2], tensor.shape[4]
    if places <= have_places and length <= have_length:
        return tensor
    places = max(places, 2 * have_places) if places > have_places else have_places
    length = max(length + -length % _GROWTH, have_length)
    layers, two, _, heads, _, dim = tensor.shape
    grown = tensor.new_zeros(layers, two, places, heads, length, dim)  # zeros: what is masked must still be finite
    grown[:, :, :have_places, :, :have_length] = tensor
    return grown


@dataclass(frozen=True, slots=True)
class Decoding:
    """The cells that decode: `cells` [B] hold `own_lengths` [B] tokens each, their slots' prompts `prefix_lengths` [S].

    The slots in use are the first S.
    """

    cells: Tensor
    own_lengths: Tensor
    prefix_lengths: Tensor


class Batch:
    """What one step computes: the cells that decode, and the prompts that are extended. Passed on to every attention.

    The flat sequence holds a token of each decoding cell first, then the new tokens of each extension.
    """

    def __init__(self, store: KeyValueStore, decoding: Decoding | None, extensions: Sequence[Extension]) -> None:
        self.store = store
        self.rows = 0
        if decoding is not None and len(decoding.cells):
            self.rows = len(decoding.cells)
            self.cells = decoding.cells
            self.own_lengths = decoding.own_lengths
            self.used = len(decoding.prefix_lengths)
            self.longest_prefix = int(decoding.prefix_lengths.max())
            self.longest_own = int(decoding.own_lengths.max()) + 1
            store.reserve(own_length=self.longest_own)
            self.bias = self._decoding_bias(decoding.prefix_lengths)
        self.extensions = _padded(extensions, self.rows, store.prefix.device)

    def _decoding_bias(self, prefix_lengths: Tensor) -> Tensor:
        """0 where a cell may look and -inf elsewhere, [S, 1, width, 1, prefix + own]."""
        store, device = self.store, self.cells.device
        held = torch.full((self.used * store.width,), -1, device=device)
        held[self.cells] = self.own_lengths
        own = torch.arange(self.longest_own, device=device) <= held[:, None]
        prefix = torch.arange(self.longest_prefix, device=device) < prefix_lengths[:, None]
        seen = torch.cat(
            [
                prefix[:, None, :].expand(-1, store.width, -1),
                own.view(self.used, store.width, -1),
            ],
            dim=-1,
        )
        bias = torch.zeros(seen.shape, dtype=store.prefix.dtype, device=device).masked_fill_(~seen, float("-inf"))
        return bias[:, None, :, None]

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Query [1, heads, M, head_dim], key and value [1, kv_heads, M, head_dim] to output [1, M, heads, head_dim]."""
        query, key, value = (states[0].transpose(0, 1) for states in (query, key, value))
        output = torch.empty_like(query)
        if self.rows:
            rows = slice(0, self.rows)
            output[rows] = self._decode(layer, query[rows], key[rows], value[rows], scaling)
        for part in self.extensions:
            tokens = part.tokens
            output[tokens] = self._extend(layer, part, query[tokens], key[tokens], value[tokens], scaling)
        return output.unsqueeze(0)

    def _decode(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        store = self.store
        slots, width, groups, dim = self.used, store.width, store.kv_heads, store.head_dim
        repeat = query.shape[1] // groups
        store.own[layer, 0][self.cells, :, self.own_lengths] = key
        store.own[layer, 1][self.cells, :, self.own_lengths] = value
        own_key, own_value = store.own[layer, :, : slots * width, :, : self.longest_own]
        prefix_key, prefix_value = store.prefix[layer, :, :slots, :, : self.longest_prefix]

        by_cell = query.new_zeros(slots * width, groups, repeat, dim)
        by_cell[self.cells] = query.view(-1, groups, repeat, dim) * scaling
        by_slot = by_cell.view(slots, width, groups, repeat, dim).transpose(1, 2)  # [S, G, W, R, D]
        shared = torch.matmul(by_slot.reshape(slots, groups, width * repeat, dim), prefix_key.transpose(2, 3))
        own = torch.matmul(by_cell, own_key.transpose(2, 3))
        scores = torch.cat(
            [
                shared.view(slots, groups, width, repeat, -1),
                own.view(slots, width, groups, repeat, -1).transpose(1, 2),
            ],
            dim=-1,
        )
        weights = torch.softmax(scores.add_(self.bias), dim=-1, dtype=torch.float32).to(query.dtype)
        shared_weights, own_weights = weights.split([self.longest_prefix, self.longest_own], dim=-1)
        shared = torch.matmul(shared_weights.flatten(2, 3), prefix_value)
        own = torch.matmul(own_weights.transpose(1, 2).reshape(slots * width, groups, repeat, -1), own_value)
        output = shared.view(slots, groups, width, repeat, dim).transpose(1, 2).reshape(own.shape) + own
        return output[self.cells].flatten(1, 2)

    def _extend(self, layer: int, part: "_Padded", query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        store = self.store
        store.prefix[layer, 0][part.token_slots, :, part.token_places] = key
        store.prefix[layer, 1][part.token_slots, :, part.token_places] = value
        seen_key, seen_value = store.prefix[layer][:, part.slots, :, : part.causal.shape[-1]]
        padded = query.new_zeros(len(part.slots), part.causal.shape[-2], *query.shape[1:])
        padded[part.token_rows, part.token_columns] = query
        output = nn.functional.scaled_dot_product_attention(
            padded.transpose(1, 2), seen_key, seen_value, attn_mask=part.causal, scale=scaling, enable_gqa=True
        )
        return output.transpose(1, 2)[part.token_rows, part.token_columns]


@dataclass(frozen=True, slots=True)
class _Padded:
    """Extensions of similar length, as a padded rectangle: their slots [E], and what each token may see [E, 1, W, L].

    Of each token [T]: its place in the flat sequence, its slot, its place there, and its place in the rectangle.
    """

    slots: Tensor
    causal: Tensor
    tokens: Tensor
    token_slots: Tensor
    token_places: Tensor
    token_rows: Tensor
    token_columns: Tensor


def _padded(extensions: Sequence[Extension], first: int, device: torch.device) -> list[_Padded]:
    """Rectangles that waste at most half of their space; `first` is where extensions begin in the flat sequence."""
    slots = np.array([e.slot for e in extensions], np.int64)
    starts = np.array([e.start for e in extensions], np.int64)
    stops = np.array([e.stop for e in extensions], np.int64)
    lengths = stops - starts
    flat = first + np.cumsum(lengths) - lengths
    classes = np.ceil(np.log2(np.maximum(lengths, 32)))
    parts = []
    for size in np.unique(classes):
        chosen = np.flatnonzero(classes == size)
        count = lengths[chosen]
        rows = np.repeat(np.arange(len(chosen)), count)
        columns = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
        places = starts[chosen][:, None] + np.arange(count.max())
        arrays = (
            slots[chosen],
            np.arange(stops[chosen].max()) <= places[:, None, :, None],
            flat[chosen][rows] + columns,
            slots[chosen][rows],
            starts[chosen][rows] + columns,
            rows,
            columns,
        )
        parts.append(_Padded(*(torch.from_numpy(array).to(device) for array in arrays)))
    return parts


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, None]:
    batch: Batch = kwargs["shared_prefix"]
    scaling = kwargs.get("scaling") or query.shape[-1] ** -0.5
    return batch.attend(module.layer_idx, query, key, value, scaling), None  # type: ignore[arg-type]


ALL_ATTENTION_FUNCTIONS.register(ATTENTION, _attention)
