"""The plain decoding engine, for models that cannot share prompts: batches of requests, each through `generate`.

What `generate` brings is its handling of any architecture's cache. Tokens are drawn and stops are found as everywhere.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    StoppingCriteria,
    StoppingCriteriaList,
)

from ponderosa.core import BackendError
from ponderosa.models.tasks import ProposalJob, Task, make_task
from ponderosa.models.text import Text
from ponderosa.models.transformers.rows import Rows


class PlainGeneration:
    """An engine that runs batches of at most `max_rows` rows (but always one task)."""

    def __init__(self, model: PreTrainedModel, text: Text, max_rows: int) -> None:
        self._model = model
        self._text = text
        self._max_rows = max_rows
        self._context: int | None = getattr(model.config, "max_position_embeddings", None)
        self._waiting: deque[Task] = deque()

    def add(self, jobs: Sequence[ProposalJob]) -> None:
        for job in jobs:
            task = make_task(job, self._text, self._context)
            if task is not None:
                self._waiting.append(task)

    def abort(self, error: BackendError) -> None:
        for task in self._waiting:
            task.job.fail(error)
        self._waiting.clear()

    def step(self) -> bool:
        """Generates one batch; False if nothing waits after it."""
        tasks: list[Task] = []
        while self._waiting and (not tasks or sum(t.n for t in tasks) + self._waiting[0].n <= self._max_rows):
            task = self._waiting.popleft()
            if not task.job.cancelled:
                tasks.append(task)
        if tasks:
            try:
                self._generate(tasks)
            except Exception:
                self._waiting.extendleft(reversed(tasks))  # whoever drives the engine fails them
                raise
        return bool(self._waiting)

    def _generate(self, tasks: Sequence[Task]) -> None:
        rows = Rows(self._text)
        for task in tasks:
            rows.add(task, range(task.n))
        longest = max(len(task.prompt) for task in tasks)
        prompts = [task.prompt for task in tasks for _ in range(task.n)]
        draw = _Draw(rows)
        with torch.inference_mode():
            generate: Any = self._model.generate
            generate(
                torch.tensor([[0] * (longest - len(ids)) + ids for ids in prompts], device=self._model.device),
                attention_mask=torch.tensor(
                    [[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts], device=self._model.device
                ),
                # Bare, so that nothing of the checkpoint's own generation config (penalties, say) meddles.
                generation_config=GenerationConfig(max_new_tokens=max(task.limit for task in tasks), pad_token_id=0),
                logits_processor=LogitsProcessorList([draw]),
                stopping_criteria=StoppingCriteriaList([_Ended(draw)]),
            )


class _Draw(LogitsProcessor):
    """Draws a token for every row that goes on and leaves greedy decoding no other choice."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.running = np.arange(len(rows))
        self.count = len(rows)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        forced = torch.zeros(self.count, dtype=torch.long)
        going = self.rows.advance(scores[torch.from_numpy(self.running).to(scores.device)])
        forced[self.running] = torch.tensor([tokens[-1] for tokens in self.rows.tokens])
        self.rows.keep(going)
        self.running = self.running[going]
        only = torch.full_like(scores, float("-inf"))
        return only.scatter_(1, forced.to(scores.device).unsqueeze(1), 0.0)


class _Ended(StoppingCriteria):
    def __init__(self, draw: _Draw) -> None:
        self._draw = draw

    def __call__(self, input_ids: Tensor, scores: Tensor | None, **kwargs: object) -> Tensor:
        ended = torch.ones(self._draw.count, dtype=torch.bool)
        ended[self._draw.running] = False
        return ended.to(input_ids.device)
