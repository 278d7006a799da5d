"""Weights, gradients and optimiser states spread over processes: who asked for it, what it rules out, and how it is
turned on.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ponderosa.core import PonderosaError
from ponderosa.training.settings import FitSettings, HeldOutSettings

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True, slots=True)
class Sharding:
    """What a launcher was told to spread: optimiser states (DeepSpeed's first stages), or the `weights` too."""

    by: Literal["FSDP", "DeepSpeed"]
    weights: bool = True


def configured(config: Mapping[str, Any]) -> Sharding | None:
    """What accelerate's configuration asks for. Raises `PonderosaError` for a DeepSpeed file that cannot be read."""
    match config.get("distributed_type"):
        case "FSDP":
            return Sharding("FSDP")
        case "DEEPSPEED":
            deepspeed = config.get("deepspeed_config") or {}
            return _deepspeed(deepspeed.get("zero_stage"), deepspeed.get("deepspeed_config_file"))
    return None


def launched() -> Sharding | None:
    """What accelerate's launcher asks of this process, in its environment."""
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true":
        return Sharding("FSDP")
    if os.environ.get("ACCELERATE_USE_DEEPSPEED", "").lower() == "true":
        name = "ACCELERATE_DEEPSPEED_"
        return _deepspeed(os.environ.get(f"{name}ZERO_STAGE"), os.environ.get(f"{name}CONFIG_FILE"))
    return None


def _deepspeed(stage: Any, file: str | None) -> Sharding:
    """By DeepSpeed's own file if there is one, else by the stage that accelerate's configuration has (by default 2)."""
    if file and file != "none":
        try:
            stage = json.loads(Path(file).read_text(encoding="utf-8")).get("zero_optimization", {}).get("stage")
        except (OSError, ValueError, AttributeError) as error:
            raise PonderosaError(f"cannot read the DeepSpeed configuration {file}: {error}") from error
    return Sharding("DeepSpeed", weights=str(stage) == "3")


def check_sharding(settings: FitSettings, sharding: Sharding | None) -> None:
    """Raises `PonderosaError` for settings that cannot be had where a launcher spreads a training so."""
    if sharding is None:
        return
    if why := settings.unshardable(weights=sharding.weights):
        raise PonderosaError(f"the launcher asks for {sharding.by}: {why}")
    if sharding.by == "DeepSpeed" and settings.sharded:
        raise PonderosaError("the launcher asks for DeepSpeed, and `sharded` for FSDP: leave one of them out")
    keeps_best = isinstance(settings, HeldOutSettings) and settings.keep_best
    if sharding == Sharding("DeepSpeed", weights=True) and keeps_best:
        raise PonderosaError("`keep_best` cannot be had with DeepSpeed's stage 3: set it to false, or take FSDP")


def check_second_model(what: str) -> None:
    """Raises `PonderosaError` where only the first process would read a second model that training needs.

    Accelerate hands the weights of the model that is trained on to the other processes, but not those of a second one.
    """
    efficient = os.environ.get("FSDP_CPU_RAM_EFFICIENT_LOADING", "").lower() == "true"
    if efficient and launched() == Sharding("FSDP"):
        raise PonderosaError(
            f"with `fsdp_cpu_ram_efficient_loading` all processes but the first lack the weights of {what}: set it to "
            "false"
        )


def allow_fsdp_on_cpus() -> None:
    """Has accelerate take processes on CPUs for what it may turn FSDP on for.

    It does so by their kind of device (`AcceleratorState`), and to those on CPUs gives DDP without a word, though FSDP2
    works there (by gloo). Called when the processes have met, and before accelerate looks.
    """
    from accelerate.state import DistributedType, PartialState

    state = PartialState._shared_state
    if state.get("distributed_type") == DistributedType.MULTI_CPU:
        state["distributed_type"] = DistributedType.MULTI_GPU


def turned_on(accelerator: "Accelerator") -> None:
    """Raises `PonderosaError` if accelerate has not turned FSDP on, and sets what 16 bits are too narrow for.

    Gradients are added up in 32 bits, as they are without FSDP, and what a model gives, a loss say, is not rounded.
    """
    import torch
    from accelerate.state import DistributedType

    if accelerator.distributed_type != DistributedType.FSDP:
        raise PonderosaError(
            f"FSDP was asked for, and accelerate did not turn it on ({accelerator.distributed_type.value}, processes: "
            f"{accelerator.num_processes}): train in several processes, or leave `fsdp_config` and `sharded` out"
        )
    plugin = accelerator.state.fsdp_plugin
    if plugin.fsdp_version == 2 and plugin.mixed_precision_policy is not None:
        plugin.mixed_precision_policy = replace(
            plugin.mixed_precision_policy, reduce_dtype=torch.float32, output_dtype=None
        )
