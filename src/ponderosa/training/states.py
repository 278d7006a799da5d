"""States that a killed training goes on from, and the best weights so far. Imports torch: import it late."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ponderosa.forest.parquet import atomic
from ponderosa.training import adapters
from ponderosa.training.checkpoint import SAVED, asked_to_stop, saved_state
from ponderosa.training.environment import is_main, world_size
from ponderosa.training.settings import FitSettings, HeldOutSettings


class States(TrainerCallback):
    """Has transformers save all that a trainer is (weights, optimiser, schedule, random numbers) as `settings` say, and
    when a training is asked to end before its time.

    A state is in the trainer's folder as `checkpoint-STEP`, and is whole once its file `saved.json` is there; then
    those before it are removed. With `keep_best`, the weights of the best evaluation so far are there too, as
    `best-STEP.pt`, and those that the last state calls the best.
    """

    def __init__(self, trainer: Trainer, settings: FitSettings) -> None:
        self.trainer = trainer
        self.settings = settings
        self.folder = Path(trainer.args.output_dir or "")
        self.saves = trainer.args.save_strategy == "no"  # otherwise the trainer has ways of its own
        self.keeps_best = self.saves and isinstance(settings, HeldOutSettings) and settings.keep_best
        self.started = self.saved = time.monotonic()
        self.seconds_before = 0.0
        self.step_saved = 0
        self.best_when_saved: int | None = None
        self.stopped = False

    def latest(self) -> str | None:
        """The state to go on from, the same for all processes."""
        found = saved_state(self.folder) if is_main() else None
        latest: str | None = _agreed(found and str(found))
        if latest:
            record = json.loads((Path(latest) / SAVED).read_text(encoding="utf-8"))
            self.seconds_before, self.best_when_saved = record["seconds"], record["best"]
            self.step_saved = int(Path(latest).name.rpartition("-")[2])
        self.started = self.saved = time.monotonic()
        return latest

    def seconds(self) -> float:
        """How long the training has taken, with what it took before it went on."""
        return self.seconds_before + time.monotonic() - self.started

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        step = state.global_step
        if self.saves and step < state.max_steps and step % self.settings.steps_together == 0:
            steps, minutes = self.settings.save_steps, self.settings.save_minutes
            late = bool(minutes) and time.monotonic() - self.saved >= 60 * minutes
            late, self.stopped = _agreed((late, is_main() and asked_to_stop(self.folder)))
            due = bool(steps) and step // steps > self.step_saved // steps
            control.should_save = control.should_save or due or late or self.stopped
            control.should_training_stop = control.should_training_stop or self.stopped
        return control

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if args.save_only_model:
            return
        self.trainer.accelerator.wait_for_everyone()  # each writes its part
        self.saved, self.step_saved = time.monotonic(), state.global_step
        if is_main():
            now = self.folder / f"checkpoint-{state.global_step}"
            self.best_when_saved = state.best_global_step
            record = {"seconds": self.seconds(), "best": self.best_when_saved}
            with atomic(now / SAVED) as part:
                part.write_text(json.dumps(record), encoding="utf-8")
            for path in self.folder.glob("checkpoint-*"):
                if path != now and self.saves:
                    shutil.rmtree(path)
            for path in self.folder.glob("best-*.pt"):
                if path != self._best(state.best_global_step):
                    path.unlink()

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if not self.keeps_best or args.metric_for_best_model is None:
            return
        metric = args.metric_for_best_model
        value, best = kwargs["metrics"][metric if metric.startswith("eval_") else f"eval_{metric}"], state.best_metric
        if best is None or (value > best if args.greater_is_better else value < best):
            before = state.best_global_step
            state.best_global_step = state.global_step  # transformers notes the metric itself
            weights = self.trainer.accelerator.get_state_dict(self.trainer.model_wrapped)
            if is_main():
                self.folder.mkdir(parents=True, exist_ok=True)
                kept = adapters.trained_only(weights) if self.settings.lora else weights
                torch.save(kept, self._best(state.global_step))
                if before not in (None, self.best_when_saved):
                    self._best(before).unlink(missing_ok=True)

    def _best(self, step: int | None) -> Path:
        return self.folder / f"best-{step}.pt"

    def load_best(self) -> None:
        """Puts the best weights into the model, if they were to be kept and are not its last."""
        state = self.trainer.state
        if not self.keeps_best or state.best_global_step in (None, state.global_step):
            return
        accelerator = self.trainer.accelerator
        path = self._best(state.best_global_step)
        if getattr(accelerator.state, "fsdp_plugin", None) is None:
            weights = torch.load(path, map_location="cpu", weights_only=True)
            accelerator.unwrap_model(self.trainer.model).load_state_dict(weights, strict=False)
            return
        from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

        weights = torch.load(path, map_location="cpu", weights_only=True) if is_main() else {}
        options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True, strict=False)
        model: Any = self.trainer.model
        set_model_state_dict(model, weights, options=options)


def _agreed(value: Any) -> Any:
    """What the main process says, in all of them."""
    if world_size() == 1:
        return value
    return broadcast_object_list([value])[0]
