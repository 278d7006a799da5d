"""TRL's trainer of reward models on packed texts: one base, and a class for each loss. Imports trl: import it late."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Generic, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import RewardTrainer

from ponderosa.core import PonderosaError
from ponderosa.training.arguments import held_out_arguments, trainer_arguments
from ponderosa.training.calibration import Calibration, of_labels, of_pairs
from ponderosa.training.fitted import Fitted, dataset
from ponderosa.training.packing import M, Packed
from ponderosa.training.ppm import Pair, PPMSettings
from ponderosa.training.reward_models import RewardModelSettings
from ponderosa.training.tries import positions, text_places, visible
from ponderosa.training.values import LabelledText, ValueSettings

_MODEL_INPUTS = ("input_ids", "attention_mask", "position_ids")
"""What the model takes of a batch; the rest says which tokens are read, and what is made of them."""


class Judged(NamedTuple):
    """The loss of each item [N], unweighted, what the model says of it [N], and whether that is right [N]."""

    loss: Tensor
    said: Tensor
    right: Tensor


def reward_config(
    settings: RewardModelSettings, seed: int, scratch: Path, *, rows: int, evaluate: bool
) -> RewardConfig:
    """The trainer's configuration, with or without items to judge it by."""
    arguments = trainer_arguments(settings, seed, scratch)
    return RewardConfig(**arguments, **(held_out_arguments(settings, arguments, rows) if evaluate else {}))


class PackedTrainer(Fitted, RewardTrainer, ABC, Generic[M]):
    """Training on packed texts.

    An item is what a loss is of. A subclass says in `items` which a row has, by the names of their figures (`weight`
    among them; the others are its own), and in `losses` what the model's values make of them.
    """

    task = "SEQ_CLS"

    def __init__(
        self, *, train: Sequence[Packed[M]], held_out: Sequence[Packed[M]], settings: RewardModelSettings, **kwargs: Any
    ) -> None:
        # Weights are scaled once and for all to a mean of 1 a row: every item then counts by what it weighs.
        mean = sum(sum(self.items(row)["weight"]) for row in train) / len(train)
        columns = self._columns(train, mean)
        self._held_out = sorted(held_out, key=lambda row: len(row.tokens))
        super().__init__(
            settings=settings,
            lengths=[len(row.tokens) for row in train],
            train_dataset=columns,
            eval_dataset=self._columns(self._held_out, mean) if held_out else None,
            data_collator=_collate,
            **kwargs,
        )
        model: Any = self.model
        model.config.reward_scale = settings.reward_scale
        _value_every_token(model)
        _check_packing(model, columns, train)

    @abstractmethod
    def items(self, row: Packed[M]) -> dict[str, list[Any]]:
        """The figures of the row's items, each a list as long as there are items."""

    @abstractmethod
    def losses(self, values: Tensor, inputs: dict[str, Tensor]) -> Judged:
        """What comes of the logits at every token [B, L]; `inputs` has each item's `row` [N] and figures."""

    @abstractmethod
    def measured(self, members: Sequence[M], said: Sequence[float]) -> Calibration:
        """What the model is worth, by what it says of all items of `members`, in order."""

    def calibration(self) -> Calibration:
        """What the model is worth now on what was held out."""
        said = self._judge_held_out()[:, 2]
        return self.measured([member for row in self._held_out for member in row.members], said.tolist())

    def _columns(self, rows: Sequence[Packed[M]], mean_weight: float) -> Any:
        items = [self.items(row) for row in rows]
        starts = accumulate((len(one["weight"]) for one in items), initial=0)
        figures = {name: [one[name] for one in items] for name in items[0] if name != "weight"}
        return dataset(
            tokens=[row.tokens for row in rows],
            parents=[row.parents for row in rows],
            weight=[[weight / mean_weight for weight in one["weight"]] for one in items],
            item=[list(range(start, start + len(one["weight"]))) for start, one in zip(starts, items, strict=False)],
            **figures,
        )

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        return dataset  # tokenised and packed already

    def compute_loss(
        self, model: Any, inputs: dict[str, Tensor], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        self._total_train_tokens += int(self.accelerator.gather(inputs["tokens"].sum()).sum())
        self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
        loss = self._losses(model, inputs).loss
        rows = len(inputs["input_ids"])
        return (inputs["weight"] * loss).sum() / rows

    def evaluate(self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval") -> Any:
        """Loss and accuracy over all held-out items, exact whatever the batches and processes."""
        _, loss, _, right, weight = self._judge_held_out().unbind(1)
        return self.judged(float((weight * loss).sum() / weight.sum()), float(right.float().mean()))

    def _judge_held_out(self) -> Tensor:
        """Of each held-out item, in order, its number, its loss, what is said of it, whether that is right, its weight
        [N, 5].
        """
        gathered = []
        with self.judging() as model:
            for batch in self.get_eval_dataloader():
                with self.compute_loss_context_manager():
                    judged = self._losses(model, batch)
                figures = torch.stack([batch["item"], *judged, batch["weight"]], 1)
                padded = self.accelerator.pad_across_processes(figures, pad_index=-1)
                gathered.append(self.accelerator.gather(padded))
        # The last batch may repeat rows to give every process as many: each item counts once.
        by_item = {int(figures[0]): figures for figures in torch.cat(gathered)}
        by_item.pop(-1, None)
        return torch.stack([by_item[item] for item in sorted(by_item)])

    def _losses(self, model: Any, inputs: dict[str, Tensor]) -> Judged:
        return self.losses(model(**{name: inputs[name] for name in _MODEL_INPUTS}), inputs)


def pair_loss(chosen: Tensor, rejected: Tensor, settings: PPMSettings) -> Tensor:
    """The Bradley-Terry loss of each pair of logits, shape (pairs,), unweighted (rStar-Math, section 3.3)."""
    if settings.squash == "tanh":
        chosen, rejected = chosen.tanh(), rejected.tanh()
    loss = -logsigmoid(settings.sharpness * (chosen - rejected))
    if settings.centering:
        loss = loss + settings.centering * (chosen + rejected) ** 2
    return loss


class PairTrainer(PackedTrainer[Pair]):
    """Weighted Bradley-Terry training; an item is a pair."""

    settings: PPMSettings

    def items(self, row: Packed[Pair]) -> dict[str, list[Any]]:
        return {
            "chosen": [chosen for chosen, _ in row.ends],
            "rejected": [rejected for _, rejected in row.ends],
            "weight": [pair.weight for pair in row.members],
        }

    def losses(self, values: Tensor, inputs: dict[str, Tensor]) -> Judged:
        chosen, rejected = (values[inputs["row"], inputs[side]] for side in ("chosen", "rejected"))
        squashed = self.settings.squash == "tanh"
        said = chosen.tanh() - rejected.tanh() if squashed else chosen - rejected
        return Judged(pair_loss(chosen, rejected, self.settings), said, chosen > rejected)

    def measured(self, members: Sequence[Pair], said: Sequence[float]) -> Calibration:
        return of_pairs(members, said, self.settings)


def value_loss(logits: Tensor, targets: Tensor, settings: ValueSettings) -> Tensor:
    """The loss of each logit against its target in [-1, 1], shape (labels,); a score is tanh(logit / scale).

    Cross-entropy is that of p = (target + 1) / 2 (Math-Shepherd, equation 2, whose targets may be soft): since
    (tanh(x) + 1) / 2 = sigmoid(2 x), the model's p is sigmoid(2 logit / scale).
    """
    scaled = logits / settings.reward_scale
    if settings.loss == "squares":
        return (scaled.tanh() - targets) ** 2
    return binary_cross_entropy_with_logits(2 * scaled, (targets + 1) / 2, reduction="none")


class ValueTrainer(PackedTrainer[LabelledText]):
    """Regression of step values on targets; an item is a label."""

    settings: ValueSettings

    def items(self, row: Packed[LabelledText]) -> dict[str, list[Any]]:
        places = [text_places(row.parents, end) for (end,) in row.ends]
        read = [own[i] for text, own in zip(row.members, places, strict=True) for i in text.places]
        targets = [target for text in row.members for target in text.targets]
        return {"place": read, "target": targets, "weight": [1.0] * len(targets)}

    def losses(self, values: Tensor, inputs: dict[str, Tensor]) -> Judged:
        logits = values[inputs["row"], inputs["place"]]
        right = (logits > 0) == (inputs["target"] > 0)
        return Judged(value_loss(logits, inputs["target"], self.settings), logits, right)

    def measured(self, members: Sequence[LabelledText], said: Sequence[float]) -> Calibration:
        return of_labels(members, said, self.settings)


def _value_every_token(model: Any) -> None:
    """Has a sequence classifier of one label give the value at every token [B, L], not only at each row's last."""

    inner = _without_adapters(model)

    def forward(input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor) -> Tensor:
        hidden = inner.base_model(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, use_cache=False
        ).last_hidden_state
        values: Tensor = inner.score(hidden).squeeze(-1).float()
        return values

    model.forward = forward


def _without_adapters(model: Any) -> Any:
    """The classifier itself, whose layers may have adapters."""
    return model.get_base_model() if hasattr(model, "peft_config") else model


def _check_packing(model: Any, columns: Any, rows: Sequence[Packed[Any]]) -> None:
    """Raises `PonderosaError` if a packed text is not computed as it is alone: tried out rather than listed."""
    last = [text_places(row.parents, len(row.parents) - 1) for row in rows]
    # A text that comes after what is not of it; where there is none, nothing is packed.
    tried = next((i for i, row in enumerate(rows) if len(last[i]) < len(row.parents)), 0)
    places, inputs = last[tried], _collate([columns[tried]])
    together = {name: inputs[name] for name in _MODEL_INPUTS}
    alone = {"input_ids": inputs["input_ids"][:, places]}
    inner = _without_adapters(model)
    model.eval()
    with torch.no_grad():
        packed, plain = (
            inner.base_model(
                **{name: tensor.to(model.device) for name, tensor in given.items()}, use_cache=False
            ).last_hidden_state[0]
            for given in (together, alone)
        )
    model.train()
    if not torch.allclose(packed[places], plain, rtol=0.0, atol=0.02 * float(plain.abs().max())):
        raise PonderosaError(
            f"{type(model).__name__} does not keep to an attention mask of its own: no reward model can be trained "
            "from it"
        )


def _collate(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Rows padded on the right. Of each of their items [N]: its number, its row, and its figures."""
    length = max(len(row["tokens"]) for row in rows)
    shape = (len(rows), length)
    input_ids, position_ids = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    seen = torch.eye(length, dtype=torch.bool).repeat(len(rows), 1, 1)  # padding sees itself: softmax needs something
    for i, row in enumerate(rows):
        own = len(row["tokens"])
        input_ids[i, :own] = torch.tensor(row["tokens"])
        position_ids[i, :own] = torch.from_numpy(positions(row["parents"]))
        seen[i, :own, :own] = torch.from_numpy(visible(row["parents"]))
    figures = [name for name in rows[0] if name not in ("tokens", "parents")]
    return {
        "input_ids": input_ids,
        "position_ids": position_ids,
        "attention_mask": torch.zeros(seen.shape).masked_fill_(~seen, -torch.inf).unsqueeze(1),
        "tokens": torch.tensor([len(row["tokens"]) for row in rows]),
        "row": torch.tensor([i for i, row in enumerate(rows) for _ in row["item"]]),
        **{name: torch.tensor([figure for row in rows for figure in row[name]]) for name in figures},
    }
