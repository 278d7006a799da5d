"""Rollouts: whole solutions as a policy writes them, and as rows of tokens to train on.

They are made as at search time, by the chains of `search.sampling`: where a program is to be run it is, and its output
stands in the text that the policy goes on from. Those tokens are the executor's, so that the loss leaves them out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ponderosa.core import (
    BackendError,
    Completion,
    Ended,
    Execution,
    Executor,
    Outcome,
    Policy,
    Problem,
    RefusedError,
    StepFormat,
    Tree,
)
from ponderosa.search import Backends, SampleSettings
from ponderosa.search.sampling import go_on
from ponderosa.training.encoding import encode_continuations, encode_prompts


@dataclass(frozen=True, slots=True)
class Turn:
    """What the policy wrote at a stretch, and the text that the executor added."""

    completion: Completion
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Rollout:
    """A solution with its `steps` as a search has them. `failed` says what broke where that was not the policy's fault;
    such a rollout is no lesson.
    """

    problem: Problem
    prompt: str
    steps: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()
    answer: str | None = None
    outcome: Outcome | None = None
    failed: str = ""

    @property
    def text(self) -> str:
        return "".join(self.steps)

    @property
    def tokens(self) -> int:
        """Tokens that the policy wrote."""
        return sum(turn.completion.tokens for turn in self.turns)

    @property
    def cut(self) -> bool:
        """Was it cut off by a limit, of tokens or of steps?"""
        cut_off = bool(self.turns) and self.turns[-1].completion.ended is Ended.LENGTH
        return cut_off or self.outcome is Outcome.TOO_DEEP


class ExecutorFailedError(Exception):
    """The executor could not run a program: nobody's fault that learns here."""


class WatchedExecutor:
    """An executor whose failures are told from those of the policy."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def run(self, code: str, after: str | None = None, group: str | None = None) -> Execution:
        """See `Executor.run`. Raises `ExecutorFailedError`."""
        try:
            return await self._executor.run(code, after, group)
        except BackendError as error:
            raise ExecutorFailedError(str(error)) from error


async def roll_out(
    problem: Problem,
    n: int,
    policy: Policy,
    executor: Executor,
    format: StepFormat,
    settings: SampleSettings,
    seed: int,
) -> list[Rollout]:
    """`n` rollouts for `problem`. Where its prompt is refused or the executor fails, all of them say so.

    Raises `BackendError` if the policy cannot serve.
    """
    backends = Backends(policy, WatchedExecutor(executor), format)
    tree = Tree(problem.id, problem.question, seed=seed)
    tree.rollouts = [0] * n
    prompt = format.render(problem.question).text
    drawn: list[list[Completion]] = [[] for _ in range(n)]
    stood: list[list[int]] = [[] for _ in range(n)]

    def told(sample: int, completion: Completion) -> None:
        drawn[sample].append(completion)
        stood[sample].append(tree.rollouts[sample])

    standing = {0: list(range(n))}
    try:
        while standing:
            standing = await go_on(tree, standing, tree.rollouts, backends, settings, told=told)
    except (RefusedError, ExecutorFailedError) as error:
        return [Rollout(problem, prompt, failed=str(error), outcome=Outcome.BACKEND_FAILED)] * n
    return [
        Rollout(
            problem,
            prompt,
            tuple(tree.steps(end)),
            _turns(tree, drawn[sample], stood[sample]),
            tree.nodes[end].answer,
            tree.nodes[end].outcome,
        )
        for sample, end in enumerate(tree.rollouts)
    ]


def _turns(tree: Tree, drawn: Sequence[Completion], ends: Sequence[int]) -> tuple[Turn, ...]:
    """Of each completion what follows it on its path: what the search added there."""
    turns = []
    before = ""
    for completion, end in zip(drawn, ends, strict=True):
        path = "".join(tree.steps(end))
        own = before + completion.text + (completion.stop or "")
        turns.append(Turn(completion, path[len(own) :] if path.startswith(own) else ""))
        before = path
    return tuple(turns)


@dataclass(frozen=True, slots=True)
class Row:
    """A rollout in tokens. `learned` is 1 for those of the completion that the policy drew, 0 for all others.

    `cut` marks one that a limit ended; the others end with the end-of-text token, which the loss leaves out unless the
    policy drew it. `respelled` marks one whose policy saw, after an execution, the same text in other tokens.
    """

    prompt: list[int]
    completion: list[int]
    learned: list[int]
    cut: bool
    respelled: bool = False


def encode(rollouts: Sequence[Rollout], tokenizer: Any, max_length: int) -> list[Row]:
    """The rollouts as rows of at most `max_length` tokens, prompts included."""
    prompts = encode_prompts(tokenizer, (rollout.prompt for rollout in rollouts))
    shown = encode_continuations(tokenizer, (turn.shown for rollout in rollouts for turn in rollout.turns))
    seen = encode_prompts(tokenizer, (text for rollout in rollouts for text in _seen(rollout)))
    return [_encode(rollout, prompts[rollout.prompt], shown, seen, tokenizer, max_length) for rollout in rollouts]


def _seen(rollout: Rollout) -> Iterable[str]:
    """The texts that the policy went on from, after the prompt."""
    text = rollout.prompt
    for turn in rollout.turns[:-1]:
        text += turn.completion.text + (turn.completion.stop or "") + turn.shown
        yield text


def _encode(
    rollout: Rollout,
    prompt: list[int],
    shown: dict[str, list[int]],
    seen: dict[str, list[int]],
    tokenizer: Any,
    max_length: int,
) -> Row:
    ids: list[int] = []
    learned: list[int] = []
    respelled = False
    texts = iter(_seen(rollout))
    for turn in rollout.turns:
        own, added = turn.completion.ids, shown[turn.shown]
        ids += [*own, *added]
        learned += [1] * len(own) + [0] * len(added)
        if (text := next(texts, None)) is not None and seen[text] != prompt + ids:
            respelled = True
    cut = rollout.cut
    if not cut and (not ids or ids[-1] != tokenizer.eos_token_id):
        ids.append(tokenizer.eos_token_id)
        learned.append(0)
    room = max(1, max_length - len(prompt))
    if len(ids) > room:
        ids, learned, cut = ids[:room], learned[:room], True
    if rollout.failed:
        learned = [0] * len(learned)
    return Row(prompt, ids, learned, cut, respelled)


def grouped(prompts: Sequence[str]) -> Iterable[tuple[str, int]]:
    """Each prompt with the number of times that it stands in a row."""
    start = 0
    for i in range(1, len(prompts) + 1):
        if i == len(prompts) or prompts[i] != prompts[start]:
            yield prompts[start], i - start
            start = i
