"""TRL's trainers as we use them: the policy's with our batches, the reward model's also with weighted pairs.

Imports trl: import it late.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from transformers import EarlyStoppingCallback, TrainerCallback, TrainerControl, TrainerState
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import DataCollatorForPreference, RewardTrainer
from trl.trainer.sft_trainer import SFTTrainer

from ponderosa.training.fitting import Fitted, dataset, trainer_arguments, world_size
from ponderosa.training.ppm import Evaluation, Pair, PPMSettings


class PolicyTrainer(Fitted, SFTTrainer):
    """Supervised fine-tuning on tokens and labels."""


def pair_loss(chosen: Tensor, rejected: Tensor, settings: PPMSettings) -> Tensor:
    """The Bradley-Terry loss of each pair of logits, shape (pairs,), unweighted (rStar-Math, section 3.3)."""
    if settings.squash == "tanh":
        chosen, rejected = chosen.tanh(), rejected.tanh()
    loss = -logsigmoid(settings.sharpness * (chosen - rejected))
    if settings.centering:
        loss = loss + settings.centering * (chosen + rejected) ** 2
    return loss


def pair_config(settings: PPMSettings, seed: int, scratch: Path, *, rows: int, evaluate: bool) -> RewardConfig:
    """The trainer's configuration; with `evaluate`, the best checkpoint is kept on disk and loaded in the end."""
    arguments = trainer_arguments(settings, seed, scratch, rows)
    if evaluate:
        batch = arguments["per_device_train_batch_size"] * arguments["gradient_accumulation_steps"] * world_size()
        arguments |= {
            "eval_strategy": "steps",
            "eval_steps": max(1, math.ceil(rows / batch) // settings.evaluations),
            "save_strategy": "best",
            "save_total_limit": 1,
            "save_only_model": True,
            "load_best_model_at_end": True,
            "metric_for_best_model": f"eval_{settings.select_by}",
            "greater_is_better": settings.select_by == "accuracy",
        }
    return RewardConfig(**arguments)


class PairTrainer(Fitted, RewardTrainer):
    """Weighted Bradley-Terry training; `evaluations` gathers the held-out figures."""

    def __init__(
        self, *, train: Sequence[Pair], held_out: Sequence[Pair], settings: PPMSettings, **kwargs: Any
    ) -> None:
        self.evaluations: list[Evaluation] = []
        # Weights are scaled to a mean of 1 once and for all: every batch then counts by what its pairs weigh.
        mean = sum(pair["weight"] for pair in train) / len(train)
        super().__init__(
            settings=settings,
            lengths=[_length(pair) for pair in train],
            train_dataset=_columns(train, mean),
            eval_dataset=_columns(sorted(held_out, key=_length), mean) if held_out else None,
            data_collator=_Collator(pad_token_id=_pad_token_id(kwargs["processing_class"])),
            **kwargs,
        )
        self.settings: PPMSettings = settings
        model: Any = self.model
        model.config.reward_scale = settings.reward_scale
        if held_out:
            self.add_callback(_EvaluateAtEnd())
        if settings.patience and held_out:
            self.add_callback(EarlyStoppingCallback(early_stopping_patience=settings.patience))

    def compute_loss(
        self, model: Any, inputs: dict[str, Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        self._total_train_tokens += int(self.accelerator.gather(inputs["attention_mask"].sum()).sum())
        self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
        chosen, rejected = self._logits(model, inputs)
        return (inputs["weight"] * pair_loss(chosen, rejected, self.settings)).mean()

    def evaluate(self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval") -> Any:
        """Loss and accuracy over all held-out pairs, exact whatever the batches and processes."""
        model = self.model_wrapped
        model.eval()
        gathered = []
        with torch.no_grad():
            for batch in self.get_eval_dataloader():
                with self.compute_loss_context_manager():
                    chosen, rejected = self._logits(model, batch)
                loss = pair_loss(chosen, rejected, self.settings)
                figures = torch.stack([loss, chosen - rejected, batch["weight"]], 1)
                gathered.append(self.accelerator.gather_for_metrics(figures))
        loss, margin, weight = torch.cat(gathered).unbind(1)
        figure = Evaluation(
            self.state.global_step, float((weight * loss).sum() / weight.sum()), float((margin > 0).float().mean())
        )
        self.evaluations.append(figure)
        metrics = {"eval_loss": figure.loss, "eval_accuracy": figure.accuracy}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _logits(self, model: Any, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        outputs = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False)
        chosen, rejected = outputs.logits.squeeze(-1).float().chunk(2)
        return chosen, rejected


class _EvaluateAtEnd(TrainerCallback):
    """Has the last step judged, whatever the interval."""

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> TrainerControl:
        control.should_evaluate = control.should_evaluate or state.global_step >= state.max_steps
        return control


class _Collator(DataCollatorForPreference):
    """Chosen rows, then rejected ones, padded, with the weights of the pairs."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        weight = torch.tensor([example["weight"] for example in examples])
        return {**super().torch_call(examples), "weight": weight}


def _columns(pairs: Sequence[Pair], mean_weight: float) -> Any:
    return dataset(
        chosen_ids=[pair["chosen_ids"] for pair in pairs],
        rejected_ids=[pair["rejected_ids"] for pair in pairs],
        weight=[pair["weight"] / mean_weight for pair in pairs],
    )


def _length(pair: Pair) -> int:
    return max(len(pair["chosen_ids"]), len(pair["rejected_ids"]))


def _pad_token_id(tokenizer: Any) -> int:
    return int(tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id)
