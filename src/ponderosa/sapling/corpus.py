"""The pre-training corpus: an endless stream of fresh documents, encoded and cut into batches of equal cost."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ponderosa.core.seeds import derive_seed
from ponderosa.sapling.dialects import DIALECTS, Segment
from ponderosa.sapling.problems import problem_at

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

Encoded = tuple[list[int], list[float]]
"""Tokens of a document and the loss weight of each."""


@dataclass(frozen=True)
class Batch:
    """Right-padded documents: tokens and loss weights, each [rows, length], and how many tokens are not padding."""

    tokens: "torch.Tensor"
    weights: "torch.Tensor"
    count: int


def batches(
    tokenizer: "PreTrainedTokenizerFast", seed: int, batch_tokens: int, rank: int, processes: int, first: int
) -> Iterator[tuple[Batch, int]]:
    """Batches of fresh documents for ever, for one process, each with the chunk to resume from.

    A chunk of documents is sorted by length and cut into batches of `batch_tokens`, which come in random order.
    """
    chunk_size = 32 * batch_tokens // 256
    chunk = first
    while True:
        start = (chunk * processes + rank) * chunk_size
        documents = [encode(tokenizer, seed, i) for i in range(start, start + chunk_size)]
        documents.sort(key=lambda document: len(document[0]))
        cut = list(_cut(documents, batch_tokens))
        random.Random(derive_seed("order", seed, rank, chunk)).shuffle(cut)
        chunk += 1
        for rows in cut:
            yield _pad(rows, tokenizer.pad_token_id), chunk


def _cut(documents: list[Encoded], budget: int) -> Iterator[list[Encoded]]:
    rows: list[Encoded] = []
    for document in documents:  # sorted: the new one is the longest
        if rows and len(document[0]) * (len(rows) + 1) > budget:
            yield rows
            rows = []
        rows.append(document)
    yield rows


def _pad(rows: list[Encoded], padding: int) -> Batch:
    import torch

    length = max(len(tokens) for tokens, _ in rows)
    tokens = torch.full((len(rows), length), padding)
    weights = torch.zeros(len(rows), length)
    for i, (ids, loss_weights) in enumerate(rows):
        tokens[i, : len(ids)] = torch.tensor(ids)
        weights[i, : len(ids)] = torch.tensor(loss_weights)
    return Batch(tokens, weights, sum(len(ids) for ids, _ in rows))


def document(seed: int, index: int) -> list[Segment]:
    """A document of the corpus, in one of the dialects: a pure function of its place."""
    rng = random.Random(derive_seed("corpus", seed, index))
    dialect = DIALECTS[rng.choice(sorted(DIALECTS))]
    return dialect(problem_at("corpus", seed, index), rng)


def encode(tokenizer: "PreTrainedTokenizerFast", seed: int, index: int) -> Encoded:
    """Tokens and loss weights of a document, the end of text included."""
    ids: list[int] = []
    weights: list[float] = []
    for segment in document(seed, index):
        piece = tokenizer.backend_tokenizer.encode(segment.text).ids
        ids += piece
        weights += [segment.weight] * len(piece)
    return [*ids, tokenizer.eos_token_id], [*weights, 1.0]
