"""What every training has in common: how to optimise, and how to report progress."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class FitSettings(BaseModel):
    """How to fit a model to rows. The defaults are those of rStar-Math's policy training (arXiv 2501.04519, appendix).

    Training ends after `epochs`, or after `max_steps` steps if that is fewer (0: no limit). `batch_size` counts the
    rows of one optimiser step over all processes, `micro_batch_size` those of one forward pass of one process: lower it
    when memory runs out. Rows longer than `max_length` tokens are
    left out and counted. `optimizer` "muon" orthogonalises the updates of the blocks' matrices (at
    `muon_learning_rate`) and leaves the rest to AdamW (at `learning_rate`). `warmup` is a share of all steps.
    `precision` is what the forward and backward passes compute in, "auto" bfloat16 where the device has instructions
    for it; weights and optimiser states are 32 bits wide. `save_precision` is that of the checkpoint. `attention` is
    transformers' name of an implementation: on a CPU "eager" is the fastest for rows of some hundred tokens, though
    its memory grows with the square of their length.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: float = Field(2, gt=0)
    max_steps: int = Field(0, ge=0)
    batch_size: int = Field(128, ge=1)
    micro_batch_size: int = Field(16, ge=1)
    max_length: int = Field(4096, ge=2)
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = Field(7e-6, gt=0)
    muon_learning_rate: float = Field(0.02, gt=0)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: float = Field(0.0, ge=0, lt=1)
    weight_decay: float = Field(0.1, ge=0)
    adam_beta2: float = Field(0.999, gt=0, lt=1)
    max_grad_norm: float = Field(1.0, gt=0)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    save_precision: Literal["float32", "bfloat16"] = "bfloat16"
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    gradient_checkpointing: bool = False

    def epochs_of(self, rows: int) -> float:
        """The epochs over so many rows that keep to both limits."""
        limit = self.max_steps * self.batch_size / max(rows, 1)
        return min(self.epochs, limit) if self.max_steps else self.epochs


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is. `tokens` counts those of all processes so far, padding excluded; `loss` is the step's."""

    step: int
    steps: int
    loss: float
    tokens: int
    tokens_per_s: float
    seconds_left: float
