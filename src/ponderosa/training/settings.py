"""What every training has in common: how to optimise, and how to report progress."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class LoRASettings(BaseModel):
    """Low-rank adapters in the place of whole weights (LoRA, arXiv 2106.09685): a fraction of the optimiser's memory.

    What is added to a matrix has `rank` and is scaled by `alpha` / `rank`. `target_modules` are those of the names in
    the model that get one, by default all linear layers but the head. `quantize` "4bit" holds the frozen weights in 4
    bits (QLoRA, arXiv 2305.14314), which takes a GPU and bitsandbytes. The checkpoint is that of the whole model, the
    adapters added to the start's weights; `keep_adapter` puts them beside it too, in its folder `adapter`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rank: int = Field(16, ge=1)
    alpha: float = Field(32, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    quantize: Literal["none", "4bit"] = "none"
    keep_adapter: bool = False


Reporter = Literal["tensorboard", "wandb", "trackio"]


class FitSettings(BaseModel):
    """How to fit a model to rows. The defaults are those of rStar-Math's policy training (arXiv 2501.04519, appendix).

    Training ends after `epochs`, or after `max_steps` steps if that is fewer (0: no limit). `batch_size` counts the
    rows of one optimiser step over all processes, `micro_batch_size` the most of one forward pass of one process: lower
    it when memory runs out. Where they and the processes do not divide evenly, a step has a few rows more or fewer.
    Rows longer than `max_length` tokens are left out and counted. `optimizer` "muon" orthogonalises the updates of the
    blocks' matrices (at `muon_learning_rate`) and leaves the rest to AdamW (at `learning_rate`). `warmup` is a share of
    all steps.
    `precision` is what the forward and backward passes compute in, "auto" bfloat16 where the device has instructions
    for it; weights and optimiser states are 32 bits wide. `save_precision` is that of the checkpoint. `attention` is
    transformers' name of an implementation: on a CPU "eager" is the fastest for rows of some hundred tokens, though
    its memory grows with the square of their length. `sharded` spreads weights, gradients and optimiser states over the
    processes if there are several (FSDP2), 16 bytes a parameter in all; without it every process has them whole. `lora`
    trains adapters.

    Every `save_steps` steps, and whenever `save_minutes` have passed (0: never), all that a training needs to go on is
    written beside its `out`; the same training, killed and started again, goes on from there. `report_to` says where
    loss, rate, gradient norm, tokens a second and evaluations are drawn: "auto" is TensorBoard where it is installed,
    its files in the folder `metrics` of the checkpoint; "wandb" and "trackio" may send them away.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

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
    sharded: bool = False
    lora: LoRASettings | None = None
    save_steps: int = Field(0, ge=0)
    save_minutes: float = Field(20, ge=0)
    report_to: Literal["auto"] | tuple[Reporter, ...] = "auto"

    @model_validator(mode="after")
    def _what_is_sharded_may_be(self) -> "FitSettings":
        if self.sharded and (why := self.unshardable()):
            raise ValueError(f"`sharded`: {why}")
        return self

    @model_validator(mode="after")
    def _muon_sees_whole_matrices(self) -> "FitSettings":
        if self.lora and self.optimizer == "muon":
            raise ValueError("muon orthogonalises whole matrices, not adapters: take adamw, or leave `lora` out")
        return self

    def unshardable(self, *, weights: bool = True) -> str | None:
        """Why these settings cannot be had where optimiser states, and `weights` too, are spread over processes, and
        what to do about it; None where they can.
        """
        if self.optimizer == "muon":
            return "muon orthogonalises whole matrices, not parts of them: take adamw, or do not spread them"
        return None

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that make the training what it is, as plain values: not when it saves, nor whom it tells."""
        return self.model_dump(mode="json", exclude={"save_steps", "save_minutes", "report_to"})

    @property
    def steps_together(self) -> int:
        """The steps that share what is drawn for them: a state that is saved between two of them could not go on."""
        return 1

    def epochs_of(self, rows: int) -> float:
        """The epochs over so many rows that keep to both limits, where batches are full."""
        limit = self.max_steps * self.batch_size / max(rows, 1)
        return min(self.epochs, limit) if self.max_steps else self.epochs


class HeldOutSettings(FitSettings):
    """How to judge a model while it is trained: on the share `held_out` of the rows, `evaluations` times an epoch.

    With `keep_best` the checkpoint is the best by `select_by`, else the last; training ends early after `patience`
    evaluations without a better one (0: never).
    """

    held_out: float = Field(0.0, ge=0, lt=1)
    evaluations: int = Field(4, ge=1)
    keep_best: bool = False
    select_by: Literal["loss", "accuracy"] = "loss"
    patience: int = Field(0, ge=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class FitReport:
    """What every fit comes to. `tokens` counts all that went through the model, every epoch anew, and losses are means
    over the first and the last tenth of the steps.
    """

    steps: int
    tokens: int
    tokens_per_s: float
    seconds: float
    loss_start: float
    loss_end: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is held out, after `step`: the mean loss, and an accuracy.

    For a policy they are of tokens: nats each, and the share that is the likeliest. For preference pairs: the loss of a
    pair, and the share whose better side has the higher value (or implicit reward). For labels: the share on whose side
    of 0 the value is. For a student: its divergence from the teacher, nats a token, and no accuracy. For rollouts: the
    mean reward, negated, and the share that is right, where that is rewarded.
    """

    step: int
    loss: float
    accuracy: float | None = None


class LauncherSettings(BaseModel):
    """How training processes are started: by a fork server of ours, or by `accelerate launch`.

    `accelerate` holds what accelerate's configuration file does (as `accelerate config` asks for it), or is the path of
    one. What it leaves out is: one machine, as many processes as there are trainers, FSDP2 where there is an
    `fsdp_config`, DeepSpeed where there is a `deepspeed_config`. A value `$NAME` is read from the environment, so that
    several machines can share the settings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    accelerate: dict[str, Any] | Path | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is. `tokens` counts those of all processes so far, padding excluded; `loss` is the step's.

    `figures` are whatever else is measured, by name, and `note` what a person should see of them; where there is none,
    the loss.
    """

    step: int
    steps: int
    loss: float
    tokens: int
    tokens_per_s: float
    seconds_left: float
    note: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)


OnProgress = Callable[[Progress], None]
