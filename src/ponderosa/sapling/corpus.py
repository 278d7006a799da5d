"""The pre-training corpus: an endless stream of fresh documents, encoded and cut into batches of equal cost."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ponderosa.core.seeds import derive_seed
from ponderosa.sapling.corpora import CODE, corpus
from ponderosa.sapling.dialects import Segment
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
    tokenizer: "PreTrainedTokenizerFast",
    seed: int,
    batch_tokens: int,
    rank: int,
    processes: int,
    first: int,
    name: str = CODE,
) -> Iterator[tuple[Batch, int]]:
    """Batches of fresh documents of the corpus `name` for ever, for one process, each with the chunk to resume from.

    A chunk of documents is sorted by length and cut into batches of `batch_tokens`, which come in random order.
    """
    chunk_size = 32 * batch_tokens // 256
    chunk = first
    while True:
        start = (chunk * processes + rank) * chunk_size
        documents = [encode(tokenizer, seed, i, name) for i in range(start, start + chunk_size)]
        documents.sort(key=lambda document: len(document[0]))
        chosen = list(cut(documents, batch_tokens))
        random.Random(derive_seed("order", seed, rank, chunk)).shuffle(chosen)
        chunk += 1
        for rows in chosen:
            yield pad(rows, tokenizer.pad_token_id), chunk


def cut(documents: list[Encoded], budget: int) -> Iterator[list[Encoded]]:
    """Documents that are sorted by length, as batches of at most `budget` tokens, padding counted."""
    rows: list[Encoded] = []
    for document in documents:  # sorted: the new one is the longest
        if rows and _padded(len(document[0])) * (len(rows) + 1) > budget:
            yield rows
            rows = []
        rows.append(document)
    if rows:
        yield rows


def pad(rows: list[Encoded], padding: int) -> Batch:
    """Documents as a batch, padded on the right."""
    import torch

    length = _padded(max(len(tokens) for tokens, _ in rows))
    tokens = torch.full((len(rows), length), padding)
    weights = torch.zeros(len(rows), length)
    for i, (ids, loss_weights) in enumerate(rows):
        tokens[i, : len(ids)] = torch.tensor(ids)
        weights[i, : len(ids)] = torch.tensor(loss_weights)
    return Batch(tokens, weights, sum(len(ids) for ids, _ in rows))


def _padded(length: int) -> int:
    """Lengths come in steps of 32: kernels and memory are kept for every shape, and grew by gigabytes an hour."""
    return -(-length // 32) * 32


def document(seed: int, index: int, name: str = CODE) -> list[Segment]:
    """A document of a corpus, in one of its dialects: a pure function of its place. Raises `PonderosaError`."""
    rng = random.Random(derive_seed("corpus", seed, index))
    sources = corpus(name).sources
    source = sources[rng.choice([dialect for dialect in sorted(sources) for _ in range(sources[dialect].parts)])]
    return source.write(problem_at("corpus", seed, index, task=source.task, language=source.language), rng)


def encode(tokenizer: "PreTrainedTokenizerFast", seed: int, index: int, name: str = CODE) -> Encoded:
    """Tokens and loss weights of a document, the end of text included."""
    ids: list[int] = []
    weights: list[float] = []
    for segment in document(seed, index, name):
        piece = tokenizer.backend_tokenizer.encode(segment.text).ids
        ids += piece
        weights += [segment.weight] * len(piece)
    return [*ids, tokenizer.eos_token_id], [*weights, 1.0]
