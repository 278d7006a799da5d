"""Requests as rows: what every decoding engine does between two forward passes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ponderosa.core import Completion, derive_seed
from ponderosa.models.tasks import Task
from ponderosa.models.text import Stops, Text
from ponderosa.models.transformers.sampling import draw, log_probabilities, uniforms

_ROW = np.dtype(
    [
        ("seed", np.uint64),
        ("length", np.int64),
        ("limit", np.int64),
        ("stops", np.int64),
        ("temperature", np.float32),
        ("top_p", np.float32),
        ("top_k", np.int64),
        ("logprobs", np.bool_),
        ("logprob", np.float64),
    ]
)


class Rows:
    """The samples that are being generated: B rows, the numbers of each in a record of `state` [B]."""

    def __init__(self, text: Text) -> None:
        self._text = text
        self._stops: list[Stops] = []
        self._watch = np.zeros((0, 0), np.uint8)
        self.tasks: list[Task] = []
        self.samples: list[int] = []
        self.tokens: list[list[int]] = []
        self.state: npt.NDArray[Any] = np.zeros(0, _ROW)

    def __len__(self) -> int:
        return len(self.tasks)

    def add(self, task: Task, samples: Sequence[int]) -> None:
        if task.stops not in self._stops:
            self._stops.append(task.stops)
            self._watch = np.stack([stops.watch for stops in self._stops])
        self.tasks.extend([task] * len(samples))
        self.samples.extend(samples)
        self.tokens.extend([] for _ in samples)
        request = task.job.request
        sampling = request.sampling
        stops = self._stops.index(task.stops)
        common = (0, task.limit, stops, sampling.temperature, sampling.top_p, sampling.top_k, sampling.logprobs, 0.0)
        new = np.array([(derive_seed(request.seed, sample), *common) for sample in samples], _ROW)
        self.state = np.concatenate([self.state, new])

    def keep(self, mask: npt.NDArray[np.bool_]) -> None:
        """Drops the rows for which `mask` [B] is false."""
        kept = np.flatnonzero(mask).tolist()
        self.tasks = [self.tasks[i] for i in kept]
        self.samples = [self.samples[i] for i in kept]
        self.tokens = [self.tokens[i] for i in kept]
        self.state = self.state[mask]

    def advance(self, logits: Tensor) -> npt.NDArray[np.bool_]:
        """Draws the next token of every row from `logits` [B, V]; which rows go on [B]. The others are answered."""
        state = self.state
        settings = state["temperature"], state["top_p"], state["top_k"]
        tokens = draw(logits, uniforms(state["seed"], state["length"]), *settings)
        if state["logprobs"].any():
            state["logprob"] += log_probabilities(logits, tokens, state["temperature"]).cpu().numpy()
        drawn = tokens.cpu().numpy()
        for row, token in zip(self.tokens, drawn.tolist(), strict=True):
            row.append(token)
        state["length"] += 1
        going = np.ones(len(self), np.bool_)
        watched = (self._watch[state["stops"], drawn] > 0) | (state["length"] >= state["limit"])
        for i in np.flatnonzero(watched).tolist():
            going[i] = not self._ended(i)
        return going

    def _ended(self, i: int) -> bool:
        """Has row `i` ended? Then it is answered."""
        task, sample, tokens = self.tasks[i], self.samples[i], self.tokens[i]
        end = self._text.end(tokens, task.stops, task.limit, task.prompt)
        if end is None:
            return False
        length = len(task.prompt)
        logprob = float(self.state["logprob"][i]) if self.state["logprobs"][i] else None
        cached = length if sample else task.cached
        task.finish(sample, Completion(*end, len(tokens), length, cached, logprob, tuple(tokens)))
        return True
