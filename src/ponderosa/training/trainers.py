"""TRL's trainers of policies as we use them, with our batches. Imports trl: import it late."""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from trl.trainer.sft_trainer import SFTTrainer

from ponderosa.training.encoding import IGNORED
from ponderosa.training.fitted import Fitted
from ponderosa.training.settings import FitSettings


class PolicyTrainer(Fitted, SFTTrainer):
    """Supervised fine-tuning on tokens and labels, of rows one by one or packed (then with `seq_lengths`)."""

    def __init__(self, *, settings: FitSettings, **kwargs: Any) -> None:
        super().__init__(settings=settings, **kwargs)
        flat = settings.attention == "flash_attention_2"
        alone, packed = self.data_collator, partial(_collate_packed, flat=flat)
        self.data_collator = lambda rows: (packed if "seq_lengths" in rows[0] else alone)(rows)

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        before, tokens = self._total_train_tokens, inputs.pop("tokens", None)
        untyped: Any = super().compute_loss
        loss = untyped(model, inputs, *args, **kwargs)
        if tokens is not None:  # TRL would count padding
            self._total_train_tokens = before + int(self.accelerator.gather(tokens).sum())
            self._metrics["train"]["num_tokens"] = [self._total_train_tokens]
        return loss

    def evaluate(self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval") -> Any:
        """The loss of a token, and the share that is the likeliest, over all held-out rows, whatever the batches."""
        total = torch.zeros(3, device=self.args.device)
        with self.judging() as model:
            for batch in self.get_eval_dataloader():
                with self.compute_loss_context_manager():
                    told = model(**batch, fused_lm_head=True)
                of_rows = torch.stack([-told.log_probs.sum(1), told.is_top1.sum(1), told.label_mask.sum(1)], 1).float()
                total += self.accelerator.gather_for_metrics(of_rows).sum(0)
        loss, right, tokens = total.tolist()
        return self.judged(loss / max(tokens, 1), right / max(tokens, 1))


def _collate_packed(rows: list[dict[str, Any]], flat: bool) -> dict[str, Tensor]:
    """Packed sequences, padded on the right, or end to end in one where `flat`.

    There is no attention mask: where positions begin anew so does a text, and transformers keeps it from seeing what
    stands before; each padding token is a text of its own.
    """
    ids = [torch.tensor(row["input_ids"]) for row in rows]
    places = [torch.cat([torch.arange(length) for length in row["seq_lengths"]]) for row in rows]
    labels = [torch.tensor(row["labels"]).masked_fill_(at == 0, IGNORED) for row, at in zip(rows, places, strict=True)]
    tokens = torch.tensor([sum(map(len, ids))])
    if flat:
        ids, places, labels = [torch.cat(ids)], [torch.cat(places)], [torch.cat(labels)]
    return {
        "input_ids": pad_sequence(ids, batch_first=True),
        "position_ids": pad_sequence(places, batch_first=True),
        "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORED),
        "tokens": tokens,
    }
