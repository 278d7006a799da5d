"""What trainings of reward models have in common: settings, reports, and the way from packed texts to a checkpoint.

Whatever the loss, the model is a sequence classifier with one label that reads the value of a text at its last token,
tanh(logit / `reward_scale`), and so serves every search.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import Field

from ponderosa.training.checkpoint import identify, making, staging
from ponderosa.training.packing import M, pack
from ponderosa.training.rows import Rows
from ponderosa.training.settings import Evaluation, FitReport, HeldOutSettings, OnProgress

if TYPE_CHECKING:
    from ponderosa.training.calibration import Calibration
    from ponderosa.training.reward_trainers import PackedTrainer


class RewardModelSettings(HeldOutSettings):
    """How to train a reward model.

    The texts of a problem are computed together, in rows of at most `max_length` tokens in which what they share stands
    once (see `tries`). `batch_size` counts pairs or texts, on average, and `micro_batch_size` rows. Flash attention
    cannot take the mask that this needs.

    Training also ends after `max_tokens` tokens, what texts share counted once (0: no limit), so that kinds of reward
    models compare. Whole problems are held out.
    """

    attention: Literal["sdpa", "eager"] = "sdpa"
    max_tokens: int = Field(0, ge=0)
    held_out: float = Field(0.05, ge=0, lt=1)
    keep_best: bool = True

    @property
    @abstractmethod
    def reward_scale(self) -> float:
        """What a checkpoint's `config.reward_scale` says: its score is tanh(logit / reward_scale)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RewardReport(FitReport):
    """What came of the training of a reward model.

    `kept` is the evaluation of the checkpoint that was kept, and `calibration` what its values are worth on the same
    rows; None where nothing was held out. `tokens` counts what texts share once.
    """

    kept: Evaluation | None
    evaluations: tuple[Evaluation, ...]
    calibration: "Calibration | None"


R = TypeVar("R", bound=RewardReport)


def train_packed(
    start: str | Path,
    rows: Rows,
    data: Sequence[dict[str, Any]],
    train: Sequence[M],
    held_out: Sequence[M],
    out: Path,
    settings: RewardModelSettings,
    seed: int,
    on_progress: OnProgress | None,
    *,
    kind: str,
    tokenizer: Any,
    trainer: Callable[..., "PackedTrainer[M]"],
    report: Callable[..., R],
) -> R:
    """Trains a reward model from the checkpoint `start`, its language head replaced by a scalar one, into `out`.

    `train` and `held_out` are what was made of `data`, which was read from `rows`. `trainer` is a class of
    `reward_trainers`, and `report` makes the training's report of the fields of `RewardReport`. Processes and errors
    are as in `train_sft`.
    """
    from ponderosa.training import environment, fitting
    from ponderosa.training.reward_trainers import reward_config

    packed = pack(train, settings.max_length)
    an_epoch = sum(len(row.tokens) for row in packed)
    limits = {
        # So many rows as hold a batch of members, on average.
        "batch_size": max(1, round(settings.batch_size * len(packed) / len(train))),
        "epochs": min(settings.epochs, settings.max_tokens / an_epoch) if settings.max_tokens else settings.epochs,
    }
    of_rows = settings.model_copy(update=limits)
    going_on = identify(kind, start, data, settings.identity, seed)
    staged = staging(out, main=environment.is_main(), going_on=going_on)
    with environment.training_environment(settings, start), staged as stage:
        made = trainer(
            model=str(start),
            args=reward_config(of_rows, seed, stage.scratch, rows=len(packed), evaluate=bool(held_out)),
            train=packed,
            held_out=pack(held_out, settings.max_length),
            processing_class=tokenizer,
            settings=settings,
        )
        fit = fitting.fit(made, on_progress)
        result = report(
            **fit.figures,
            kept=made.kept,
            evaluations=tuple(made.evaluations),
            calibration=made.calibration() if held_out else None,
        )
        fitting.save(made, settings, tokenizer, stage.checkpoint)
        if environment.is_main():
            stage.publish(making(kind, start, rows, settings, seed, result))
    return result
