"""The settings of a training as transformers takes them. Imports torch: import it late."""

import importlib.util
import math
import os
from pathlib import Path
from typing import Any

import torch

from ponderosa.core import PonderosaError
from ponderosa.training import adapters
from ponderosa.training.environment import world_size
from ponderosa.training.settings import FitSettings, HeldOutSettings, Reporter
from ponderosa.training.sharding import Sharding, check_sharding, launched


def fast_bfloat16() -> bool:
    """Whether the device has instructions for bfloat16; where it is emulated, float32 is faster."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def trainer_arguments(settings: FitSettings, seed: int, scratch: Path) -> dict[str, Any]:
    """The keyword arguments of transformers' `TrainingArguments` (and of TRL's configurations).

    That `max_steps` are not exceeded is for `Fitted` to see to. Raises `PonderosaError` for settings that cannot be had
    where the launcher spreads weights over processes.
    """
    on_cpu = not torch.cuda.is_available()
    share = max(1, settings.batch_size // world_size())  # of a batch, for this process
    accumulation = math.ceil(share / settings.micro_batch_size)
    check_sharding(settings, sharding := launched())
    by_accelerate = sharding == Sharding("FSDP")  # its own configuration says how to shard
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
