"""Checkpoints in Hugging Face format from disk, with errors a user can act on."""

import os
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ponderosa.core import PonderosaError

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
    if not Path(path).is_dir() and (Path(path).is_absolute() or name.startswith(".") or name.count("/") != 1):
        raise PonderosaError(f"there is no checkpoint at {name}: name a folder that holds a Hugging Face model")
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise PonderosaError(f"there is no device {device}: name cpu, cuda, cuda:1 or mps") from error
    if isinstance(dtype, str) and dtype != "auto" and not isinstance(getattr(torch, dtype, None), torch.dtype):
        raise PonderosaError(f"there is no dtype {dtype}: name float32, bfloat16, float16 or auto")
    if dtype is None:
        dtype = torch.float32 if kind == "cpu" else "auto"
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = auto.from_pretrained(name, dtype=dtype)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise PonderosaError(f"cannot load the checkpoint {name}: {reason}") from error
    try:
        return model.to(device).eval(), tokenizer
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise PonderosaError(f"cannot put {name} on the device {device}: {reason}") from error


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
