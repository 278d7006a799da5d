"""The four narrow protocols, and the values that cross them.

Every one of them ships a scripted twin (a table look-up) in `ponderosa.models` that is a first-class backend.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from ponderosa.core.outcome import Ended, Graded, Status
from ponderosa.core.problem import Problem

Path = tuple[str, tuple[str, ...]]
"""A question and the texts of the steps taken so far."""

Judge = Callable[[str], Awaitable[float | None]]
"""Answer -> reward in [-1, 1], None where no verdict was possible. Injected when data are made; at test time there is
none."""

Equivalent = Callable[[str, str], Awaitable[bool]]
"""Are two answers the same value, however written?"""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a backend takes: `head` (the question in its template) and `body` (the steps so far), to be continued.

    A backend for exact text sends `text`; one for chat sends `question` as the user's turn and `body` as the
    prefilled assistant's turn.
    """

    question: str
    head: str
    body: str = ""

    @property
    def text(self) -> str:
        return self.head + self.body


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample. `temperature` 0 is greedy; `top_k` 0 and `top_p` 1 are off; `max_tokens` a completion."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 2048
    stop: tuple[str, ...] = ()
    logprobs: bool = False


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled continuation. `text` excludes the stop string; `stop` names it where `ended` is STOP, or is None
    where a server did not say which it was (see `StepFormat.parse`).

    `tokens` counts what was generated, the stop included. `prompt_tokens` counts the whole prompt in every sample;
    `cached_tokens` says how many of them were shared with another sample or an earlier request. `logprob` is the sum
    over the generated tokens (nats, at the sampling temperature) where `Sampling.logprobs` asked for it. `ids` are the
    tokens themselves as they were drawn, the stop and the end of the text included, where a backend knows them:
    reinforcement learning must train on these, and other tokens may spell the same text.
    """

    text: str
    ended: Ended
    stop: str | None = None
    tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    logprob: float | None = None
    ids: tuple[int, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Scored:
    """A reward model's word on one path: the `values` in [-1, 1] of its steps, or of its last step only.

    `tokens` counts the text that was read, the question's prompt included; `cached_tokens` of them were known from
    other paths. `unread` marks the word of a judge that could not be read; its values are 0.
    """

    values: tuple[float, ...]
    tokens: int = 0
    cached_tokens: int = 0
    unread: bool = False


@dataclass(frozen=True, slots=True)
class Execution:
    """The result of running a program: what it printed and how it ended. Times are in seconds, queueing excluded."""

    status: Status
    stdout: str = ""
    error_type: str | None = None
    error_message: str | None = None
    line: int | None = None
    wall_s: float = 0.0
    cpu_s: float = 0.0
    tier: str = ""

    @property
    def ok(self) -> bool:
        return self.status is Status.OK

    @property
    def error(self) -> str:
        """The last line of a traceback, e.g. `ZeroDivisionError: division by zero`; empty if all went well."""
        if self.ok:
            return ""
        if self.error_type is None:
            return str(self.status)
        return f"{self.error_type}: {self.error_message}" if self.error_message else self.error_type


@dataclass(frozen=True, slots=True)
class Verdict:
    """A grader's word on an answer. Where `status` is not OK none was possible, `detail` says why, and `correct` is
    False. `judged` marks the opinion of a model, which nothing has checked.
    """

    correct: bool
    status: Graded = Graded.OK
    detail: str = ""
    judged: bool = False


class Policy(Protocol):
    """Proposes continuations."""

    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        """`n` independent continuations of `prompt`, in a fixed order. Raises `BackendError`."""
        ...


@runtime_checkable
class Reward(Protocol):
    """Values the steps of paths."""

    async def score(self, paths: Sequence[Path], *, last_only: bool = False) -> list[Scored]:
        """For each path the values of all its steps, or of its last step only. Raises `BackendError`."""
        ...


class Executor(Protocol):
    """Runs programs, each as if alone from a file."""

    async def run(self, code: str, after: str | None = None, group: str | None = None) -> Execution:
        """Runs `code`, whole and in a process of its own, unless it comes with a `group`.

        A `group` (a search tree's name) says that this is one of many programs that extend each other, and that only
        help to search: it may share a process with others of its group, or go on where `after`, a prefix of it that ran
        before, ended. Both are hints. What is shown, chosen or kept must be run without them.

        What the program does wrong is in the result's status; raises `BackendError` if the executor itself failed.
        """
        ...


class Grader(Protocol):
    """Compares answers."""

    async def grade(self, answer: str, problem: Problem) -> Verdict:
        """Is `answer` right for `problem`?"""
        ...

    async def equivalent(self, a: str, b: str, problem: Problem) -> bool:
        """Are two answers to `problem` the same, however written? Its reference is not looked at."""
        ...
