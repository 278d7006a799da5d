"""Supervised fine-tuning of a policy on verified trajectories (rStar-Math, arXiv 2501.04519, section 3.4)."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from ponderosa.core import PonderosaError
from ponderosa.forest import SFTRow
from ponderosa.training.checkpoint import staging
from ponderosa.training.encoding import encode_responses
from ponderosa.training.rows import Rows, read_rows
from ponderosa.training.settings import FitSettings, Progress


class SFTSettings(FitSettings):
    """How to fine-tune a policy; the defaults are the paper's (2 epochs, 7e-6 falling linearly, batches of 128)."""


@dataclass(frozen=True, slots=True)
class SFTReport:
    """What came of a fine-tuning. Losses are nats a token, means over the first and the last tenth of the steps.

    `tokens` counts all that went through the model, every epoch anew; `too_long` the rows that were left out.
    """

    rows: int
    too_long: int
    steps: int
    tokens: int
    tokens_per_s: float
    seconds: float
    loss_start: float
    loss_end: float


def train_sft(
    base: str | Path,
    rows: Rows,
    out: Path,
    settings: SFTSettings,
    seed: int,
    on_progress: Callable[[Progress], None] | None = None,
) -> SFTReport:
    """Fine-tunes the causal language model `base` on `rows`, each with `prompt` and `response`, into the folder `out`.

    The loss is on what the policy writes: the response with its end of text, neither the prompt nor the executor's
    output. Under a launcher of several processes each calls this function with the same arguments, and they share the
    work. `out` appears at once and complete, as an ordinary Hugging Face checkpoint. Raises `PonderosaError` for data
    or checkpoints that are not usable, a loss that diverges, memory or disk that run out, or an `out` that exists.
    """
    from trl.trainer.sft_config import SFTConfig

    from ponderosa.training import fitting
    from ponderosa.training.trainers import PolicyTrainer

    data = read_rows(rows, SFTRow, {"prompt": str, "response": str})
    if not data:
        raise PonderosaError("there are no trajectories to train the policy on: no problem was solved; search more")
    tokenizer = fitting.load_tokenizer(base)
    encoded = encode_responses(tokenizer, [row["prompt"] for row in data], [row["response"] for row in data])
    kept = [(ids, labels) for ids, labels in encoded if len(ids) <= settings.max_length]
    if not kept:
        raise PonderosaError(f"all {len(encoded)} trajectories exceed `max_length` {settings.max_length}: raise it")

    with fitting.training_environment(settings, base), staging(out, main=fitting.is_main()) as stage:
        trainer = PolicyTrainer(
            model=str(base),
            args=SFTConfig(
                **fitting.trainer_arguments(settings, seed, stage.scratch, len(kept)),
                dataset_kwargs={"skip_prepare_dataset": True},
            ),
            train_dataset=fitting.dataset(input_ids=[i for i, _ in kept], labels=[i for _, i in kept]),
            processing_class=tokenizer,
            settings=settings,
            lengths=[len(ids) for ids, _ in kept],
        )
        fit = fitting.fit(trainer, on_progress)
        report = SFTReport(
            rows=len(kept),
            too_long=len(encoded) - len(kept),
            steps=fit.steps,
            tokens=fit.tokens,
            tokens_per_s=fit.tokens / fit.seconds,
            seconds=fit.seconds,
            loss_start=fit.loss_start,
            loss_end=fit.loss_end,
        )
        fitting.save(trainer, settings, tokenizer, stage.checkpoint)
        if fitting.is_main():
            record = {"kind": "sft", "start": str(base), "seed": seed, "settings": settings.model_dump()}
            stage.publish(record | {"report": asdict(report)})
    return report
