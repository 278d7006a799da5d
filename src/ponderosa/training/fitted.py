"""The trainer that all trainings share: its batches, optimiser, adapters and counts. Imports torch: import it late."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import datasets
import torch
from torch.distributed.fsdp import FSDPModule
from transformers import PrinterCallback, Trainer

from ponderosa.core import PonderosaError
from ponderosa.training import adapters
from ponderosa.training.batches import SimilarLengths
from ponderosa.training.optimizers import muon_adamw
from ponderosa.training.settings import Evaluation, FitSettings, HeldOutSettings
from ponderosa.training.sharding import Sharding, allow_fsdp_on_cpus, launched, turned_on


def dataset(**columns: Sequence[Any]) -> datasets.Dataset:
    """Rows as TRL takes them."""
    return datasets.Dataset.from_dict(columns)


class Fitted(Trainer):
    """A trainer with the optimiser and adapters of `settings`, and batches of rows of similar length.

    Mixed into TRL's trainers. `evaluations` gathers what `judged` was told.
    """

    task: adapters.Task = "CAUSAL_LM"
    learns = True
    """Not while it is judged."""
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

    def create_accelerator_and_postprocess(self) -> None:
        if asked := self.args.fsdp or launched() == Sharding("FSDP"):
            allow_fsdp_on_cpus()
        super().create_accelerator_and_postprocess()
        if asked:
            turned_on(self.accelerator)

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

    @contextmanager
    def judging(self) -> Iterator[Any]:
        """The model as it is judged, with nothing learned or counted meanwhile."""
        model: Any = self.model_wrapped
        model.eval()
        self.learns = False
        try:
            with torch.no_grad():
                yield model
        finally:
            self.learns = True
            for part in model.modules():
                if isinstance(part, FSDPModule):  # what is not learned from leaves the outermost weights whole
                    part.reshard()

    def shares(self, count: int) -> Iterator[tuple[list[int], torch.Tensor]]:
        """Of so many held-out items those that this process is to judge, in batches, and whether each counts [N].

        Where the processes do not divide them evenly some get one that counts 0, so that all have as many batches.
        """
        rank, processes = self.accelerator.process_index, self.accelerator.num_processes
        own = range(rank, count, processes)
        items = [*own, *[0] * (math.ceil(count / processes) - len(own))]
        counts = torch.tensor([float(i < len(own)) for i in range(len(items))], device=self.args.device)
        size = self.args.per_device_eval_batch_size
        for start in range(0, len(items), size):
            yield items[start : start + size], counts[start : start + size]

    def judged(self, loss: float, accuracy: float | None = None) -> dict[str, float]:
        """Takes down what an evaluation found, and returns it as transformers calls it."""
        self.evaluations.append(Evaluation(self.state.global_step, loss, accuracy))
        metrics = {"eval_loss": loss} | ({} if accuracy is None else {"eval_accuracy": accuracy})
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
            Evaluation(int(entry["step"]), entry["eval_loss"], entry.get("eval_accuracy"))
            for entry in history
            if "eval_loss" in entry
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
