"""Whether a model can attend by batches that share prompts, tried out rather than listed by architecture."""

import logging

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ponderosa.models.transformers.attention import ATTENTION, Batch, Decoding, Extension, KeyValueStore

log = logging.getLogger(__name__)


def share_prefixes(model: PreTrainedModel) -> bool:
    """Makes `model` attend by batches; False, and the model as it was, if it cannot.

    Whether it can is tried out: its hidden states must be the same in both ways.
    """
    before = model.config._attn_implementation
    if before == ATTENTION:
        return True
    reason = _obstacle(model)
    if reason is None:
        tokens = torch.arange(1, 25, device=model.device) % model.config.get_text_config().vocab_size
        with torch.inference_mode():
            expected = model.base_model(input_ids=tokens.unsqueeze(0), use_cache=False).last_hidden_state[0]
            model.set_attn_implementation(ATTENTION)
            try:
                found = _in_parts(model, tokens)
            except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
                reason = repr(error)
            else:
                if not torch.allclose(found, expected, rtol=0.0, atol=0.02 * float(expected.abs().max())):
                    reason = "its hidden states differ"
    if reason is not None:
        model.set_attn_implementation(before)
        log.warning("%s cannot share prompts between samples (%s): plain batches, slower", type(model).__name__, reason)
    return reason is None


def _obstacle(model: PreTrainedModel) -> str | None:
    config = model.config.get_text_config()
    if not model.is_backend_compatible():
        return "it does not have the attention interface"
    window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
    if window is not None and window < config.max_position_embeddings:
        return "its attention has a sliding window"
    return None


def _in_parts(model: PreTrainedModel, tokens: Tensor) -> Tensor:
    """The hidden states of a text [L, D], computed as a prompt in two parts and three tokens that are decoded."""
    store = KeyValueStore(model, width=2)
    prompt, device = len(tokens) - 3, tokens.device
    store.reserve(1, prompt)
    lengths = torch.tensor([prompt], device=device)
    batches = [Batch(store, None, [Extension(0, 0, 8)]), Batch(store, None, [Extension(0, 8, prompt)])]
    batches += [
        Batch(store, Decoding(torch.tensor([1], device=device), torch.tensor([i], device=device), lengths), [])
        for i in range(3)
    ]
    places = torch.arange(len(tokens), device=device).split([8, prompt - 8, 1, 1, 1])
    outputs = [
        model.base_model(
            input_ids=tokens[place].unsqueeze(0), position_ids=place.unsqueeze(0), use_cache=False, shared_prefix=batch
        ).last_hidden_state[0]
        for batch, place in zip(batches, places, strict=True)
    ]
    return torch.cat(outputs)
