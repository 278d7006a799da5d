"""Batches of rows of similar length. Imports torch: import it late."""

from collections.abc import Iterator, Sequence
from typing import Any

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
        drawn = self._draw(generator)
        order = drawn[torch.randperm(len(drawn), generator=generator)]
        pools = torch.split(order, self.chunk * self.pool)
        chunks = [c for pool in pools for c in torch.split(pool[self.lengths[pool].argsort()], self.chunk)]
        # A chunk that is not full must stay last: it would shift the bounds of those after it.
        full = [c for c in chunks if len(c) == self.chunk]
        rest = [c for c in chunks if len(c) < self.chunk]
        for i in torch.randperm(len(full), generator=generator).tolist():
            yield from full[i].tolist()
        for chunk in rest:
            yield from chunk.tolist()

    def _draw(self, generator: torch.Generator) -> torch.Tensor:
        """The rows of an epoch, in any order."""
        return torch.arange(len(self.lengths))


class WeightedRows(SimilarLengths):
    """Draws rows by their weights, each as often as its weight is of the largest one, on average.

    A row of the largest weight comes once an epoch. The draws are systematic: of neighbours whose weights add up to
    that (the pairs of a group, say) one comes in every epoch, now this one and now that.
    """

    def __init__(self, weights: Sequence[float], lengths: Sequence[int], chunk: int, seed: int) -> None:
        super().__init__(lengths, chunk, seed)
        self.bounds = torch.tensor(weights, dtype=torch.float64).cumsum(0)
        self.draws = epoch_of(weights)

    def __len__(self) -> int:
        return self.draws

    def _draw(self, generator: torch.Generator) -> torch.Tensor:
        places = torch.arange(self.draws, dtype=torch.float64) + torch.rand(1, generator=generator, dtype=torch.float64)
        rows = torch.searchsorted(self.bounds, places * (self.bounds[-1] / self.draws), right=True)
        return rows.clamp(max=len(self.lengths) - 1)


def begin_epoch(sampler: Any, epoch: int) -> None:
    """Has the next pass over a sampler of ours, or TRL's `RepeatSampler`, be that of the epoch (from 0)."""
    if isinstance(sampler, SimilarLengths):
        sampler.set_epoch(epoch)
    else:
        sampler.generator.manual_seed(sampler.seed)
        for _ in range(epoch):  # it draws an order an epoch
            torch.randperm(sampler.num_samples, generator=sampler.generator)


def epoch_of(weights: Sequence[float]) -> int:
    """How many rows an epoch draws by such weights."""
    return max(1, round(sum(weights) / max(weights)))
