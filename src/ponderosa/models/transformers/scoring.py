"""The scoring engine: steps of paths, with all that paths share computed once.

The candidates of an expansion share their path up to the last step, and that path was scored before: with the prefix
cache only the last steps are computed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ponderosa.core import BackendError, Path, RefusedError, Scored, StepFormat
from ponderosa.models.prm_inputs import PRMInput
from ponderosa.models.text import Text
from ponderosa.models.transformers.attention import Batch, Extension, KeyValueStore
from ponderosa.models.transformers.prefix_cache import BlockKey, Match, PrefixCache
from ponderosa.models.worker import Job


class ScoreRequest(NamedTuple):
    """The arguments of `Reward.score`."""

    paths: Sequence[Path]
    last_only: bool


ScoreJob = Job[ScoreRequest, list[Scored]]


class Part(NamedTuple):
    """A text that gives the values of some steps of a path: of `first` and those after it, each from the output at one
    of the `places` among `tokens`.
    """

    first: int
    tokens: tuple[int, ...]
    places: tuple[int, ...]


Read = Callable[[Path, bool], Iterable[Part]]
"""The parts of a path, or of its last step only. Raises `RefusedError` for one that cannot be read."""


def rendered(text: Text, format: StepFormat) -> Read:
    """Reads what `format` renders, each step valued at its last token.

    Attention is causal, so one pass over the whole path holds the output of every step at the step's last token,
    provided that the path up to there has the same tokens on its own. Steps that end in a marker do.
    """

    def read(path: Path, last_only: bool) -> Iterator[Part]:
        question, steps = path
        first = max(len(steps), 1) if last_only else 1
        texts = [tuple(text.encode(format.render(question, steps[:i]).text)) for i in range(first, len(steps) + 1)]
        start = 0
        for i, tokens in enumerate(texts):
            if i + 1 == len(texts) or texts[i + 1][: len(tokens)] != tokens:
                yield Part(start, tokens, tuple(len(text) - 1 for text in texts[start : i + 1]))
                start = i + 1

    return read


def prepared(prm: PRMInput) -> Read:
    """Reads as a process reward model of other people does: one text a path."""

    def read(path: Path, last_only: bool) -> Iterator[Part]:
        question, steps = path
        if steps:
            tokens, places = prm.read(question, steps)
            yield Part(0, tuple(tokens), tuple(places[-1:] if last_only else places))

    return read


@dataclass(slots=True, eq=False)
class _Pending:
    """A request, what it has so far for each of its paths, and how many values it still lacks."""

    job: ScoreJob
    values: list[list[float]]
    tokens: list[int]
    cached: list[int]
    lacking: int

    def resolve(self) -> None:
        self.job.resolve(list(map(Scored, map(tuple, self.values), self.tokens, self.cached)))


@dataclass(slots=True, eq=False)
class _Text:
    """Tokens, the places whose logits are wanted, and who wants them: (request, path, first step)."""

    tokens: tuple[int, ...]
    wanted: tuple[int, ...]
    askers: list[tuple[_Pending, int, int]] = field(default_factory=list)


class Scoring:
    """An engine that computes about `max_step_tokens` tokens a step; what is known of texts is kept in `cache_bytes`.

    A step's value is tanh(logit / `scale`), the logit what `head` makes of the hidden state [N, D] -> [N] at its place.
    `shared` is false for a model that cannot continue from what is known (see `share_prefixes`).
    """

    def __init__(
        self,
        model: PreTrainedModel,
        read: Read,
        head: Callable[[Tensor], Tensor],
        scale: float,
        max_step_tokens: int,
        cache_bytes: int,
        shared: bool,
    ) -> None:
        self._model = model
        self._read = read
        self._head = head
        self._scale = scale
        self._max_step_tokens = max_step_tokens
        self._cache_bytes = cache_bytes
        self._cache = PrefixCache(cache_bytes)
        self._shared = shared
        self._context: int | None = getattr(model.config, "max_position_embeddings", None)
        self._store: KeyValueStore = KeyValueStore(model, width=1)
        self._waiting: dict[tuple[tuple[int, ...], tuple[int, ...]], _Text] = {}

    def add(self, jobs: Sequence[ScoreJob]) -> None:
        for job in jobs:
            paths, last_only = job.request
            values = [[0.0] * (min(len(steps), 1) if last_only else len(steps)) for _, steps in paths]
            pending = _Pending(job, values, [0] * len(paths), [0] * len(paths), sum(map(len, values)))
            try:
                texts = [(i, *part) for i, path in enumerate(paths) for part in self._read(path, last_only)]
            except RefusedError as error:
                job.fail(error)
                continue
            longest = max((len(tokens) for _, _, tokens, _ in texts), default=0)
            if self._context is not None and longest > self._context:
                job.fail(
                    RefusedError(f"a path of {longest} tokens exceeds the reward model's context of {self._context}")
                )
                continue
            for path, step, tokens, wanted in texts:
                text = self._waiting.setdefault((tokens, wanted), _Text(tokens, wanted))
                text.askers.append((pending, path, step))
            if not pending.lacking:
                pending.resolve()

    def abort(self, error: BackendError) -> None:
        self._cache = PrefixCache(self._cache_bytes)
        for text in self._waiting.values():
            for pending, _, _ in text.askers:
                pending.job.fail(error)
        self._waiting.clear()

    def step(self) -> bool:
        """Scores one batch; False if nothing waits after it."""
        batch = self._next_batch()
        if batch:
            with torch.inference_mode():
                values = torch.tanh(self._logits(batch) / self._scale).tolist()
            for text, match in batch:
                mine, values = values[: len(text.wanted)], values[len(text.wanted) :]
                known = match.known
                for pending, path, step in text.askers:
                    pending.values[path][step : step + len(mine)] = mine
                    pending.tokens[path] += len(text.tokens)
                    pending.cached[path] += known
                    known = len(text.tokens)  # what the first one asked for costs the others nothing
                    pending.lacking -= len(mine)
                    if not pending.lacking:
                        pending.resolve()
        return bool(self._waiting)

    def _next_batch(self) -> list[tuple[_Text, Match]]:
        """Takes texts out of those that wait, shortest first; one of those that begin with the same unknown block."""
        batch: list[tuple[_Text, Match]] = []
        computing: set[BlockKey] = set()
        tokens = 0
        for key, text in sorted(self._waiting.items(), key=lambda item: len(item[1].tokens)):
            if all(pending.job.cancelled for pending, _, _ in text.askers):
                del self._waiting[key]
                continue
            match = self._cache.match(text.tokens, text.wanted[0]) if self._shared else Match(0, (), None)
            if match.missing in computing:  # the next batch will find it in the cache
                continue
            if match.missing is not None:
                computing.add(match.missing)
            batch.append((text, match))
            del self._waiting[key]
            tokens += len(text.tokens) - match.known
            if tokens >= self._max_step_tokens:
                break
        return batch

    def _logits(self, batch: Sequence[tuple[_Text, Match]]) -> Tensor:
        """The logits at all wanted places, in order."""
        if not self._shared:
            return self._plain_logits([text for text, _ in batch])
        store = self._store
        store.reserve(len(batch), max(len(text.tokens) for text, _ in batch))
        extensions: list[Extension] = []
        tokens: list[int] = []
        positions: list[int] = []
        places: list[int] = []
        for slot, (text, match) in enumerate(batch):
            self._cache.load(match, store.prefix[:, :, slot])
            extensions.append(Extension(slot, match.known, len(text.tokens)))
            places += [len(tokens) + place - match.known for place in text.wanted]
            tokens += text.tokens[match.known :]
            positions += range(match.known, len(text.tokens))
        device = self._model.device
        hidden = self._model.base_model(
            input_ids=torch.tensor([tokens], device=device),
            position_ids=torch.tensor([positions], device=device),
            use_cache=False,
            shared_prefix=Batch(store, None, extensions),
        ).last_hidden_state
        for slot, (text, _) in enumerate(batch):
            self._cache.store(text.tokens, store.prefix[:, :, slot])
        return self._head(hidden[0, torch.tensor(places, device=device)])

    def _plain_logits(self, texts: Sequence[_Text]) -> Tensor:
        """As `_logits`, every text computed whole. Padding on the right is seen by no token of a causal model."""
        longest = max(len(text.tokens) for text in texts)
        ids = [text.tokens + (0,) * (longest - len(text.tokens)) for text in texts]
        hidden = self._model.base_model(torch.tensor(ids, device=self._model.device), use_cache=False).last_hidden_state
        rows = [row for row, text in enumerate(texts) for _ in text.wanted]
        return self._head(hidden[rows, [place for text in texts for place in text.wanted]])
