"""The held-out loss of a sapling: what the fits of scaling laws are made of."""

from pathlib import Path

from ponderosa.core.errors import PonderosaError
from ponderosa.sapling.corpora import CODE
from ponderosa.sapling.corpus import cut, encode, pad
from ponderosa.sapling.dialects import PROMPT_WEIGHT

HELD_OUT_SEED = 1_000_003
"""The stream of documents that no run reads, as long as its seed is another."""


def held_out_loss(
    checkpoint: str | Path, *, corpus: str = CODE, documents: int = 512, batch_tokens: int = 8192
) -> float:
    """The mean loss of a checkpoint on fresh documents of a corpus, in nats a token of the solutions.

    Prompts and the executor's outputs are read, and not counted. The documents are the same at every call, so that
    checkpoints with the same tokenizer compare. Raises `PonderosaError` where there is no such corpus, or no document.
    """
    if documents < 1:
        raise PonderosaError("the held-out loss is measured on at least 1 document")
    import torch
    import torch.nn.functional as functional
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    encoded = [encode(tokenizer, HELD_OUT_SEED, i, corpus) for i in range(documents)]
    encoded.sort(key=lambda document: len(document[0]))
    total, count = 0.0, 0
    for rows in cut(encoded, batch_tokens):
        batch = pad(rows, tokenizer.pad_token_id)
        with torch.inference_mode():  # rows are padded on the right and attention is causal: no mask is needed
            logits = model(input_ids=batch.tokens[:, :-1], use_cache=False).logits
        losses = functional.cross_entropy(logits.flatten(0, 1), batch.tokens[:, 1:].flatten(), reduction="none")
        counted = batch.weights[:, 1:].flatten() > 2 * PROMPT_WEIGHT  # not of the prompt, whatever its rounding
        total += losses[counted].sum().item()
        count += int(counted.sum())
    return total / count
