"""TRL's DPO trainer with weighted pairs, and the executor's output left out. Imports trl: import it late."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, relu
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer

from ponderosa.training.arguments import held_out_arguments, trainer_arguments
from ponderosa.training.batches import WeightedRows
from ponderosa.training.dpo import DPOSettings, EncodedPair
from ponderosa.training.encoding import IGNORED
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

    settings: DPOSettings

    def __init__(
        self, *, pairs: Sequence[EncodedPair], held_out: Sequence[EncodedPair], processing_class: Any, **kwargs: Any
    ) -> None:
        self.weights = [pair.weight for pair in pairs]
        self.held_out = sorted(held_out, key=lambda pair: pair.length)
        super().__init__(
            lengths=[pair.length for pair in pairs],
            train_dataset=_columns(pairs),
            eval_dataset=_columns(self.held_out) if held_out else None,
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
        """The loss of a held-out pair, by weight, and the share whose chosen text has the higher implicit reward."""
        untyped = cast(Any, self.compute_ref_log_probs)
        total = torch.zeros(6, device=self.args.device)
        with self.judging() as model:
            for numbers, counts in self.shares(len(self.held_out)):
                pairs = [self.held_out[number] for number in numbers]
                batch = self._prepare_inputs(self.data_collator([pair.columns() for pair in pairs]))
                with self.compute_loss_context_manager():
                    policy = _log_likelihoods(model, batch)
                    reference = untyped(self.ref_model or self.model, batch)
                chosen, rejected = (own - other for own, other in zip(policy, reference, strict=True))
                lengths = batch["completion_mask"].sum(1).chunk(2)
                weight = torch.tensor([pair.weight for pair in pairs], device=counts.device) * counts
                loss = preference_loss(chosen, rejected, lengths, self.settings)
                sums = (weight * loss, weight, counts * (chosen > rejected), counts, -counts * policy[0])
                total += torch.stack([*(each.sum() for each in sums), (counts * lengths[0]).sum()])
        loss, weight, right, count, nats, tokens = self.accelerator.reduce(total).tolist()
        return self.judged(loss / weight + self.settings.sft_weight * nats / tokens, right / count)

    def at_end(self, figure: str) -> float:
        """The mean of a logged figure over the last tenth of the steps."""
        values = [logs[figure] for logs in self.state.log_history if figure in logs]
        last = values[-max(1, len(values) // 10) :]
        return float(sum(last) / len(last))


def _columns(pairs: Sequence[EncodedPair]) -> Any:
    columns = [pair.columns() for pair in pairs]
    return dataset(**{name: [row[name] for row in columns] for name in columns[0]})


def _log_likelihoods(model: Any, batch: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """Of the chosen and of the rejected texts [N], in nats."""
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, IGNORED)
    told = model(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        labels=labels,
        use_cache=False,
        fused_lm_head=True,
    )
    found: tuple[Tensor, ...] = told.log_probs.sum(1).chunk(2)
    return found


def preference_loss(chosen: Tensor, rejected: Tensor, lengths: Sequence[Tensor], settings: DPOSettings) -> Tensor:
    """The loss of each pair [N] by what its texts gained in log-likelihood against the reference, without the SFT term.

    TRL has the same (`DPOTrainer._compute_loss`), but gives the mean of a batch only. `lengths` are the tokens of both.
    """
    beta, wrong = settings.beta, settings.label_smoothing
    if settings.loss in ("ipo", "sigmoid_norm"):
        chosen, rejected = chosen / lengths[0], rejected / lengths[1]
    gained = beta * (chosen - rejected)
    match settings.loss:
        case "hinge":
            return relu(1 - gained)
        case "ipo":
            return (chosen - rejected - 1 / (2 * beta)) ** 2
        case "robust":
            return (wrong * logsigmoid(-gained) - (1 - wrong) * logsigmoid(gained)) / (1 - 2 * wrong)
        case "apo_zero":
            return 1 - (beta * chosen).sigmoid() + (beta * rejected).sigmoid()
    return -logsigmoid(gained)


class _LearnedPreference(DataCollatorForPreference):
    """Pads pairs as TRL does, with the executor's tokens taken out of the mask of what is compared."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super().torch_call(examples)
        sides = [(row["prompt_ids"], row[side]) for side in ("chosen_learned", "rejected_learned") for row in examples]
        for mask, (prompt, learned) in zip(batch["completion_mask"], sides, strict=True):
            mask[len(prompt) : len(prompt) + len(learned)] = torch.tensor(learned)
        return batch
