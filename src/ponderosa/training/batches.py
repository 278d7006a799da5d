"""Batches of rows of similar length. Imports torch: import it late."""

from collections.abc import Iterator, Sequence

import torch


class SimilarLengths(torch.utils.data.Sampler[int]):
    """Shuffles rows so that neighbours are of similar length, and little is padded.

    Pools of `pool` chunks are drawn at random; within a pool rows are sorted by length and cut into chunks of `chunk`
    rows (those that all processes compute at once); then all chunks are shuffled, so that no step sees short rows only.
    Every epoch differs; the order depends on the seed and the epoch alone.
    """

    def __init__(self, lengths: Sequence[int], chunk: int, seed: int, pool: int = 32) -> None:
        self.lengths = torch.tensor(lengths)
        self.chunk = chunk
        self.pool = pool
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed((self.seed + self.epoch) % 2**63)
        order = torch.randperm(len(self.lengths), generator=generator)
        pools = torch.split(order, self.chunk * self.pool)
        chunks = [c for pool in pools for c in torch.split(pool[self.lengths[pool].argsort()], self.chunk)]
        # A chunk that is not full must stay last: it would shift the bounds of those after it.
        full = [c for c in chunks if len(c) == self.chunk]
        rest = [c for c in chunks if len(c) < self.chunk]
        for i in torch.randperm(len(full), generator=generator).tolist():
            yield from full[i].tolist()
        for chunk in rest:
            yield from chunk.tolist()
