"""The decoding engine: continuous batching with shared prompts, for models of transformers.

Every step, each row (a sample of a request) gets one token; rows that end leave, and waiting requests join with all the
tokens of their prompts in the same forward pass. `attention` shares a prompt between its samples, and
`prefix_cache` what prompts have in common between requests.
"""

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import PreTrainedModel

from ponderosa.core import BackendError
from ponderosa.models.tasks import ProposalJob, Task, make_task
from ponderosa.models.text import Text
from ponderosa.models.transformers.attention import Batch, Decoding, Extension, KeyValueStore
from ponderosa.models.transformers.prefix_cache import BlockKey, Match, PrefixCache
from ponderosa.models.transformers.rows import Rows

_MAX_WIDTH = 16
"""Samples that share a slot at most; more take several slots."""
_MOST_CELLS = 2
"""Cells for each of `max_rows` rows at most: in a wide slot a single sample takes the memory of all."""

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Slot:
    """The place of a prompt and of up to `width` samples of its task, of which `active` have not ended."""

    index: int
    task: Task
    samples: range
    active: int


class SharedPrefixGeneration:
    """An engine that runs at most `max_rows` rows, and at least one task.

    A step computes about `max_step_tokens` tokens of prompts. Those of earlier tasks are kept in `cache_bytes` of the
    device's memory.
    """

    def __init__(
        self, model: PreTrainedModel, text: Text, max_rows: int, max_step_tokens: int, cache_bytes: int
    ) -> None:
        self._model = model
        self._text = text
        self._max_rows = max_rows
        self._max_step_tokens = max_step_tokens
        self._cache_bytes = cache_bytes
        self._context: int | None = getattr(model.config, "max_position_embeddings", None)
        self._waiting: deque[Task] = deque()
        self._reset()

    def _reset(self) -> None:
        self._rows = Rows(self._text)
        self._row_slots: list[_Slot] = []
        self._slots: dict[int, _Slot] = {}
        self._store: KeyValueStore | None = None
        self._cache = PrefixCache(self._cache_bytes)

    def add(self, jobs: Sequence[ProposalJob]) -> None:
        for job in jobs:
            task = make_task(job, self._text, self._context)
            if task is not None:
                self._waiting.append(task)

    def abort(self, error: BackendError) -> None:
        for task in [*self._running(), *self._waiting]:
            task.job.fail(error)
        self._waiting.clear()
        self._reset()

    def step(self) -> bool:
        """One token for every row; False if there are none and nothing waits."""
        with torch.inference_mode():
            try:
                self._step()
            except (MemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                self._shrink(error)
        return bool(self._waiting or len(self._rows))

    def _step(self) -> None:
        if any(slot.task.job.cancelled for slot in self._slots.values()):
            self._keep(np.array([not task.job.cancelled for task in self._rows.tasks]))
        admitted = self._admit()
        if not self._slots:
            return
        self._close_gaps()
        logits = self._forward(admitted)
        for slots in admitted:
            for slot in slots:
                self._rows.add(slot.task, slot.samples)
                self._row_slots.extend([slot] * slot.active)
        self._keep(self._rows.advance(logits))

    def _admit(self) -> list[list[_Slot]]:
        """Takes waiting tasks in, as many as fit; the slots of each."""
        admitted: list[list[_Slot]] = []
        computing: set[BlockKey] = set()
        rows, tokens = len(self._rows), 0
        for _ in range(len(self._waiting)):
            task = self._waiting[0]
            width = min(task.n, _MAX_WIDTH)
            if self._store is None or (width != self._store.width and not rows):
                self._store = KeyValueStore(self._model, width)
            cells = (len(self._slots) + -(-task.n // self._store.width)) * self._store.width
            full = rows > 0 and (rows + task.n > self._max_rows or cells > _MOST_CELLS * self._max_rows)
            # Wide slots come with the next store, once the rows that run now have ended.
            if full or width > self._store.width or tokens >= self._max_step_tokens:
                break
            self._waiting.popleft()
            if task.job.cancelled:
                continue
            match = self._cache.match(task.prompt, len(task.prompt) - 1)  # the last token must give its logits
            if match.missing in computing:  # it waits for the next step, which will find that block in the cache
                self._waiting.append(task)
                continue
            if match.missing is not None:
                computing.add(match.missing)
            admitted.append(self._place(task, match, self._store))
            rows += task.n
            tokens += len(task.prompt) - match.known
        return admitted

    def _place(self, task: Task, match: Match, store: KeyValueStore) -> list[_Slot]:
        """Gives a task its slots; what is known of its prompt is in the first."""
        free = (index for index in range(len(self._slots) + task.n) if index not in self._slots)
        parts = [range(start, min(start + store.width, task.n)) for start in range(0, task.n, store.width)]
        slots = [_Slot(next(free), task, part, len(part)) for part in parts]
        self._slots.update({slot.index: slot for slot in slots})
        store.reserve(max(self._slots) + 1, len(task.prompt))
        self._cache.load(match, store.prefix[:, :, slots[0].index])
        task.cached = match.known
        return slots

    def _close_gaps(self) -> None:
        """Moves the last slots to places that became free: those in use are the first."""
        assert self._store is not None
        for index in range(len(self._slots)):
            if index not in self._slots:
                slot = self._slots.pop(max(self._slots))
                self._store.move(slot.index, index)
                slot.index = index
                self._slots[index] = slot

    def _forward(self, admitted: Sequence[Sequence[_Slot]]) -> Tensor:
        """Logits [B', V] for the rows that run, and after these for all samples of the admitted tasks."""
        store, generated = self._store, self._rows.state["length"]
        assert store is not None
        prompts = [(slots[0].index, slots[0].task) for slots in admitted]
        extensions = [Extension(index, task.cached, len(task.prompt)) for index, task in prompts]
        prefix_lengths = np.array([len(self._slots[index].task.prompt) for index in range(len(self._slots))])
        slots = np.array([slot.index for slot in self._row_slots], np.int64)
        starts = np.array([slot.samples.start for slot in self._row_slots], np.int64)
        decoding = Decoding(
            cells=self._tensor(slots * store.width + np.array(self._rows.samples, np.int64) - starts),
            own_lengths=self._tensor(generated - 1),
            prefix_lengths=self._tensor(prefix_lengths),
        )
        tokens = [row[-1] for row in self._rows.tokens]
        positions = (prefix_lengths[slots] + generated - 1).tolist()
        last = list(range(len(self._rows)))
        for _, task in prompts:
            tokens += task.prompt[task.cached :]
            positions += range(task.cached, len(task.prompt))
            last.append(len(tokens) - 1)
        output = self._model(
            input_ids=self._tensor([tokens]),
            position_ids=self._tensor([positions]),
            use_cache=False,
            logits_to_keep=self._tensor(last),
            shared_prefix=Batch(store, decoding, extensions),
        )
        for (index, task), (_, *others) in zip(prompts, admitted, strict=True):
            self._cache.store(task.prompt, store.prefix[:, :, index])
            for other in others:
                store.copy_prompt(index, other.index, len(task.prompt))
        logits: Tensor = output.logits[0]
        if not admitted:
            return logits
        return logits.repeat_interleave(self._tensor([1] * len(self._rows) + [task.n for _, task in prompts]), dim=0)

    def _tensor(self, values: npt.ArrayLike) -> Tensor:
        return torch.from_numpy(np.array(values, np.int64)).to(self._model.device)

    def _keep(self, going: npt.NDArray[np.bool_]) -> None:
        """Drops the rows that do not go on, and the slots that have none left."""
        if going.all():
            return
        for i in np.flatnonzero(~going).tolist():
            slot = self._row_slots[i]
            slot.active -= 1
            if not slot.active:
                del self._slots[slot.index]
        self._row_slots = [slot for slot, goes_on in zip(self._row_slots, going.tolist(), strict=True) if goes_on]
        self._rows.keep(going)

    def _running(self) -> list[Task]:
        return list(dict.fromkeys(slot.task for slot in self._slots.values()))

    def _shrink(self, error: Exception) -> None:
        """After running out of memory: all that ran waits again, and half as many rows run at a time."""
        running = self._running()
        self._reset()
        if len(running) > 1:
            self._max_rows = max(1, sum(task.n for task in running) // 2)
            log.warning("out of memory: %d rows at a time from now on", self._max_rows)
            for task in reversed(running):
                task.completions.clear()
                self._waiting.appendleft(task)
        else:
            advice = "use a smaller model or dtype, fewer samples, or shorter prompts and completions"
            for task in running:
                task.job.fail(BackendError(f"out of memory with a single request of {task.n} samples: {advice}"))


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "allocate memory" in str(error)
