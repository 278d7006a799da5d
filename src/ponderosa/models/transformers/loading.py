"""Checkpoints in Hugging Face format from disk, with errors a user can act on."""

import os
from os import PathLike
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from ponderosa.core import PonderosaError
from ponderosa.models.prm_inputs import ARCHITECTURES

# Texts come one at a time: the tokenizer's own threads would only cost, and warn when an executor forks.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

Checkpoint = str | PathLike[str]


def loaded(
    auto: Any,
    model: Checkpoint | PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    device: str,
    dtype: str | torch.dtype | None,
) -> tuple[str, PreTrainedModel, PreTrainedTokenizerBase]:
    """(name, model, tokenizer) of a checkpoint, or of a model that is loaded already.

    `device` "auto" is the first GPU, CUDA's or Apple's, if there is one. Raises `PonderosaError`.
    """
    device = _best_device() if device == "auto" else device
    if not isinstance(model, PreTrainedModel):
        return str(model), *load_checkpoint(auto, model, device, dtype)
    if tokenizer is None:
        raise PonderosaError("a model that is already loaded needs its tokenizer: give both")
    return model.name_or_path or type(model).__name__, model.eval(), tokenizer


def load_checkpoint(
    auto: Any, path: Checkpoint, device: str, dtype: str | torch.dtype | None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model (of `auto`, one of transformers' Auto classes) and the tokenizer at a folder or a name on the Hub.

    `dtype` None is float32 on a CPU and the checkpoint's own elsewhere. Raises `PonderosaError`.
    """
    name = str(path)
    require_checkpoint(name)
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise PonderosaError(f"there is no device {device}: name cpu, cuda, cuda:1 or mps") from error
    if isinstance(dtype, str) and dtype != "auto" and not isinstance(getattr(torch, dtype, None), torch.dtype):
        raise PonderosaError(f"there is no dtype {dtype}: name float32, bfloat16, float16 or auto")
    if dtype is None:
        dtype = torch.float32 if kind == "cpu" else "auto"
    transformers.utils.logging.disable_progress_bar()  # they would stand among what a command shows
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model, report = auto.from_pretrained(name, dtype=dtype, output_loading_info=True, ignore_mismatched_sizes=True)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise PonderosaError(f"cannot load the checkpoint {name}: {reason}") from error
    if lacking := sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}):
        raise PonderosaError(
            f"the checkpoint {name} has no weights {', '.join(lacking[:3])} for a {type(model).__name__}: "
            "it is another kind of model"
        )
    try:
        return model.to(device).eval(), tokenizer
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise PonderosaError(f"cannot put {name} on the device {device}: {reason}") from error


def architecture(path: Checkpoint) -> str:
    """The class of model that the config of a folder, or of a name on the Hub, names; empty if it names none."""
    try:
        config, _ = PreTrainedConfig.get_config_dict(str(path))
    except (OSError, ValueError):
        return ""
    return str((config.get("architectures") or [""])[0])


def require_policy(path: Checkpoint) -> None:
    """Raises `PonderosaError` for a reward model, which transformers would load as a policy without its head."""
    require_checkpoint(str(path))
    found = architecture(path)
    if found in ARCHITECTURES or found.endswith("ForSequenceClassification"):
        raise PonderosaError(f"{path} is a reward model: name a policy")


def require_checkpoint(name: str) -> None:
    """Raises `PonderosaError` for what is neither a folder with a checkpoint nor might be a name on the Hub."""
    if Path(name).is_dir() and not (Path(name) / "config.json").is_file():
        raise PonderosaError(f"{name} holds no checkpoint (no config.json): name the folder of a Hugging Face model")
    if not Path(name).is_dir() and (Path(name).is_absolute() or name.startswith(".") or name.count("/") != 1):
        raise PonderosaError(f"there is no checkpoint at {name}: name a folder that holds a Hugging Face model")


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def accelerators() -> list[str]:
    """What torch can compute on here beside the processors, with its memory where that is known."""
    found = []
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        found.append(f"{device.name}, {device.total_memory / 2**30:.0f} GiB")
    if torch.backends.mps.is_available():
        found.append("Apple GPU (mps)")
    return found
