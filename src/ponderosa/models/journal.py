"""The journal: everything a policy and a reward ever answered, so that a killed run goes on from where it was.

An append-only file of JSON lines, one a completed request: `["<key>",<answer>]`. The key is a hash of all that the
answer depends on (which model, prompt or path, number of samples, sampling, seed), so the same search asks for the same
keys and is answered from the file, at no cost and with identical trees. Thus a journal that was recorded is also a
scripted policy and reward.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from os import PathLike
from pathlib import Path as FilePath
from types import TracebackType
from typing import Any, Self

from ponderosa.core import (
    BackendError,
    Completion,
    Ended,
    Path,
    Policy,
    PonderosaError,
    Prompt,
    Reward,
    Sampling,
    Scored,
)

_KEY_BYTES = 16
_KEY_END = 2 + 2 * _KEY_BYTES
"""Where the hexadecimal key ends in a line that starts with `["`."""


class Journal:
    """Recorded answers under their keys. `replayed` and `recorded` count what was read from it and written to it.

    Every line goes to the operating system at once, so nothing that was answered is lost when the process is killed; a
    line that was torn by a crash or a full disk is dropped when the file is opened again. One process at a time, and in
    it one event loop. Raises `PonderosaError` where the file cannot be written.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = FilePath(path)
        self.replayed = 0
        self.recorded = 0
        self._answers: dict[str, bytes] = {}
        self._pending: dict[str, asyncio.Event] = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "a+b", buffering=0)  # noqa: SIM115 - closed by `close`
            self._size = self._load()
        except OSError as error:
            raise self._unwritable(error) from error

    def _load(self) -> int:
        """Reads the whole lines, drops a torn last one, and returns the size of what remains."""
        self._file.seek(0)
        data = self._file.readall()
        size = data.rfind(b"\n") + 1
        if size < len(data):
            self._file.truncate(size)
        for line in data[:size].split(b"\n"):
            # Answers stay unparsed until they are asked for: a long journal opens as fast as it is read.
            if line.startswith(b'["') and line.endswith(b"]") and line[_KEY_END : _KEY_END + 2] == b'",':
                self._answers.setdefault(line[2:_KEY_END].decode("ascii"), line[_KEY_END + 2 : -1])
        return size

    def __len__(self) -> int:
        return len(self._answers)

    def __contains__(self, key: str) -> bool:
        return key in self._answers

    def __getitem__(self, key: str) -> Any:
        return json.loads(self._answers[key])

    def record(self, answers: Sequence[tuple[str, Any]]) -> None:
        """Writes answers (JSON values) under keys made by `request_key`. The first answer under a key stands."""
        new = {key: _ENCODER.encode(answer).encode() for key, answer in answers if key not in self._answers}
        data = b"".join(b'["%b",%b]\n' % (key.encode(), answer) for key, answer in new.items())
        try:
            if self._file.write(data) != len(data):
                raise OSError("the disk is full")
        except OSError as error:
            os.ftruncate(self._file.fileno(), self._size)
            raise self._unwritable(error) from error
        self._answers |= new
        self.recorded += len(new)
        self._size += len(data)

    async def answer(self, key: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        """The answer under `key`, from the file or else from `ask`; concurrent callers of one key ask once."""
        while key not in self._answers and (pending := self._pending.get(key)) is not None:
            await pending.wait()
        if key in self._answers:
            self.replayed += 1
            return self[key]
        self._pending[key] = pending = asyncio.Event()
        try:
            self.record([(key, await ask())])
        finally:  # after a failure or a cancellation one of the waiting callers asks again
            del self._pending[key]
            pending.set()
        return self[key]

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _unwritable(self, error: OSError) -> PonderosaError:
        reason = error.strerror or error
        return PonderosaError(f"cannot write the journal {self.path}: {reason}; free or choose the disk and run again")


_ENCODER = json.JSONEncoder(separators=(",", ":"))


def request_key(*parts: object) -> str:
    """A 128-bit hash, in hexadecimal, of all that an answer depends on."""
    return blake2b("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).hexdigest()


class JournaledPolicy:
    """`policy` behind a journal. Without one, a replay: what was not recorded is a `BackendError`.

    `model` tells models apart that share a journal.
    """

    def __init__(self, policy: Policy | None, journal: Journal, model: str = "") -> None:
        self._policy = policy
        self._journal = journal
        self._model = model

    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        async def ask() -> list[list[Any]]:
            if self._policy is None:
                raise BackendError(f"the journal {self._journal.path} has no answer to ...{prompt.text[-160:]!r}")
            return [_pack(completion) for completion in await self._policy.propose(prompt, n, sampling, seed)]

        key = request_key("propose", self._model, prompt.text, n, sampling, seed)
        return [_unpack(fields) for fields in await self._journal.answer(key, ask)]


class JournaledReward:
    """`reward` behind a journal, path by path. Without one, a replay: what was not recorded is a `BackendError`.

    `model` tells models apart that share a journal.
    """

    def __init__(self, reward: Reward | None, journal: Journal, model: str = "") -> None:
        self._reward = reward
        self._journal = journal
        self._model = model

    async def score(self, paths: Sequence[Path], *, last_only: bool = False) -> list[Scored]:
        keys = [request_key("score", self._model, last_only, question, *steps) for question, steps in paths]
        missing = {key: path for key, path in zip(keys, paths, strict=True) if key not in self._journal}
        self._journal.replayed += len(keys) - len(missing)
        if missing:
            if self._reward is None:
                question, steps = next(iter(missing.values()))
                raise BackendError(
                    f"the journal {self._journal.path} has no score of ...{(question + ''.join(steps))[-160:]!r}"
                )
            scored = await self._reward.score(list(missing.values()), last_only=last_only)
            records = [[one.values, one.tokens, one.cached_tokens, one.unread] for one in scored]
            self._journal.record(list(zip(missing, records, strict=True)))
        # Read back, not `scored`: where a concurrent call recorded a path first, its values are those that replay.
        found = (self._journal[key] for key in keys)
        return [Scored(tuple(values), *rest) for values, *rest in found]


def _pack(c: Completion) -> list[Any]:
    return [c.text, c.ended, c.stop, c.tokens, c.prompt_tokens, c.cached_tokens, c.logprob]


def _unpack(fields: list[Any]) -> Completion:
    text, ended, *rest = fields
    return Completion(text, Ended(ended), *rest)
