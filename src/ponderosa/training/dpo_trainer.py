"""TRL's DPO trainer with weighted pairs, and the executor's output left out. Imports trl: import it late."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer

from ponderosa.training.arguments import held_out_arguments, trainer_arguments
from ponderosa.training.batches import WeightedRows
from ponderosa.training.dpo import DPOSettings, EncodedPair
from ponderosa.training.fitted import Fitted, dataset
from ponderosa.training.sharding import check_second_model


def preference_config(settings: DPOSettings, seed: int, scratch: Path, *, drawn: int, evaluate: bool) -> DPOConfig:
    """The trainer's configuration for so many pairs an epoch, with or without others to judge it by."""
    arguments = trainer_arguments(settings, seed, scratch)
    if settings.lora is None:
        check_second_model("the reference")
    if evaluate:
        arguments |= held_out_arguments(settings, arguments, drawn)
    losses: list[str] = [settings.loss]
    weights = [1.0]
    if settings.sft_weight:
        losses, weights = [*losses, "sft"], [*weights, settings.sft_weight]
    return DPOConfig(
        **arguments,
        beta=settings.beta,
        loss_type=losses,
        loss_weights=weights,
        label_smoothing=settings.label_smoothing,
    )


class PreferenceTrainer(Fitted, DPOTrainer):
    """DPO on encoded pairs, drawn by their weights; the reference is a second copy of what training starts from."""

    def __init__(
        self, *, pairs: Sequence[EncodedPair], held_out: Sequence[EncodedPair], processing_class: Any, **kwargs: Any
    ) -> None:
        self.weights = [pair.weight for pair in pairs]
        judges = sorted(held_out, key=lambda pair: pair.length)
        super().__init__(
            lengths=[pair.length for pair in pairs],
            train_dataset=_columns(pairs),
            eval_dataset=_columns(judges) if held_out else None,
            data_collator=_LearnedPreference(processing_class.pad_token_id or processing_class.eos_token_id),
            processing_class=processing_class,
            **kwargs,
        )

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset  # tokenised already

    def _get_train_sampler(self, train_dataset: Any = None) -> WeightedRows:
        chunk = self.args.per_device_train_batch_size * self.args.world_size
        return WeightedRows(self.weights, self.lengths, chunk, self.args.seed)

    def evaluate(self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval") -> Any:
        """By TRL: the loss of a held-out pair, and the share whose chosen text has the higher implicit reward.

        The share is the mean over batches, the last of which may be smaller.
        """
        with self.judging():
            found = self.evaluation_loop(self.get_eval_dataloader(), "Evaluation", prediction_loss_only=True)
        assert found.metrics is not None
        return self.judged(found.metrics["eval_loss"], fmean(self._metrics["eval"]["rewards/accuracies"]))

    def at_end(self, figure: str) -> float:
        """The mean of a logged figure over the last tenth of the steps."""
        values = [logs[figure] for logs in self.state.log_history if figure in logs]
        last = values[-max(1, len(values) // 10) :]
        return float(sum(last) / len(last))


def _columns(pairs: Sequence[EncodedPair]) -> Any:
    columns = [pair.columns() for pair in pairs]
    return dataset(**{name: [row[name] for row in columns] for name in columns[0]})


class _LearnedPreference(DataCollatorForPreference):
    """Pads pairs as TRL does, with the executor's tokens taken out of the mask of what is compared."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super().torch_call(examples)
        sides = [(row["prompt_ids"], row[side]) for side in ("chosen_learned", "rejected_learned") for row in examples]
        for mask, (prompt, learned) in zip(batch["completion_mask"], sides, strict=True):
            mask[len(prompt) : len(prompt) + len(learned)] = torch.tensor(learned)
        return batch
