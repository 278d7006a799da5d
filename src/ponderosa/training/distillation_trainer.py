"""TRL's distillation trainer on texts of ours. Imports trl: import it late.

TRL has the student write every text. Its loss, its batches and its handling of sharded models serve as well for texts
that somebody else wrote, and for solutions with executions on the way: only where a batch's texts come from is ours.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate.utils import gather_object
from trl.trainer.distillation_config import DistillationConfig
from trl.trainer.distillation_trainer import DistillationTrainer

from ponderosa.core import BackendError, Policy, PonderosaError, Problem
from ponderosa.search.concurrent import together
from ponderosa.training.arguments import held_out_arguments, trainer_arguments
from ponderosa.training.distillation import DistillationSettings, OnPolicySettings
from ponderosa.training.encoding import IGNORED
from ponderosa.training.environment import world_size
from ponderosa.training.fitted import Fitted, dataset
from ponderosa.training.grpo import Task
from ponderosa.training.rollout_source import RolloutThread, weights_as_policy
from ponderosa.training.rollouts import Rollout, Row, encode
from ponderosa.training.sharding import check_second_model


class Texts(Protocol):
    """The texts of a training by their numbers."""

    def __len__(self) -> int: ...

    def rows(self, numbers: Sequence[int], trainer: "TeachingTrainer") -> list[Row]:
        """Those of a batch, in order. In training, what there is to count is added to `trainer.counts`."""
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


class OwnTexts(RolloutThread):
    """Solutions of problems, which the student writes when they are asked for. A context manager."""

    def __init__(
        self, problems: Sequence[Problem], settings: OnPolicySettings, task: Task, tokenizer: Any, seed: int
    ) -> None:
        super().__init__(task, settings.rollout, seed)
        self._problems = problems
        self._settings = settings
        self._tokenizer = tokenizer

    def __len__(self) -> int:
        return len(self._problems)

    def rows(self, numbers: Sequence[int], trainer: "TeachingTrainer") -> list[Row]:
        """Raises `PonderosaError` if no solution could be had."""
        step = trainer.state.global_step + 1
        with weights_as_policy(trainer, self._tokenizer, self._settings.max_rows) as policy:
            try:
                rollouts = self._thread.start(self._solve(numbers, policy, trainer)).result()
            except BackendError as error:
                raise PonderosaError(f"no solutions at step {step}: {error}") from error
        if all(one.failed for one in rollouts):
            raise PonderosaError(f"no solution at step {step} could be written: {rollouts[0].failed}")
        if trainer.learns:
            trainer.count(
                generated_tokens=sum(one.tokens for one in rollouts),
                executions=sum(bool(turn.shown) for one in rollouts for turn in one.turns),
            )
        return encode(rollouts, self._tokenizer, self._settings.max_length)

    async def _solve(self, numbers: Sequence[int], policy: Policy, trainer: "TeachingTrainer") -> list[Rollout]:
        found = await together(
            self._roll(self._problems[number], 1, policy, trainer, at) for at, number in enumerate(numbers)
        )
        return [one for (one,) in found]


def teaching_config(
    settings: DistillationSettings, seed: int, scratch: Path, *, texts: int, evaluate: bool
) -> DistillationConfig:
    """TRL's configuration for so many texts, with or without others to judge it by."""
    arguments = trainer_arguments(settings, seed, scratch)
    check_second_model("the teacher")
    if evaluate:
        arguments |= held_out_arguments(settings, arguments, texts)
    arguments.pop("max_length")
    teacher = {"attn_implementation": settings.attention, "dtype": "auto" if torch.cuda.is_available() else "float32"}
    return DistillationConfig(
        **arguments, teacher_model_init_kwargs=teacher, beta=settings.beta, temperature=settings.softness
    )


_COUNTED = ("num_tokens", "generated_tokens", "executions")


class TeachingTrainer(Fitted, DistillationTrainer):
    """Generalised knowledge distillation on `texts`, but for the last `held_out`; `counts` what they came to, over all
    processes.

    The counts stand in the logs, where a training that goes on finds them.
    """

    def __init__(self, *, texts: Texts, held_out: int, args: DistillationConfig, **kwargs: Any) -> None:
        self.texts = texts
        self.first_held_out = learned = len(texts) - held_out
        self.counts: Counter[str] = Counter()
        batch = args.per_device_train_batch_size * args.gradient_accumulation_steps * world_size()
        # Batches are whole: texts that are fewer than one holds stand in it several times.
        numbers = [i % learned for i in range(max(batch, learned))]
        judges = dataset(prompt=list(range(learned, len(texts)))) if held_out else None
        super().__init__(args=args, train_dataset=dataset(prompt=numbers), eval_dataset=judges, lengths=(), **kwargs)

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

    def evaluate(self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval") -> Any:
        """The divergence of a token, over all held-out texts, whatever the batches."""
        total = torch.zeros(2, device=self.args.device)
        with self.judging() as model:
            for numbers, counts in self.shares(len(self.texts) - self.first_held_out):
                texts: list[dict[str, Any]] = [{"prompt": self.first_held_out + number} for number in numbers]
                inputs = self._generate_and_score_completions(texts)
                inputs["tool_mask"] *= counts.long()[:, None]
                with self.compute_loss_context_manager():
                    summed = self.compute_loss(model, inputs, num_items_in_batch=1)
                total += torch.stack([summed, (inputs["tool_mask"] * inputs["completion_mask"]).sum()])
        divergence, tokens = self.accelerator.reduce(total).tolist()
        return self.judged(divergence / max(tokens, 1))

    def _generate(self, prompts: list[int]) -> tuple[Any, ...]:
        """TRL's call for the texts of a batch, by their numbers: prompts, completions, and what is learned of these."""
        rows = self.texts.rows(prompts, self)
        if self.learns:
            self.count(num_tokens=sum(len(row.prompt) + len(row.completion) for row in rows))
        return [row.prompt for row in rows], [row.completion for row in rows], [row.learned for row in rows], None, []
