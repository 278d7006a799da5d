"""TRL's distillation trainer on texts of ours. Imports trl: import it late.

TRL has the student write every text. Its loss, its batches and its handling of sharded models serve as well for texts
that somebody else wrote, and for solutions with executions on the way: only where a batch's texts come from is ours.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import torch
from accelerate.utils import gather_object
from transformers import PreTrainedModel
from trl.trainer.distillation_config import DistillationConfig
from trl.trainer.distillation_trainer import DistillationTrainer

from ponderosa.core import BackendError, Policy, PonderosaError, Problem, derive_seed, make_format
from ponderosa.execution import ExecutionSettings, make_executor
from ponderosa.models.loop import LoopThread
from ponderosa.models.transformers.policy import TransformersPolicy
from ponderosa.search import SampleSettings
from ponderosa.search.concurrent import together
from ponderosa.training.arguments import trainer_arguments
from ponderosa.training.distillation import DistillationSettings, OnPolicySettings
from ponderosa.training.encoding import IGNORED
from ponderosa.training.environment import world_size
from ponderosa.training.fitted import Fitted, dataset
from ponderosa.training.grpo import Task
from ponderosa.training.rollout_source import generating
from ponderosa.training.rollouts import Rollout, Row, encode, roll_out


class Texts(Protocol):
    """The texts of a training by their numbers."""

    def __len__(self) -> int: ...

    def rows(self, numbers: Sequence[int], trainer: "TeachingTrainer") -> list[Row]:
        """Those of a batch, in order. What there is to count is added to `trainer.counts`."""
        ...


class GivenTexts:
    """Texts as tokens and labels. The first token that is learned begins the completion."""

    def __init__(self, encoded: Sequence[tuple[list[int], list[int]]]) -> None:
        self._rows = [_row(ids, labels) for ids, labels in encoded]

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self, numbers: Sequence[int], trainer: "TeachingTrainer") -> list[Row]:
        return [self._rows[number] for number in numbers]


def _row(ids: list[int], labels: list[int]) -> Row:
    start = next(i for i, label in enumerate(labels) if label != IGNORED)
    return Row(ids[:start], ids[start:], [int(label != IGNORED) for label in labels[start:]], cut=False)


class OwnTexts:
    """Solutions of problems, which the student writes when they are asked for. A context manager.

    The executor lives in the event loop of one thread, for as long as the training lasts.
    """

    def __init__(
        self, problems: Sequence[Problem], settings: OnPolicySettings, task: Task, tokenizer: Any, seed: int
    ) -> None:
        self._problems = problems
        self._settings = settings
        self._execution = ExecutionSettings.from_json(task.execution) if task.execution else None
        self._format = make_format(task.format, task.few_shot)
        self._sampling = SampleSettings(**settings.rollout.model_dump())
        self._tokenizer = tokenizer
        self._seed = seed
        self._thread = LoopThread("rollouts")
        self._stack = AsyncExitStack()

    def __len__(self) -> int:
        return len(self._problems)

    def __enter__(self) -> Self:
        try:
            self._executor = self._thread.start(self._open()).result()
        except BaseException:
            self._thread.close(self._stack.aclose())
            raise
        return self

    async def _open(self) -> Any:
        return await self._stack.enter_async_context(make_executor(self._execution))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.close(self._stack.aclose())

    def rows(self, numbers: Sequence[int], trainer: "TeachingTrainer") -> list[Row]:
        """Raises `PonderosaError` if no solution could be had."""
        step = trainer.state.global_step
        model: Any = trainer.accelerator.unwrap_model(trainer.model_wrapped)
        model = model if isinstance(model, PreTrainedModel) else model.get_base_model()  # adapters are in its layers
        with generating(model, trainer.args.gradient_checkpointing_kwargs):
            threads = torch.get_num_threads()
            policy = TransformersPolicy(model, self._tokenizer, max_rows=self._settings.max_rows, threads=threads)
            try:
                place = (self._seed, step, trainer.accelerator.process_index)
                rollouts = self._thread.start(self._solve(numbers, policy, place)).result()
            except BackendError as error:
                raise PonderosaError(f"no solutions at step {step + 1}: {error}") from error
            finally:
                policy.close()
        if all(one.failed for one in rollouts):
            raise PonderosaError(f"no solution at step {step + 1} could be written: {rollouts[0].failed}")
        trainer.count(
            generated_tokens=sum(one.tokens for one in rollouts),
            executions=sum(bool(turn.shown) for one in rollouts for turn in one.turns),
        )
        return encode(rollouts, self._tokenizer, self._settings.max_length)

    async def _solve(self, numbers: Sequence[int], policy: Policy, place: Sequence[int]) -> list[Rollout]:
        async def solve(at: int, problem: Problem) -> Rollout:
            seed = derive_seed(*place, at, problem.id)
            found = await roll_out(problem, 1, policy, self._executor, self._format, self._sampling, seed)
            return found[0]

        return list(await together(solve(at, self._problems[number]) for at, number in enumerate(numbers)))


def teaching_config(settings: DistillationSettings, seed: int, scratch: Path) -> DistillationConfig:
    """TRL's configuration."""
    arguments = trainer_arguments(settings, seed, scratch)
    arguments.pop("max_length")
    teacher = {"attn_implementation": settings.attention, "dtype": "auto" if torch.cuda.is_available() else "float32"}
    return DistillationConfig(
        **arguments, teacher_model_init_kwargs=teacher, beta=settings.beta, temperature=settings.softness
    )


_COUNTED = ("num_tokens", "generated_tokens", "executions")


class TeachingTrainer(Fitted, DistillationTrainer):
    """Generalised knowledge distillation on `texts`; `counts` what they came to, over all processes.

    The counts stand in the logs, where a training that goes on finds them.
    """

    def __init__(self, *, texts: Texts, args: DistillationConfig, **kwargs: Any) -> None:
        self.texts = texts
        self.counts: Counter[str] = Counter()
        batch = args.per_device_train_batch_size * args.gradient_accumulation_steps * world_size()
        # Batches are whole: texts that are fewer than one holds stand in it several times.
        numbers = [i % len(texts) for i in range(max(batch, len(texts)))]
        super().__init__(args=args, train_dataset=dataset(prompt=numbers), lengths=(), **kwargs)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return DistillationTrainer._get_train_sampler(self, train_dataset)  # a batch comes once for each of its parts

    def count(self, **more: int) -> None:
        """Adds to the counts what all processes bring."""
        for counts in gather_object([more]):
            self.counts.update(counts)
        self._metrics["train"].update({name: [count] for name, count in self.counts.items()})

    def goes_on(self) -> None:
        super().goes_on()
        for logs in self.state.log_history:
            self.counts |= {name: int(logs[name]) for name in _COUNTED if name in logs}

    def _generate(self, prompts: list[int]) -> tuple[Any, ...]:
        """TRL's call for the texts of a batch, by their numbers: prompts, completions, and what is learned of these."""
        rows = self.texts.rows(prompts, self)
        self.count(num_tokens=sum(len(row.prompt) + len(row.completion) for row in rows))
        return [row.prompt for row in rows], [row.completion for row in rows], [row.learned for row in rows], None, []
