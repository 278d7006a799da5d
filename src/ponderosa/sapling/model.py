"""Sapling's models: Llama-architecture transformers of a tenth of a million parameters to a few."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ponderosa.core.errors import PonderosaError
from ponderosa.sapling.tokenizer import MAX_LENGTH

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast


@dataclass(frozen=True, slots=True)
class Shape:
    """A model's shape; embeddings are tied. `key_values` are the heads that keys and values have (grouped queries)."""

    width: int
    layers: int
    heads: int
    key_values: int
    feed_forward: int

    def parameters(self, vocabulary: int = 1024) -> int:
        """How many parameters there are, embeddings included."""
        return vocabulary * self.width + self.blocks

    @property
    def blocks(self) -> int:
        """Parameters but for the embeddings: the N of the scaling laws of Kaplan et al. (arXiv 2001.08361)."""
        attention = 2 * self.width**2 + 2 * self.width * (self.width // self.heads) * self.key_values
        return self.layers * (attention + 3 * self.width * self.feed_forward + 2 * self.width) + self.width


SIZES: dict[str, Shape] = {
    "tiny": Shape(width=32, layers=4, heads=2, key_values=1, feed_forward=96),
    "small": Shape(width=64, layers=5, heads=4, key_values=2, feed_forward=192),
    "base": Shape(width=128, layers=5, heads=4, key_values=2, feed_forward=384),
    "medium": Shape(width=128, layers=6, heads=4, key_values=2, feed_forward=384),
    "large": Shape(width=160, layers=5, heads=5, key_values=5, feed_forward=480),
    "huge": Shape(width=224, layers=6, heads=7, key_values=7, feed_forward=672),
}
"""Every size by name. `base` is the shape of the base that ships as `sapling`."""


def shape(size: str) -> Shape:
    """The shape of that name. Raises `PonderosaError` that names those there are."""
    if size not in SIZES:
        raise PonderosaError(f"there is no size {size}: choose one of {', '.join(SIZES)}")
    return SIZES[size]


def new_model(tokenizer: "PreTrainedTokenizerFast", seed: int, size: str = "base") -> "LlamaForCausalLM":
    """A model with fresh weights for the tokenizer. Raises `PonderosaError` where there is no such size."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    form = shape(size)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=form.width,
        num_hidden_layers=form.layers,
        num_attention_heads=form.heads,
        num_key_value_heads=form.key_values,
        intermediate_size=form.feed_forward,
        max_position_embeddings=MAX_LENGTH,
        tie_word_embeddings=True,
        rms_norm_eps=1e-5,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        attn_implementation="sdpa",
    )
    return LlamaForCausalLM(config)
