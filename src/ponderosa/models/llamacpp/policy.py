"""A policy that samples from a GGUF file with llama.cpp, in this process and without torch."""

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ponderosa.core import BackendError, Completion, Prompt, Sampling, derive_seed
from ponderosa.models.llamacpp.binding import LlamaCpp, Sampler
from ponderosa.models.tasks import Proposal, ProposalJob, Task, make_task
from ponderosa.models.text import Text
from ponderosa.models.worker import Engine, Worker


class LlamaCppPolicy:
    """Serves any number of concurrent `propose` calls from one thread, one after another.

    The samples of a request are generated side by side, at most `max_rows` at a time, and what its prompt has in common
    with the one before is not read again. The model sees `context` tokens, or as many as it was trained on if that is
    less. Raises `PonderosaError` for a file that cannot be loaded.

    The prompt is the exact text, with what the tokenizer puts at the start of every text. The same request gives the
    same samples in the same company.
    """

    def __init__(self, path: Path, *, context: int = 4096, max_rows: int = 8, threads: int = 1) -> None:
        self.name = str(path)
        self._model = LlamaCpp(path, context, max_rows, threads)
        tokenizer = self._model.tokenizer
        self._text = Text(tokenizer, len(tokenizer), tokenizer.ends)
        self._max_rows = max_rows
        self._worker: Worker[Proposal, list[Completion]] = Worker(f"policy {self.name}", self._make_engine)

    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        """`n` continuations of `prompt`. Raises `BackendError`."""
        return await self._worker.ask(Proposal(prompt, n, sampling, seed)) if n > 0 else []

    def close(self) -> None:
        """Fails what is pending, ends the thread and frees the model."""
        self._worker.close()
        self._model.close()

    def _make_engine(self) -> Engine[Proposal, list[Completion]]:
        return LlamaCppGeneration(self._model, self._text, self._max_rows)


class LlamaCppGeneration:
    """An engine that answers a request a step. Sequence 0 holds its prompt, and one more each sample."""

    def __init__(self, model: LlamaCpp, text: Text, max_rows: int) -> None:
        self._model = model
        self._text = text
        self._max_rows = max_rows
        self._waiting: deque[Task] = deque()
        self._read: list[int] = []
        """The tokens in sequence 0."""

    def add(self, jobs: Sequence[ProposalJob]) -> None:
        for job in jobs:
            task = make_task(job, self._text, self._model.context)
            if task is not None:
                self._waiting.append(task)

    def abort(self, error: BackendError) -> None:
        for task in self._waiting:
            task.job.fail(error)
        self._waiting.clear()

    def step(self) -> bool:
        """Answers one request; False if nothing waits after it."""
        if self._waiting:
            task = self._waiting[0]  # where whoever drives the engine finds it if it fails
            if not task.job.cancelled:
                self._generate(task)
            self._waiting.popleft()
        return bool(self._waiting)

    def _generate(self, task: Task) -> None:
        known = self._cut_to(task.prompt)
        task.cached = known
        at_a_time = max(1, min(self._max_rows, (self._model.cells - len(task.prompt)) // task.limit))
        for first in range(0, task.n, at_a_time):
            self._model.cut(0, known)
            self._model.prefill(task.prompt[known:], known)
            known = len(task.prompt) - 1  # whose logits the next samples begin with
            rows = [_Row(task, sample, slot) for slot, sample in enumerate(range(task.n)[first:][:at_a_time], start=1)]
            try:
                self._sample(rows)
            finally:
                for row in rows:
                    row.sampler.close()
                    self._model.cut(row.slot)
        self._read = task.prompt

    def _cut_to(self, prompt: list[int]) -> int:
        """How many tokens of a prompt sequence 0 holds, all but the last at most; the others are forgotten."""
        same = (i for i, (old, new) in enumerate(zip(self._read, prompt[:-1], strict=False)) if old != new)
        known = next(same, min(len(self._read), len(prompt) - 1))
        self._read = []
        return known

    def _sample(self, rows: "list[_Row]") -> None:
        for row in rows:
            self._model.fork(row.slot)
        going = [row for row in rows if self._goes_on(row, -1)]
        while going:
            self._model.decode([(row.tokens[-1], row.end, row.slot) for row in going])
            going = [row for entry, row in enumerate(going) if self._goes_on(row, entry)]

    def _goes_on(self, row: "_Row", entry: int) -> bool:
        """Draws a row's next token after an entry of the last batch; a row that ends is answered."""
        task, sampling = row.task, row.task.job.request.sampling
        token = self._model.draw(row.sampler, entry)
        row.tokens.append(token)
        if sampling.logprobs:
            logits = self._model.logits(entry).astype(np.float64) / (sampling.temperature or 1.0)
            top = logits.max()
            row.logprob += float(logits[token] - top - np.log(np.exp(logits - top).sum()))
        end = self._text.end(row.tokens, task.stops, task.limit, task.prompt)
        if end is None:
            return True
        length = len(task.prompt)
        cached = length if row.sample else task.cached
        logprob = row.logprob if sampling.logprobs else None
        task.finish(row.sample, Completion(*end, len(row.tokens), length, cached, logprob))
        return False


class _Row:
    """A sample that is being generated, in the sequence `slot`."""

    def __init__(self, task: Task, sample: int, slot: int) -> None:
        request = task.job.request
        self.task, self.sample, self.slot = task, sample, slot
        self.sampler = Sampler(request.sampling, derive_seed(request.seed, sample))
        self.tokens: list[int] = []
        self.logprob = 0.0

    @property
    def end(self) -> int:
        """The position of its last token."""
        return len(self.task.prompt) + len(self.tokens) - 1
