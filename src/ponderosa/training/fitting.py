"""How a trainer runs, goes on from a saved state and saves its checkpoint. Imports torch: import it late."""

import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import (
    EarlyStoppingCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from ponderosa.core import PonderosaError
from ponderosa.training import adapters
from ponderosa.training.arguments import reporters
from ponderosa.training.batches import begin_epoch
from ponderosa.training.checkpoint import metrics_of, name_and_id
from ponderosa.training.environment import is_main, world_size
from ponderosa.training.fitted import Fitted
from ponderosa.training.settings import Evaluation, FitSettings, HeldOutSettings, OnProgress, Progress
from ponderosa.training.states import States


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

    def __init__(self, on_progress: OnProgress | None, trainer: Fitted) -> None:
        self.on_progress = on_progress if is_main() else None
        self.trainer = trainer
        self.tokens = 0
        self.began = (time.monotonic(), 0, 0)  # when, at which step, after how many tokens

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
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


class _EarlyStopping(EarlyStoppingCallback):
    """Goes on with the count of a training whose state was loaded."""

    def __init__(self, trainer: Fitted, settings: HeldOutSettings) -> None:
        super().__init__(early_stopping_patience=settings.patience)
        self.trainer = trainer
        self.by = settings.select_by

    def on_train_begin(self, *given: Any, **more: Any) -> None:
        super().on_train_begin(*given, **more)  # type: ignore[no-untyped-call]
        self.early_stopping_patience_counter = since_best(self.trainer.evaluations, self.by)


def since_best(evaluations: Sequence[Evaluation], by: str) -> int:
    """How many evaluations there are after the best one, the first of several."""
    values = [(evaluation.accuracy or 0.0) if by == "accuracy" else -evaluation.loss for evaluation in evaluations]
    return len(values) - 1 - values.index(max(values)) if values else 0


def fit(trainer: Fitted, on_progress: OnProgress | None) -> Fit:
    """Runs `trainer` to its end, from the last state that one like it saved in its folder.

    Weights are then those that are kept. Raises `PonderosaError` when the loss diverges, and when it is asked to stop.
    """
    settings = trainer.settings
    watch = _Watch(on_progress, trainer)
    states = States(trainer, settings)
    trainer.add_callback(watch)
    trainer.add_callback(_Order())
    if isinstance(settings, HeldOutSettings) and trainer.eval_dataset is not None:
        trainer.add_callback(_EvaluateAtEnd())
        if settings.patience:
            trainer.add_callback(_EarlyStopping(trainer, settings))
    trainer.add_callback(states)
    writer = _tensorboard(trainer) if is_main() and "tensorboard" in reporters(settings) else None
    try:
        with _named(trainer):
            trainer.train(resume_from_checkpoint=states.latest())
    finally:
        if writer:
            writer.close()
    if states.stopped:
        wait_for_all(trainer.args)  # the end of one process is the end of all
        raise PonderosaError(f"stopped after step {trainer.state.global_step}; the same training goes on from there")
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


_PROJECT = "ponderosa"
"""Where reporters put trainings if their own variables (`WANDB_PROJECT`, `TRACKIO_PROJECT`) do not say."""


@contextmanager
def _named(trainer: Trainer) -> Iterator[None]:
    """Has reporters know the training by a name, and go on with what they have of it where it goes on.

    Trackio goes on by the name, which is an argument; wandb by an id, which it takes from the environment.
    """
    name, id = name_and_id(Path(trainer.args.output_dir or ""))
    trainer.args.run_name = name
    trainer.args.project = os.environ.get("TRACKIO_PROJECT", _PROJECT)
    wanted = {"WANDB_PROJECT": _PROJECT, "WANDB_RUN_ID": id, "WANDB_RESUME": "allow"}
    own = {variable: value for variable, value in wanted.items() if variable not in os.environ}
    os.environ.update(own)
    try:
        yield
    finally:
        for variable in own:
            os.environ.pop(variable, None)


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
