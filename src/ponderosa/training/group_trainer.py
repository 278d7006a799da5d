"""TRL's GRPOTrainer on rollouts of our own. Imports trl: import it late."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from ponderosa.core import PonderosaError
from ponderosa.training.arguments import held_out_arguments, trainer_arguments
from ponderosa.training.environment import world_size
from ponderosa.training.fitted import Fitted, dataset
from ponderosa.training.grpo import Chosen, GRPOSettings
from ponderosa.training.rollout_source import RolloutSource

RECORDS = "metrics.jsonl"
"""The file of a checkpoint that has a record for each step of its making."""


def grpo_config(settings: GRPOSettings, chosen: Chosen, stops: Sequence[str], seed: int, scratch: Path) -> GRPOConfig:
    """TRL's configuration for the `chosen` problems; `stops` are where a rollout ends, or waits for an execution.

    Raises `PonderosaError` for settings that do not fit the processes, or that TRL lacks.
    """
    processes = world_size()
    share, rest = divmod(settings.batch_size, processes)
    if rest:
        raise PonderosaError(f"`batch_size` {settings.batch_size} does not divide among {processes} processes")
    micro = next(size for size in range(min(settings.micro_batch_size, share), 0, -1) if share % size == 0)
    arguments = trainer_arguments(settings, seed, scratch)
    arguments.pop("max_length")
    arguments |= {
        "max_steps": settings.steps_over(len(chosen.problems)),
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": share // micro,
        "steps_per_generation": share // micro * settings.updates,
        "num_generations": settings.group,
        "num_iterations": settings.iterations,
        "max_completion_length": settings.rollout.max_tokens,
        "temperature": settings.rollout.temperature,
        "top_p": settings.rollout.top_p,
        "top_k": settings.rollout.top_k,
        "beta": settings.beta,
        "epsilon": settings.clip,
        "epsilon_high": settings.clip_high,
        "loss_type": settings.loss,
        "scale_rewards": settings.scale_rewards,
        "importance_sampling_level": settings.importance,
        "mask_truncated_completions": settings.mask_cut,
        "reward_weights": [entry.weight for entry in settings.rewards],
        **_vllm(settings, stops),
    }
    if chosen.held_out:
        rows = len(chosen.problems) * settings.group * settings.iterations
        arguments |= held_out_arguments(settings, arguments, rows)
        arguments |= {"num_generations_eval": 1, "per_device_eval_batch_size": share}  # drawn together, as a step's are
    try:
        return GRPOConfig(**(arguments | settings.trl))
    except (TypeError, ValueError) as error:
        raise PonderosaError(f"TRL does not take these settings: {error}") from error


def _vllm(settings: GRPOSettings, stops: Sequence[str]) -> dict[str, Any]:
    generation = settings.generation
    if generation.engine != "vllm":
        return {}
    return {
        "use_vllm": True,
        "vllm_mode": generation.mode,
        "vllm_server_base_url": generation.server_url or None,
        "vllm_gpu_memory_utilization": generation.gpu_memory_utilization,
        "vllm_tensor_parallel_size": generation.tensor_parallel_size,
        "vllm_enable_sleep_mode": generation.sleep,
        "vllm_max_model_length": settings.max_length,
        "generation_kwargs": {"stop": list(stops), "include_stop_str_in_output": True} if stops else None,
    }


class GroupTrainer(Fitted, GRPOTrainer):
    """GRPO on what `rollouts` draws and rewards, judged by `held_out` prompts."""

    settings: GRPOSettings

    def __init__(
        self, *, settings: GRPOSettings, rollouts: RolloutSource, held_out: Sequence[str], **kwargs: Any
    ) -> None:
        self._rollouts = rollouts
        self._held_out = held_out
        super().__init__(
            settings=settings,
            lengths=(),
            rollout_func=rollouts,
            reward_funcs=[_reader(label) for label in rollouts.labels],
            eval_dataset=dataset(prompt=list(held_out)) if held_out else None,
            **kwargs,
        )

    def evaluate(self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval") -> Any:
        """Minus the mean reward of a rollout of each held-out problem for a loss; and, where accuracy is rewarded, how
        many are right. Rollouts of which a reward could not be told do not count.
        """
        weights = {entry.label: entry.weight for entry in self.settings.rewards}
        accuracy = next((entry.label for entry in self.settings.rewards if entry.kind == "accuracy"), None)
        total = torch.zeros(3, device=self.args.device)
        with self.judging():
            for numbers, counts in self.shares(len(self._held_out)):
                scores = self._rollouts.judge([self._held_out[number] for number in numbers], self)
                for one, counted in zip(scores, counts.tolist(), strict=True):
                    if counted and None not in one.values():
                        reward = sum(weight * (one[label] or 0.0) for label, weight in weights.items())
                        right = bool(accuracy and one[accuracy])
                        total += torch.tensor([reward, right, 1.0], device=total.device)
        rewards, right, counted = self.accelerator.reduce(total).tolist()
        if not counted:
            raise PonderosaError(
                "no rollout of the held-out problems could be rewarded: mend the executor or the grader"
            )
        return self.judged(-rewards / counted, right / counted if accuracy else None)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return GRPOTrainer._get_train_sampler(self, train_dataset)  # each problem so often as its group is large

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        """The loss without the columns that are padding in all rows: TRL pads to the longest of a generation."""
        prompt = int(inputs["prompt_mask"].sum(1).max())
        length = int(inputs["completion_mask"].sum(1).max())
        cut = {"prompt_ids": slice(-prompt, None), "prompt_mask": slice(-prompt, None)}
        cut |= dict.fromkeys(_BY_TOKEN, slice(0, max(1, length)))
        compute: Any = super()._compute_loss
        loss: Tensor = compute(
            model, {name: value[:, cut[name]] if name in cut else value for name, value in inputs.items()}
        )
        return loss


_BY_TOKEN = (
    "completion_ids",
    "completion_mask",
    "tool_mask",
    "old_per_token_logps",
    "ref_per_token_logps",
    "sampling_per_token_logps",
    "importance_sampling_ratio",
)
"""What TRL has for each token of a completion."""


def _reader(label: str) -> Callable[..., list[float | None]]:
    """The reward as TRL asks for it: it was told when the rollout was made."""

    def read(scores: Sequence[dict[str, float | None]], **_: Any) -> list[float | None]:
        return [one[label] for one in scores]

    read.__name__ = label
    return read
