"""The surroundings of a training: libraries kept quiet, and what they raise said so that a user can act on it.

Imports torch and transformers: import it late.
"""

import errno
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import transformers
from transformers import AutoConfig, AutoTokenizer

from ponderosa.core import PonderosaError
from ponderosa.training.settings import FitSettings


def world_size() -> int:
    """How many processes train together, as their launcher (ours, torchrun, accelerate) tells each of them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the process that reports and saves."""
    return int(os.environ.get("RANK", "0")) == 0


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


def check_policy(checkpoint: str | Path) -> None:
    """Raises `PonderosaError` if `checkpoint` is a reward model, which has values in the place of tokens."""
    try:
        architectures = AutoConfig.from_pretrained(str(checkpoint)).architectures
    except (OSError, ValueError):
        return  # what loads it says why it cannot be
    for name in architectures or []:
        if name.endswith(("Classification", "RewardModel")):
            raise PonderosaError(f"{checkpoint} is a reward model ({name}), which writes no text: name a policy")


def vocabulary_of(checkpoint: str | Path) -> int:
    """How many tokens the model `checkpoint` gives a probability. Raises `PonderosaError` if it cannot be read."""
    try:
        return int(AutoConfig.from_pretrained(str(checkpoint)).get_text_config().vocab_size)
    except (OSError, ValueError) as error:
        raise PonderosaError(f"cannot read the configuration of {checkpoint}: {_first_line(error)}") from error


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
