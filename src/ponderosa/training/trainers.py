"""TRL's trainers as we use them: the policy's with our batches, the reward model's also with weighted pairs.

Imports trl: import it late.
"""

import math
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from transformers import EarlyStoppingCallback, TrainerCallback, TrainerControl, TrainerState
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import RewardTrainer
from trl.trainer.sft_trainer import SFTTrainer

from ponderosa.core import PonderosaError
from ponderosa.training.fitting import Fitted, dataset, trainer_arguments, world_size
from ponderosa.training.ppm import Evaluation, PackedPairs, PPMSettings
from ponderosa.training.tries import ROOT, positions, visible

_MODEL_INPUTS = ("input_ids", "attention_mask", "position_ids")
"""What the model takes of a batch; the rest says which tokens are compared."""


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
    """Weighted Bradley-Terry training on packed pairs; `evaluations` gathers the held-out figures."""

    def __init__(
        self, *, train: Sequence[PackedPairs], held_out: Sequence[PackedPairs], settings: PPMSettings, **kwargs: Any
    ) -> None:
        self.evaluations: list[Evaluation] = []
        # Weights are scaled once and for all to a mean of 1 a row: every pair then counts by what it weighs.
        mean = sum(sum(row.weight) for row in train) / len(train)
        columns = _columns(train, mean)
        super().__init__(
            settings=settings,
            lengths=[len(row.tokens) for row in train],
            train_dataset=columns,
            eval_dataset=_columns(sorted(held_out, key=lambda row: len(row.tokens)), mean) if held_out else None,
            data_collator=_collate,
            **kwargs,
        )
        self.settings: PPMSettings = settings
        model: Any = self.model
        model.config.reward_scale = settings.reward_scale
        _value_every_token(model)
        _check_packing(model, _collate([columns[0]]), train[0])
        if held_out:
            self.add_callback(_EvaluateAtEnd())
        if settings.patience and held_out:
            self.add_callback(EarlyStoppingCallback(early_stopping_patience=settings.patience))

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset  # tokenised and packed already

    def compute_loss(
        self, model: Any, inputs: dict[str, Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        self._total_train_tokens += int(self.accelerator.gather(inputs["tokens"].sum()).sum())
        self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
        chosen, rejected = self._logits(model, inputs)
        rows = len(inputs["input_ids"])
        return (inputs["weight"] * pair_loss(chosen, rejected, self.settings)).sum() / rows

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
                figures = torch.stack([batch["pair"], loss, chosen - rejected, batch["weight"]], 1)
                padded = self.accelerator.pad_across_processes(figures, pad_index=-1)
                gathered.append(self.accelerator.gather(padded))
        # The last batch may repeat rows to give every process as many: each pair counts once.
        by_pair = {int(figures[0]): figures for figures in torch.cat(gathered)}
        by_pair.pop(-1, None)
        _, loss, margin, weight = torch.stack(list(by_pair.values())).unbind(1)
        figure = Evaluation(
            self.state.global_step, float((weight * loss).sum() / weight.sum()), float((margin > 0).float().mean())
        )
        self.evaluations.append(figure)
        metrics = {"eval_loss": figure.loss, "eval_accuracy": figure.accuracy}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _logits(self, model: Any, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        values = model(**{name: inputs[name] for name in _MODEL_INPUTS})
        return values[inputs["row"], inputs["chosen"]], values[inputs["row"], inputs["rejected"]]


def _value_every_token(model: Any) -> None:
    """Has a sequence classifier of one label give the value at every token [B, L], not only at each row's last."""

    def forward(input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor) -> Tensor:
        hidden = model.base_model(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, use_cache=False
        ).last_hidden_state
        values: Tensor = model.score(hidden).squeeze(-1).float()
        return values

    model.forward = forward


class _EvaluateAtEnd(TrainerCallback):
    """Has the last step judged, whatever the interval."""

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> TrainerControl:
        control.should_evaluate = control.should_evaluate or state.global_step >= state.max_steps
        return control


def _check_packing(model: Any, inputs: dict[str, Tensor], row: PackedPairs) -> None:
    """Raises `PonderosaError` if a packed text is not computed as it is alone: tried out rather than listed."""
    places = [row.rejected[0]]  # the chosen one, first in the row, would not show it
    while row.parents[places[0]] != ROOT:
        places.insert(0, row.parents[places[0]])
    together = {name: inputs[name] for name in _MODEL_INPUTS}
    alone = {"input_ids": inputs["input_ids"][:, places]}
    model.eval()
    with torch.no_grad():
        packed, plain = (
            model.base_model(
                **{name: tensor.to(model.device) for name, tensor in given.items()}, use_cache=False
            ).last_hidden_state[0]
            for given in (together, alone)
        )
    model.train()
    if not torch.allclose(packed[places], plain, rtol=0.0, atol=0.02 * float(plain.abs().max())):
        raise PonderosaError(
            f"{type(model).__name__} does not keep to an attention mask of its own: no PPM can be trained from it"
        )


def _collate(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Rows padded on the right. Of each of their pairs [P]: its number, its row, its places and its weight."""
    length = max(len(row["tokens"]) for row in rows)
    shape = (len(rows), length)
    input_ids, position_ids = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    seen = torch.eye(length, dtype=torch.bool).repeat(len(rows), 1, 1)  # padding sees itself: softmax needs something
    for i, row in enumerate(rows):
        own = len(row["tokens"])
        input_ids[i, :own] = torch.tensor(row["tokens"])
        position_ids[i, :own] = torch.from_numpy(positions(row["parents"]))
        seen[i, :own, :own] = torch.from_numpy(visible(row["parents"]))
    pairs = {name: torch.tensor([x for row in rows for x in row[name]]) for name in ("pair", "chosen", "rejected")}
    return {
        "input_ids": input_ids,
        "position_ids": position_ids,
        "attention_mask": torch.zeros(seen.shape).masked_fill_(~seen, -torch.inf).unsqueeze(1),
        "tokens": torch.tensor([len(row["tokens"]) for row in rows]),
        "row": torch.tensor([i for i, row in enumerate(rows) for _ in row["pair"]]),
        "weight": torch.tensor([x for row in rows for x in row["weight"]]),
        **pairs,
    }


def _columns(rows: Sequence[PackedPairs], mean_weight: float) -> Any:
    starts = accumulate((len(row.weight) for row in rows), initial=0)
    return dataset(
        tokens=[row.tokens for row in rows],
        parents=[row.parents for row in rows],
        chosen=[row.chosen for row in rows],
        rejected=[row.rejected for row in rows],
        weight=[[weight / mean_weight for weight in row.weight] for row in rows],
        pair=[list(range(start, start + len(row.weight))) for start, row in zip(starts, rows, strict=False)],
    )
