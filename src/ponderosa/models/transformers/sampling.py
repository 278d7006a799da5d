"""Drawing tokens for many rows at once, each from a random stream of its own."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ponderosa.core import BackendError

_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def uniforms(seeds: npt.NDArray[np.uint64], steps: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Number `steps[i]` of the random stream `seeds[i]`, uniform in [0, 1).

    SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014): a counter-based
    generator, so a row draws the same numbers wherever and with whatever company it is computed.
    """
    z = seeds + (steps.astype(np.uint64) + np.uint64(1)) * _GAMMA
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    uniform: npt.NDArray[np.float64] = (z >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return uniform


Floats = npt.NDArray[np.float32]


def draw(
    logits: Tensor,
    uniform: npt.NDArray[np.float64],
    temperature: Floats,
    top_p: Floats,
    top_k: npt.NDArray[np.int64],
) -> Tensor:
    """Tokens [B] from logits [B, V]: each row's distribution inverted at its number in `uniform` [B].

    One random number a row and step, where the Gumbel trick would take V. The settings [B] are those of `Sampling`.
    Raises `BackendError` for logits that are no numbers.
    """
    top, best = logits.max(-1)
    if not bool(torch.isfinite(top).all()):  # a NaN counts as the largest
        raise BackendError("the model's logits are not numbers: its weights are damaged or its training diverged")
    if not temperature.any():
        return best
    weights = torch.softmax(_tempered(logits, temperature), dim=-1)
    where = _column(uniform, logits)
    if (top_p < 1).any() or (top_k > 0).any():
        tokens = _draw_cut(weights, where, _column(top_p, logits), _column(top_k, logits))
    else:
        tokens = _invert(weights, where)
    return torch.where(_column(temperature, logits).squeeze(1) == 0, best, tokens)


def log_probabilities(logits: Tensor, tokens: Tensor, temperature: Floats) -> Tensor:
    """Log-probability [B] of `tokens` [B] at the sampling temperature (1 for greedy rows), before top-k and top-p."""
    return torch.log_softmax(_tempered(logits, temperature), dim=-1).gather(1, tokens.unsqueeze(1)).squeeze(1)


def _column(values: npt.NDArray[Any], like: Tensor) -> Tensor:
    return torch.from_numpy(values.copy()).to(like.device).unsqueeze(1)


def _tempered(logits: Tensor, temperature: Floats) -> Tensor:
    return logits.float() / _column(np.where(temperature == 0, np.float32(1), temperature), logits)


def _draw_cut(weights: Tensor, where: Tensor, top_p: Tensor, top_k: Tensor) -> Tensor:
    """As `_invert`, from the most probable tokens only: the first `top_k`, and of these the fewest that reach `top_p`.

    As in transformers and vLLM, `top_p` is a share of what `top_k` leaves.
    """
    descending, order = weights.sort(dim=-1, descending=True)
    rank = torch.arange(weights.shape[1], device=weights.device)
    descending = descending.masked_fill_((rank >= top_k) & (top_k > 0), 0.0)
    before = descending.cumsum(-1) - descending
    outside = (before >= top_p * descending.sum(-1, keepdim=True)) & (top_p < 1)
    outside[:, 0] = False  # top_p = 0 is greedy, not empty
    chosen = _invert(descending.masked_fill_(outside, 0.0), where)
    return order.gather(1, chosen.unsqueeze(1)).squeeze(1)


def _invert(weights: Tensor, where: Tensor) -> Tensor:
    """The first column at which the running share of a row's `weights` [B, V] exceeds `where` [B, 1]."""
    running = weights.cumsum(-1, dtype=torch.float64)  # float32 would lose rare tokens of a large vocabulary
    return torch.searchsorted(running, where * running[:, -1:], right=True).squeeze(1).clamp_(max=weights.shape[1] - 1)
