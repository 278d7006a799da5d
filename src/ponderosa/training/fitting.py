"""What training a policy and training a preference model share. Imports torch and transformers: import it late."""

import errno
import logging
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
from transformers import (
    AutoTokenizer,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from ponderosa.core import PonderosaError
from ponderosa.training.batches import SimilarLengths
from ponderosa.training.optimizers import muon_adamw
from ponderosa.training.settings import FitSettings, Progress

OnProgress = Callable[[Progress], None]


def world_size() -> int:
    """How many processes train together, as their launcher (ours, torchrun, accelerate) tells each of them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the process that reports and saves."""
    return int(os.environ.get("RANK", "0")) == 0


def fast_bfloat16() -> bool:
    """Whether the device has instructions for bfloat16; where it is emulated, float32 is faster."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def trainer_arguments(settings: FitSettings, seed: int, scratch: Path, rows: int) -> dict[str, Any]:
    """The keyword arguments of transformers' `TrainingArguments` (and of TRL's configurations) for so many rows."""
    on_cpu = not torch.cuda.is_available()
    share = max(1, settings.batch_size // world_size())  # of a batch, for this process
    accumulation = math.ceil(share / settings.micro_batch_size)
    return {
        "output_dir": str(scratch),
        "num_train_epochs": settings.epochs_of(rows),
        "per_device_train_batch_size": math.ceil(share / accumulation),
        "per_device_eval_batch_size": settings.micro_batch_size,
        "gradient_accumulation_steps": accumulation,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "constant_with_warmup" if settings.schedule == "constant" else settings.schedule,
        "warmup_steps": settings.warmup,
        "weight_decay": settings.weight_decay,
        "adam_beta2": settings.adam_beta2,
        "max_grad_norm": settings.max_grad_norm,
        "bf16": settings.precision == "bfloat16" or (settings.precision == "auto" and fast_bfloat16()),
        "gradient_checkpointing": settings.gradient_checkpointing,
        "seed": seed % 2**32,  # the widest that NumPy takes
        "use_cpu": on_cpu,
        "ddp_backend": "gloo" if on_cpu and world_size() > 1 else None,
        "ddp_find_unused_parameters": False,
        "ddp_broadcast_buffers": False,
        "dataloader_pin_memory": not on_cpu,
        "remove_unused_columns": False,
        "model_init_kwargs": {"attn_implementation": settings.attention},
        "max_length": None,  # what is too long was left out before
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def dataset(**columns: Sequence[Any]) -> datasets.Dataset:
    """Rows as TRL takes them."""
    return datasets.Dataset.from_dict(columns)


class Fitted(Trainer):
    """A trainer with the optimiser of `settings` and batches of rows of similar length; mixed into TRL's trainers."""

    def __init__(self, *args: Any, settings: FitSettings, lengths: Sequence[int], **kwargs: Any) -> None:
        self.settings = settings
        self.lengths = lengths
        super().__init__(*args, **kwargs)
        self.remove_callback(PrinterCallback)

    def _send_telemetry(self) -> None:
        """Nothing leaves the machine."""

    def _get_train_sampler(self, train_dataset: Any = None) -> SimilarLengths:
        chunk = self.args.per_device_train_batch_size * self.args.world_size
        return SimilarLengths(self.lengths, chunk, self.args.seed)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        if self.optimizer is None and self.settings.optimizer == "muon":
            model = model or self.model
            self.optimizer = muon_adamw(
                model,
                learning_rate=self.settings.learning_rate,
                muon_learning_rate=self.settings.muon_learning_rate,
                weight_decay=self.settings.weight_decay,
                adam_beta2=self.settings.adam_beta2,
                decayed=self.get_decay_parameter_names(model),
            )
        return super().create_optimizer(model)


@dataclass
class Fit:
    """What came of a fit. Losses are means over the first and the last tenth of the steps."""

    steps: int
    tokens: int
    seconds: float
    losses: list[float] = field(repr=False)

    @property
    def loss_start(self) -> float:
        return _mean(self.losses[: max(1, len(self.losses) // 10)])

    @property
    def loss_end(self) -> float:
        return _mean(self.losses[-max(1, len(self.losses) // 10) :])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


class _Watch(TrainerCallback):
    """Reports progress and stops at a loss that is not a number. TRL logs the tokens so far as `num_tokens`."""

    def __init__(self, on_progress: OnProgress | None) -> None:
        self.on_progress = on_progress if is_main() else None
        self.losses: list[float] = []
        self.tokens = 0
        self.started = time.monotonic()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.started = time.monotonic()

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        logs = kwargs["logs"]
        loss = logs.get("loss")
        if loss is None:
            return
        if not math.isfinite(loss):
            raise PonderosaError(
                f"the loss is {loss} at step {state.global_step} of {state.max_steps}: training diverged; "
                f"lower `learning_rate` (or `muon_learning_rate`), or warm up over more steps (`warmup`)"
            )
        self.losses.append(loss)
        self.tokens = int(logs["num_tokens"])
        if self.on_progress:
            elapsed = time.monotonic() - self.started
            self.on_progress(
                Progress(
                    step=state.global_step,
                    steps=state.max_steps,
                    loss=loss,
                    tokens=self.tokens,
                    tokens_per_s=self.tokens / elapsed,
                    seconds_left=elapsed / state.global_step * (state.max_steps - state.global_step),
                )
            )


def fit(trainer: Trainer, on_progress: OnProgress | None) -> Fit:
    """Runs `trainer`. Raises `PonderosaError` when the loss diverges."""
    watch = _Watch(on_progress)
    trainer.add_callback(watch)
    trainer.train()
    if not watch.losses:
        raise PonderosaError("training took no step: give it more epochs")
    return Fit(trainer.state.global_step, watch.tokens, time.monotonic() - watch.started, watch.losses)


def save(trainer: Trainer, settings: FitSettings, tokenizer: Any, folder: Path) -> None:
    """Writes a plain checkpoint: configuration, weights in `settings.save_precision`, tokenizer.

    Every process must call it, as weights may be sharded over them; the main one writes.
    """
    model = trainer.accelerator.unwrap_model(trainer.model).to(getattr(torch, settings.save_precision))
    weights = trainer.accelerator.get_state_dict(trainer.model)
    if is_main():
        model.save_pretrained(folder, state_dict=weights)
        tokenizer.save_pretrained(folder)


def load_tokenizer(checkpoint: str | Path) -> Any:
    """The tokenizer of `checkpoint`. Raises `PonderosaError` if there is none, or it has no end-of-text token."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(checkpoint))
    except (OSError, ValueError) as error:
        if not Path(checkpoint).is_dir():
            raise PonderosaError(f"there is no checkpoint at {checkpoint}") from error
        raise PonderosaError(f"cannot load a tokenizer from {checkpoint}: {_first_line(error)}") from error
    if tokenizer.eos_token_id is None:
        raise PonderosaError(f"the tokenizer of {checkpoint} has no end-of-text token (`eos_token`): give it one")
    return tokenizer


@contextmanager
def training_environment(settings: FitSettings, checkpoint: str | Path) -> Iterator[None]:
    """Keeps the libraries quiet, and turns what they raise into errors that a user can act on."""
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    levels = {name: logging.getLogger(name).level for name in ("transformers", "trl", "accelerate", "datasets")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except PonderosaError:
        raise
    except Exception as error:  # the libraries raise many kinds; those not known to be the user's go on as they are
        problem = _actionable(error, settings, checkpoint)
        if problem is None:
            raise
        raise problem from error
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _actionable(error: Exception, settings: FitSettings, checkpoint: str | Path) -> PonderosaError | None:
    text = str(error).lower()
    if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
        return PonderosaError(
            f"training ran out of memory: lower `micro_batch_size` (now {settings.micro_batch_size}) or `max_length` "
            f"(now {settings.max_length}), or set `gradient_checkpointing`"
        )
    if "no space left" in text or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return PonderosaError("the disk is full: free some space, then run the same command again")
    if isinstance(error, OSError | ValueError) and str(checkpoint) in str(error):
        return PonderosaError(f"cannot load the checkpoint {checkpoint}: {_first_line(error)}")
    return None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
