import errno
import logging
import math
from pathlib import Path
from typing import Any, cast

import pytest
import safetensors
import torch
from transformers import TrainerState

from ponderosa.core import PonderosaError
from ponderosa.training import FitSettings
from ponderosa.training.arguments import trainer_arguments
from ponderosa.training.environment import training_environment
from ponderosa.training.fitting import _Watch, since_best
from ponderosa.training.settings import Evaluation


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "lower `micro_batch_size` \\(now 16\\)"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "lower `micro_batch_size`"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"), "lower `micro_batch_size`"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (safetensors.SafetensorError("I/O error: No space left on device (os error 28)"), "the disk is full"),
        (
            OSError("/models/base does not appear to have a file named config.json"),
            "cannot load the checkpoint /models",
        ),
    ],
)
def test_what_a_user_can_mend_is_said_in_one_line(error: Exception, message: str) -> None:
    with pytest.raises(PonderosaError, match=message) as raised, training_environment(FitSettings(), "/models/base"):
        raise error
    assert "\n" not in str(raised.value)
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("error", [RuntimeError("shape mismatch"), PonderosaError("out of memory"), KeyError("x")])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, training_environment(FitSettings(), "/models/base"):
        raise error
    assert raised.value is error


def test_the_libraries_speak_again_after_a_training() -> None:
    logger = logging.getLogger("trl")
    before = logger.level
    with training_environment(FitSettings(), "base"):
        assert logger.level == logging.ERROR
    assert logger.level == before


@pytest.mark.parametrize(
    ("batch", "micro", "processes"), [(128, 16, 1), (128, 16, 2), (64, 48, 1), (3, 16, 2), (100, 8, 4)]
)
def test_a_step_has_the_rows_of_a_batch_however_they_are_spread(
    monkeypatch: pytest.MonkeyPatch, batch: int, micro: int, processes: int
) -> None:
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    arguments = trainer_arguments(FitSettings(batch_size=batch, micro_batch_size=micro), 0, Path("scratch"))
    rows = arguments["per_device_train_batch_size"] * arguments["gradient_accumulation_steps"] * processes
    assert arguments["per_device_train_batch_size"] <= micro
    assert abs(rows - batch) <= batch * 0.12 or rows == processes


@pytest.mark.parametrize(
    ("precision", "fast", "bf16"),
    [("auto", True, True), ("auto", False, False), ("float32", True, False), ("bfloat16", False, True)],
)
def test_auto_computes_in_bfloat16_where_that_is_fast(
    monkeypatch: pytest.MonkeyPatch, precision: Any, fast: bool, bf16: bool
) -> None:
    monkeypatch.setattr("ponderosa.training.arguments.fast_bfloat16", lambda: fast)
    assert trainer_arguments(FitSettings(precision=precision), 0, Path("scratch"))["bf16"] is bf16


@pytest.mark.parametrize(("epochs", "max_steps", "expected"), [(3, 0, 3), (3, 5, 0.5), (1, 50, 1), (2, 20, 2)], ids=str)
def test_training_ends_with_the_epochs_or_the_steps_whichever_come_first(epochs, max_steps, expected):
    settings = FitSettings(epochs=epochs, max_steps=max_steps, batch_size=10)
    assert settings.epochs_of(100) == expected


@pytest.mark.parametrize("figures", [{"loss": math.nan}, {"loss": 1.0, "grad_norm": math.inf}], ids=str)
def test_a_step_that_breaks_the_weights_ends_the_training(figures: dict[str, float]) -> None:
    """The last step's gradient too, after which there is no loss to tell."""
    given: Any = (None, TrainerState(global_step=3, max_steps=3), None)
    with pytest.raises(PonderosaError, match=r"(loss is nan|norm is inf) at step 3 of 3: training diverged"):
        _Watch(None, cast(Any, None)).on_log(*given, logs=figures)


@pytest.mark.parametrize(
    ("losses", "expected"), [((), 0), ((3.0,), 0), ((3.0, 2.0), 0), ((2.0, 2.0), 1), ((3.0, 1.0, 2.0, 1.5), 2)], ids=str
)
def test_patience_goes_on_from_the_best_evaluation(losses: tuple[float, ...], expected: int) -> None:
    made = [Evaluation(step, loss, -loss) for step, loss in enumerate(losses)]
    assert since_best(made, "loss") == since_best(made, "accuracy") == expected


def test_only_several_processes_shard_and_then_recompute_as_shards_do(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = FitSettings(sharded=True, gradient_checkpointing=True)
    alone = trainer_arguments(settings, 0, Path("scratch"))
    assert (alone["fsdp"], alone["gradient_checkpointing"]) == (False, True)
    monkeypatch.setenv("WORLD_SIZE", "2")
    spread = trainer_arguments(settings, 0, Path("scratch"))
    assert (spread["fsdp"], spread["gradient_checkpointing"]) == (True, False)
    assert spread["fsdp_config"] == {"activation_checkpointing": True}


def test_muon_is_not_sharded() -> None:
    with pytest.raises(ValueError, match="muon orthogonalises whole matrices"):
        FitSettings(optimizer="muon", sharded=True)
