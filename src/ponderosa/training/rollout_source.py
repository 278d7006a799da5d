"""Where a trainer's rollouts come from: drawn by our own engine or TRL's, rewarded, and counted.

Imports torch: import it late.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import torch
from accelerate.utils import gather_object
from transformers import PreTrainedModel

from ponderosa.core import (
    BackendError,
    Completion,
    Ended,
    Executor,
    Policy,
    PonderosaError,
    Problem,
    Prompt,
    Sampling,
    close,
    derive_seed,
    make_format,
)
from ponderosa.execution import ExecutionSettings, make_executor
from ponderosa.grading import MathGrader, ProblemGrader
from ponderosa.models import load_grader, load_reward
from ponderosa.models.loop import LoopThread
from ponderosa.models.text import first_stop
from ponderosa.models.transformers.policy import TransformersPolicy
from ponderosa.search import SampleSettings
from ponderosa.search.concurrent import together
from ponderosa.training.fitted import Fitted
from ponderosa.training.grpo import GRPOSettings, RolloutSettings, Task
from ponderosa.training.rewards import Mark, Means, make_marks, mark
from ponderosa.training.rollouts import Rollout, Row, encode, grouped, roll_out
from ponderosa.training.step_records import TROUBLE, troubles

if TYPE_CHECKING:
    from ponderosa.training.group_trainer import GroupTrainer

_PATIENCE = 3
"""Generations in a row of which no rollout may be whole."""


class RolloutThread:
    """The event loop of a thread, in which rollouts are drawn, with an executor for as long as a training lasts. A
    context manager.
    """

    def __init__(self, task: Task, rollout: RolloutSettings, seed: int) -> None:
        self._task = task
        self._seed = seed
        self._format = make_format(task.format, task.few_shot)
        self._sampling = SampleSettings(**rollout.model_dump())
        self._thread = LoopThread("rollouts")
        self._stack = AsyncExitStack()
        self._executor: Executor

    def __enter__(self) -> Self:
        try:
            self._thread.start(self._open()).result()
        except BaseException:
            self._thread.close(self._stack.aclose())
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.close(self._stack.aclose())

    async def _open(self) -> None:
        execution = ExecutionSettings.from_json(self._task.execution) if self._task.execution else None
        self._executor = await self._stack.enter_async_context(make_executor(execution))

    async def _roll(self, problem: Problem, n: int, policy: Policy, trainer: Fitted, *place: int) -> list[Rollout]:
        """Rollouts of a problem, with the seed of this step, this process and this `place` in it; those by which it is
        judged always with the same one.
        """
        here = (trainer.state.global_step, trainer.accelerator.process_index, *place) if trainer.learns else ("judged",)
        seed = derive_seed(self._seed, *here, problem.id)
        return await roll_out(problem, n, policy, self._executor, self._format, self._sampling, seed)


@contextmanager
def weights_as_policy(trainer: Fitted, tokenizer: Any, max_rows: int) -> Iterator[TransformersPolicy]:
    """A policy on the very weights that are trained, as they are now."""
    model: Any = trainer.accelerator.unwrap_model(trainer.model_wrapped)
    model = model if isinstance(model, PreTrainedModel) else model.get_base_model()  # adapters are in its layers
    with _generating(model, trainer.args.gradient_checkpointing_kwargs):
        policy = TransformersPolicy(model, tokenizer, max_rows=max_rows, threads=torch.get_num_threads())
        try:
            yield policy
        finally:
            policy.close()


class RolloutSource(RolloutThread):
    """What TRL calls for completions: draws rollouts, rewards them, and counts. A context manager.

    Grader and reward models live in the thread too.
    """

    def __init__(self, settings: GRPOSettings, task: Task, problems: Sequence[Problem], seed: int) -> None:
        super().__init__(task, settings.rollout, seed)
        self._settings = settings
        self._problems = {self._format.render(problem.question).text: problem for problem in problems}
        self._marks: dict[str, Mark]
        self._means: Means
        self._barren = 0
        self._counts: Counter[str] = Counter()

    @property
    def labels(self) -> list[str]:
        return [entry.label for entry in self._settings.rewards]

    async def _open(self) -> None:
        await super()._open()
        if self._task.grader is None:
            math = await self._stack.enter_async_context(MathGrader())
            grader: Any = ProblemGrader(math, self._executor)
        else:
            grader = load_grader(self._task.grader)
            self._stack.callback(close, grader)
        self._means = Means(
            self._task.format, self._format, grader, self._load_reward, by_reference=self._task.grader is None
        )
        self._marks = make_marks(self._settings.rewards, self._means)

    def _load_reward(self, name: str, format: Any) -> Any:
        reward = load_reward(name, format)
        self._stack.callback(close, reward)
        return reward

    def take_counts(self) -> Counter[str]:
        """What the last generation, in all processes, came to; nothing if that was taken before."""
        counts, self._counts = self._counts, Counter()
        return counts

    def __call__(self, prompts: list[str], trainer: "GroupTrainer") -> dict[str, Any]:
        """TRL's `rollout_func`. `env_mask` is 1 for the tokens that the policy drew; `scores` are the rewards."""
        rollouts, scores, logprobs = self._draw(prompts, trainer, self._settings.group)
        rows = encode(rollouts, trainer.processing_class, self._settings.max_length)
        unmarked = [None in one.values() for one in scores]
        self._count(rollouts, rows, unmarked)
        return {
            "prompt_ids": [row.prompt for row in rows],
            "completion_ids": [row.completion for row in rows],
            "logprobs": logprobs
            and [_padded(one, len(row.completion)) for one, row in zip(logprobs, rows, strict=True)],
            "env_mask": [
                [0] * len(row.learned) if nothing else row.learned for row, nothing in zip(rows, unmarked, strict=True)
            ],
            "scores": scores,
        }

    def judge(self, prompts: Sequence[str], trainer: "GroupTrainer") -> list[dict[str, float | None]]:
        """The rewards of a rollout of each prompt, which is not learned from and not counted."""
        return self._draw(prompts, trainer, 1)[1]

    def _draw(
        self, prompts: Sequence[str], trainer: "GroupTrainer", group: int
    ) -> tuple[list[Rollout], list[dict[str, float | None]], list[list[float]] | None]:
        """A rollout of each of the prompts, which stand so often one after the other as a group is large, its rewards,
        and its log-probabilities where they are known.
        """
        groups = list(grouped(prompts))
        logprobs: list[list[float]] | None = None
        try:
            if self._settings.generation.engine == "vllm":
                rollouts, logprobs = self._from_vllm(groups, prompts, trainer, group)
            else:
                rollouts = self._from_weights(groups, trainer)
            scores = self._thread.start(mark(rollouts, self._marks)).result()
        except BackendError as error:
            raise PonderosaError(f"no rollouts at step {trainer.state.global_step + 1}: {error}") from error
        return rollouts, scores, logprobs

    def _from_weights(self, groups: Sequence[tuple[str, int]], trainer: "GroupTrainer") -> list[Rollout]:
        """Rollouts by our own engine, on the weights as they are."""
        with weights_as_policy(trainer, trainer.processing_class, self._settings.generation.max_rows) as policy:
            return self._thread.start(self._roll_all(groups, policy, trainer)).result()

    async def _roll_all(
        self, groups: Sequence[tuple[str, int]], policy: Policy, trainer: "GroupTrainer"
    ) -> list[Rollout]:
        rolled = await together(self._roll(self._problems[prompt], n, policy, trainer) for prompt, n in groups)
        return [one for group in rolled for one in group]

    def _from_vllm(
        self, groups: Sequence[tuple[str, int]], prompts: Sequence[str], trainer: "GroupTrainer", group: int
    ) -> tuple[list[Rollout], list[list[float]]]:
        """Rollouts by TRL's vLLM, with the log-probabilities that these were drawn with."""
        tokenizer: Any = trainer.processing_class
        ids = tokenizer(list(prompts))["input_ids"]
        generate: Any = trainer._generate_single_turn
        drawn, logprobs = generate(ids, None, {}, group)
        stops = self._format.chain_stops
        completions = [_completion(tokenizer, one, trainer.eos_token_ids, stops) for one in drawn]
        given = GivenCompletions(prompts, completions)
        return self._thread.start(self._roll_all(groups, given, trainer)).result(), logprobs

    def _count(self, rollouts: Sequence[Rollout], rows: Sequence[Row], unmarked: Sequence[bool]) -> None:
        """Adds up over all processes. Raises `PonderosaError` if nothing can be learned any more."""
        mine = Counter(
            rollouts=len(rollouts),
            generated=sum(one.tokens for one in rollouts),
            tokens=sum(len(row.prompt) + len(row.completion) for row in rows) * self._settings.iterations,
            executions=sum(bool(turn.shown) for one in rollouts for turn in one.turns),
            cut=sum(row.cut for row in rows),
            respelled=sum(row.respelled for row in rows),
            failed=sum(bool(one.failed) for one in rollouts),
            unmarked=sum(unmarked),
        )
        for one in rollouts:
            mine[f"outcome/{one.outcome or 'none'}"] += 1
        why = Counter(self._means.troubles) + Counter(one.failed for one in rollouts if one.failed)
        self._means.troubles.clear()
        mine.update({TROUBLE + what: count for what, count in why.items()})
        self._counts = Counter()
        for counts in gather_object([dict(mine)]):
            self._counts.update(counts)
        self._barren = self._barren + 1 if self._counts["unmarked"] == self._counts["rollouts"] else 0
        if self._barren >= _PATIENCE:
            most = [*troubles(self._counts).most_common(1), ("no verdicts", 0)][0][0]
            raise PonderosaError(
                f"no rollout of {_PATIENCE} generations in a row could be rewarded ({most}): "
                "mend the executor or the grader, then run the same command again"
            )


@contextmanager
def _generating(model: Any, checkpointing: Any) -> Iterator[None]:
    """The model as it is for generation: bare of what training wraps it in, and as it was afterwards.

    It computes in the precision of its weights, which is at least that of the training.
    """
    bare = model.__dict__.get("_original_forward")  # accelerate's, without autocast
    wrapped = model.__dict__.get("forward")
    checkpointed, training = model.is_gradient_checkpointing, model.training
    if bare is not None:
        model.forward = bare
    if checkpointed:
        model.gradient_checkpointing_disable()
    try:
        yield
    finally:
        if checkpointed:
            model.gradient_checkpointing_enable(checkpointing)
        if bare is not None:
            model.forward = wrapped
        model.train(training)


def _padded(logprobs: Sequence[float], length: int) -> list[float]:
    return [*logprobs, *[0.0] * (length - len(logprobs))][:length]


def _completion(tokenizer: Any, ids: Sequence[int], eos: Sequence[int], stops: Sequence[str]) -> Completion:
    ended, stop = Ended.LENGTH, None
    own = list(ids)
    if own and own[-1] in eos:
        ended = Ended.EOS
        own.pop()
    text = tokenizer.decode(own, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    if ended is Ended.LENGTH and (found := first_stop(text, stops)):
        ended, (text, stop) = Ended.STOP, found
    return Completion(text, ended, stop, tokens=len(ids), ids=tuple(ids))


class GivenCompletions:
    """A policy whose completions are there already, by the text of their prompt."""

    def __init__(self, prompts: Sequence[str], completions: Sequence[Completion]) -> None:
        self._left: dict[str, list[Completion]] = {}
        for prompt, completion in zip(prompts, completions, strict=True):
            self._left.setdefault(prompt, []).append(completion)

    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        """Raises `BackendError` when it is asked for what is not there."""
        left = self._left.get(prompt.text, [])
        if len(left) < n:
            raise BackendError("vLLM cannot run code on the way: set `generation.engine: transformers`")
        found, self._left[prompt.text] = left[:n], left[n:]
        return found
