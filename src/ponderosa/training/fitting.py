"""What all trainings share: arguments, batches, progress, evaluation, and going on. Imports torch: import it late."""

import importlib.util
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import torch
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from ponderosa.core import PonderosaError
from ponderosa.training import adapters
from ponderosa.training.batches import SimilarLengths, begin_epoch
from ponderosa.training.checkpoint import metrics_of
from ponderosa.training.environment import (
    check_policy,
    is_main,
    load_tokenizer,
    training_environment,
    vocabulary_of,
    world_size,
)
from ponderosa.training.optimizers import muon_adamw
from ponderosa.training.settings import Evaluation, FitSettings, HeldOutSettings, OnProgress, Progress, Reporter
from ponderosa.training.states import States

__all__ = [
    "Fit",
    "Fitted",
    "check_policy",
    "dataset",
    "fit",
    "held_out_arguments",
    "is_main",
    "load_tokenizer",
    "save",
    "trainer_arguments",
    "training_environment",
    "vocabulary_of",
    "wait_for_all",
    "world_size",
]


def fast_bfloat16() -> bool:
    """Whether the device has instructions for bfloat16; where it is emulated, float32 is faster."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def trainer_arguments(settings: FitSettings, seed: int, scratch: Path) -> dict[str, Any]:
    """The keyword arguments of transformers' `TrainingArguments` (and of TRL's configurations).

    That `max_steps` are not exceeded is for `Fitted` to see to.
    """
    on_cpu = not torch.cuda.is_available()
    share = max(1, settings.batch_size // world_size())  # of a batch, for this process
    accumulation = math.ceil(share / settings.micro_batch_size)
    by_accelerate = os.environ.get("ACCELERATE_USE_FSDP") == "true"  # its own configuration says how to shard
    sharded = settings.sharded and world_size() > 1 and not by_accelerate
    if by_accelerate and settings.gradient_checkpointing:
        os.environ["FSDP_ACTIVATION_CHECKPOINTING"] = "true"
    bfloat16 = settings.precision == "bfloat16" or (settings.precision == "auto" and fast_bfloat16())
    return {
        "output_dir": str(scratch),
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": math.ceil(share / accumulation),
        "per_device_eval_batch_size": settings.micro_batch_size,
        "gradient_accumulation_steps": accumulation,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "constant_with_warmup" if settings.schedule == "constant" else settings.schedule,
        "warmup_steps": settings.warmup,
        "weight_decay": settings.weight_decay,
        "adam_beta2": settings.adam_beta2,
        "max_grad_norm": settings.max_grad_norm,
        "bf16": bfloat16,
        "gradient_checkpointing": settings.gradient_checkpointing and not (sharded or by_accelerate),
        "fsdp": sharded,
        "fsdp_config": {"activation_checkpointing": settings.gradient_checkpointing} if sharded else None,
        "seed": seed % 2**32,  # the widest that NumPy takes
        "use_cpu": on_cpu,
        "ddp_backend": "gloo" if on_cpu and world_size() > 1 else None,
        "ddp_find_unused_parameters": False,
        "ddp_broadcast_buffers": False,
        "dataloader_pin_memory": not on_cpu,
        "remove_unused_columns": False,
        "model_init_kwargs": {"attn_implementation": settings.attention}
        | (adapters.model_arguments(settings.lora, bfloat16) if settings.lora else {}),
        "max_length": None,  # what is too long was left out before
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",  # `States` says when
        "report_to": [name for name in reporters(settings) if name != "tensorboard"] or "none",
        "disable_tqdm": True,
    }


def reporters(settings: FitSettings) -> tuple[Reporter, ...]:
    """To whom metrics go. Raises `PonderosaError` for one that was asked for and is not installed."""
    if settings.report_to == "auto":
        return ("tensorboard",) if importlib.util.find_spec("tensorboard") else ()
    for name in settings.report_to:
        if importlib.util.find_spec(name) is None:
            raise PonderosaError(f"`report_to` names {name}, which is not installed: `pip install {name}`")
    return settings.report_to


def held_out_arguments(settings: HeldOutSettings, arguments: dict[str, Any], rows: int) -> dict[str, Any]:
    """What to add to a trainer's `arguments` for so many rows where some are held out to judge it."""
    batch = arguments["per_device_train_batch_size"] * arguments["gradient_accumulation_steps"] * world_size()
    return {
        "eval_strategy": "steps",
        "eval_steps": max(1, math.ceil(rows / batch) // settings.evaluations),
        "metric_for_best_model": f"eval_{settings.select_by}",
        "greater_is_better": settings.select_by == "accuracy",
    }


def dataset(**columns: Sequence[Any]) -> datasets.Dataset:
    """Rows as TRL takes them."""
    return datasets.Dataset.from_dict(columns)


class Fitted(Trainer):
    """A trainer with the optimiser and adapters of `settings`, and batches of rows of similar length.

    Mixed into TRL's trainers. `evaluations` gathers what `judged` was told.
    """

    task: adapters.Task = "CAUSAL_LM"
    _metrics: Any
    """TRL's, of what it logs; `num_tokens` are those of all steps so far."""

    def __init__(self, *args: Any, settings: FitSettings, lengths: Sequence[int], **kwargs: Any) -> None:
        self.settings = settings
        self.lengths = lengths
        self.evaluations: list[Evaluation] = []
        self._total_train_tokens = 0
        self._logged = (time.monotonic(), 0)
        if settings.lora:
            kwargs["peft_config"] = adapters.peft_config(settings.lora, self.task)
        super().__init__(*args, **kwargs)
        self.remove_callback(PrinterCallback)

    def _send_telemetry(self) -> None:
        """Nothing leaves the machine."""

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """The checkpoint gets a card of ours."""

    def set_initial_training_values(self, *args: Any) -> tuple[Any, ...]:
        """Transformers' count of what is to come, the last of it the steps: those of all epochs, or `max_steps`."""
        *counts, steps = super().set_initial_training_values(*args)
        return *counts, min(steps, self.settings.max_steps or steps)

    def _get_train_sampler(self, train_dataset: Any = None) -> SimilarLengths:
        chunk = self.args.per_device_train_batch_size * self.args.world_size
        return SimilarLengths(self.lengths, chunk, self.args.seed)

    def create_scheduler(self, num_training_steps: int, *args: Any, **kwargs: Any) -> Any:
        # Transformers rounds up, so that of few steps all would warm up, and the first of these is at rate 0.
        warmup = math.ceil(self.settings.warmup * num_training_steps)
        self.args.warmup_steps = min(warmup, num_training_steps - 1)
        return super().create_scheduler(num_training_steps, *args, **kwargs)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, *args: Any) -> None:
        with _readable(resume_from_checkpoint):
            super()._load_from_checkpoint(resume_from_checkpoint, *args)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with _readable(checkpoint):
            super()._load_optimizer_and_scheduler(checkpoint)

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

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the speed of the steps since the last ones that were logged."""
        if "loss" in logs:
            (before, then), now = self._logged, time.monotonic()
            tokens = int(self._metrics["train"].get("num_tokens", [then])[-1])
            self._logged = (now, tokens)
            logs["tokens_per_s"] = (tokens - then) / max(now - before, 1e-9)
        super().log(logs, start_time)

    def judged(self, loss: float, accuracy: float) -> dict[str, float]:
        """Takes down what an evaluation found, and returns it as transformers calls it."""
        self.evaluations.append(Evaluation(self.state.global_step, loss, accuracy))
        metrics = {"eval_loss": loss, "eval_accuracy": accuracy}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    @property
    def kept(self) -> Evaluation | None:
        """The evaluation of the weights that are kept."""
        if isinstance(self.settings, HeldOutSettings) and self.settings.keep_best:
            return next((e for e in self.evaluations if e.step == self.state.best_global_step), None)
        return self.evaluations[-1] if self.evaluations else None

    def goes_on(self) -> None:
        """Takes up the counts of a training whose state was loaded."""
        history = self.state.log_history
        counts = [int(entry["num_tokens"]) for entry in history if "num_tokens" in entry]
        self._total_train_tokens = counts[-1] if counts else 0
        self._logged = (time.monotonic(), self._total_train_tokens)
        self.evaluations = [
            Evaluation(int(entry["step"]), entry["eval_loss"], entry["eval_accuracy"])
            for entry in history
            if "eval_loss" in entry and "eval_accuracy" in entry
        ]


@contextmanager
def _readable(state: str | None) -> Iterator[None]:
    """Says of a saved state that cannot be read what to do about it."""
    try:
        yield
    except Exception as error:  # torch, pickle and safetensors raise many kinds
        if state is None:
            raise
        raise PonderosaError(
            f"the saved state {state} cannot be read ({str(error).splitlines()[0]}): remove it to begin anew"
        ) from error


def wait_for_all(args: TrainingArguments) -> None:
    """Returns when all processes have come here: what the main one did on disk, the others see."""
    if world_size() > 1:
        state: Any = args.distributed_state
        state.wait_for_everyone()


@dataclass
class Fit:
    """What came of a fit, all parts of it counted where it was killed and went on.

    Losses are means over the first and the last tenth of the steps.
    """

    steps: int
    tokens: int
    seconds: float
    losses: list[float] = field(repr=False)

    @property
    def figures(self) -> dict[str, Any]:
        """The fields that reports have of it."""
        return {
            "steps": self.steps,
            "tokens": self.tokens,
            "tokens_per_s": self.tokens / self.seconds,
            "seconds": self.seconds,
            "loss_start": self.loss_start,
            "loss_end": self.loss_end,
        }

    @property
    def loss_start(self) -> float:
        return _mean(self.losses[: max(1, len(self.losses) // 10)])

    @property
    def loss_end(self) -> float:
        return _mean(self.losses[-max(1, len(self.losses) // 10) :])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


class _Watch(TrainerCallback):
    """Reports progress and stops at a loss, or a gradient, that is not a number.

    TRL logs the tokens so far as `num_tokens`.
    """

    def __init__(self, on_progress: OnProgress | None, trainer: Trainer) -> None:
        self.on_progress = on_progress if is_main() else None
        self.trainer = trainer
        self.tokens = 0
        self.began = (time.monotonic(), 0, 0)  # when, at which step, after how many tokens

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if isinstance(self.trainer, Fitted):
            self.trainer.goes_on()
            self.tokens = self.trainer._total_train_tokens
        self.began = (time.monotonic(), state.global_step, self.tokens)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        logs = kwargs["logs"]
        loss = logs.get("loss")
        if loss is None:
            return
        figures = {"loss": loss, "gradient's norm": logs.get("grad_norm") or 0.0}
        for name, value in figures.items():
            if math.isfinite(value):
                continue
            raise _diverged(f"the {name} is {value} at step {state.global_step} of {state.max_steps}")
        self.tokens = int(logs.get("num_tokens", self.tokens))
        if self.on_progress:
            when, step, tokens = self.began
            elapsed = time.monotonic() - when
            progress = Progress(
                step=state.global_step,
                steps=state.max_steps,
                loss=loss,
                tokens=self.tokens,
                tokens_per_s=(self.tokens - tokens) / elapsed,
                seconds_left=elapsed / (state.global_step - step) * (state.max_steps - state.global_step),
            )
            self.on_progress(progress)


class _Order(TrainerCallback):
    """Has each epoch begin in its own order, the one in which a training goes on too.

    Transformers does not reach samplers behind batches that are skipped or shared, and TRL's own ones only go from one
    epoch on to the next.
    """

    def on_epoch_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        batches = kwargs["train_dataloader"].batch_sampler
        while hasattr(batches, "batch_sampler"):
            batches = batches.batch_sampler
        begin_epoch(batches.sampler, int(state.epoch or 0))


class _EvaluateAtEnd(TrainerCallback):
    """Has the last step judged, whatever the interval."""

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> TrainerControl:
        control.should_evaluate = control.should_evaluate or state.global_step >= state.max_steps
        return control


def fit(trainer: Trainer, on_progress: OnProgress | None) -> Fit:
    """Runs `trainer` to its end, from the last state that one like it saved in its folder.

    Weights are then those that are kept. Raises `PonderosaError` when the loss diverges.
    """
    settings: FitSettings = getattr(trainer, "settings", FitSettings())
    watch = _Watch(on_progress, trainer)
    states = States(trainer, settings)
    trainer.add_callback(watch)
    trainer.add_callback(_Order())
    if isinstance(settings, HeldOutSettings) and trainer.eval_dataset is not None:
        trainer.add_callback(_EvaluateAtEnd())
        if settings.patience:
            trainer.add_callback(EarlyStoppingCallback(early_stopping_patience=settings.patience))
    trainer.add_callback(states)
    writer = _tensorboard(trainer) if is_main() and "tensorboard" in reporters(settings) else None
    try:
        trainer.train(resume_from_checkpoint=states.latest())
    finally:
        if writer:
            writer.close()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    if not losses:
        raise PonderosaError("training took no step: give it more epochs")
    _check_weights(trainer)
    states.load_best()
    return Fit(trainer.state.global_step, watch.tokens, states.seconds(), losses)


_LARGEST = 1e4
"""No weight of a model that works is larger."""


def _check_weights(trainer: Trainer) -> None:
    """Raises `PonderosaError` if the last step has ruined the weights, whose loss nobody has seen."""
    model: Any = trainer.model
    for name, weight in model.named_parameters():
        here = weight.to_local() if hasattr(weight, "to_local") else weight
        if weight.requires_grad and here.numel() and not here.abs().max() < _LARGEST:
            raise _diverged(f"a weight of {name} is {here.abs().max().item():.2g} after the last step")


def _diverged(what: str) -> PonderosaError:
    return PonderosaError(
        f"{what}: training diverged; lower `learning_rate` (or `muon_learning_rate`), or warm up over more steps "
        "(`warmup`)"
    )


def _tensorboard(trainer: Trainer) -> Any:
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations.integration_utils import TensorBoardCallback

    writer: Any = SummaryWriter(log_dir=str(metrics_of(Path(trainer.args.output_dir or ""))))
    trainer.add_callback(TensorBoardCallback(writer))
    return writer


def save(trainer: Trainer, settings: FitSettings, tokenizer: Any, folder: Path) -> None:
    """Writes a plain checkpoint: configuration, weights in `settings.save_precision`, tokenizer.

    Adapters are added to the weights that they adapt. Every process must call it, as weights may be sharded over them;
    the main one writes.
    """
    dtype = getattr(torch, settings.save_precision)
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    if not settings.lora:
        model = model.to(dtype)
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if is_main():
        if settings.lora:
            adapters.save_merged(model, weights, settings.lora, dtype, folder)
        else:
            model.save_pretrained(folder, state_dict=weights)
        tokenizer.save_pretrained(folder)
