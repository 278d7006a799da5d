"""Supervised fine-tuning of a policy on verified trajectories (rStar-Math, arXiv 2501.04519, section 3.4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from pydantic import Field

from ponderosa.core import PonderosaError
from ponderosa.forest import SFTRow
from ponderosa.training.bins import best_fit
from ponderosa.training.checkpoint import files_of, identify, making, staging
from ponderosa.training.encoding import Encoded, encode_rows
from ponderosa.training.rows import Rows, read_rows, split
from ponderosa.training.settings import Evaluation, FitReport, HeldOutSettings, OnProgress


class SFTSettings(HeldOutSettings):
    """How to fine-tune a policy; the defaults are the paper's (2 epochs, 7e-6 falling linearly, batches of 128).

    All rows of a prompt are held out together. `packing` puts rows together into sequences of so many tokens (0: each
    row is one), none of which sees another's tokens; `batch_size` still counts rows, on average, and `micro_batch_size`
    sequences. With flash attention a sequence costs what its rows cost alone; other attention computes, and masks, what
    rows of a sequence would see of each other, so keep sequences short there.
    """

    packing: int = Field(0, ge=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class SFTReport(FitReport):
    """What came of a fine-tuning. Losses are nats a token.

    `rows` were trained on and `held_out` not; of both, `too_long` were left out for their length, and `empty` for want
    of a response. `kept` is the evaluation of the weights that were kept, if any were made.
    """

    rows: int
    held_out: int
    too_long: int
    empty: int
    kept: Evaluation | None
    evaluations: tuple[Evaluation, ...]


def train_sft(
    base: str | Path,
    rows: Rows,
    out: Path,
    settings: SFTSettings,
    seed: int,
    on_progress: OnProgress | None = None,
    held_out: Rows = (),
) -> SFTReport:
    """Fine-tunes the causal language model `base` on `rows`, each with `prompt` and `response`, into the folder `out`.

    The loss is on what the policy writes: the response with its end of text, neither the prompt nor the executor's
    output. Under a launcher of several processes each calls this function with the same arguments, and they share the
    work. `out` appears at once and complete, as an ordinary Hugging Face checkpoint. Raises `PonderosaError` for data
    or checkpoints that are not usable, a loss that diverges, memory or disk that run out, or an `out` that exists.
    `held_out` are more rows to judge the model by.
    """
    from trl.trainer.sft_config import SFTConfig

    from ponderosa.training import environment, fitted, fitting
    from ponderosa.training.arguments import held_out_arguments, trainer_arguments
    from ponderosa.training.trainers import PolicyTrainer

    fields = {"prompt": str, "response": str}
    given, judges = read_rows(rows, SFTRow, fields), read_rows(held_out, SFTRow, fields)
    if not given:
        raise PonderosaError("there are no trajectories to train the policy on: no problem was solved; search more")
    train, held = split(given, settings.held_out, itemgetter("prompt"))
    tokenizer = environment.load_tokenizer(base)
    environment.check_policy(base)
    learned, judged = (encode_rows(tokenizer, some, settings.max_length) for some in (train, [*held, *judges]))
    if not learned.kept:
        raise PonderosaError(
            f"there is no trajectory to train on: of {len(train)}, {learned.empty} have no response and "
            f"{learned.too_long} exceed `max_length` {settings.max_length}; raise it, or give other rows"
        )
    lengths, columns = _columns(learned.kept, settings.packing)
    # So many sequences as hold a batch of rows, on average.
    batch = max(1, round(settings.batch_size * len(lengths) / len(learned.kept)))
    of_sequences = settings.model_copy(update={"batch_size": batch})

    also = {"held_out": files} if (files := files_of(held_out)) else {}
    going_on = identify("sft", base, [len(given), *given, *judges], settings.identity, seed)
    staged = staging(out, main=environment.is_main(), going_on=going_on)
    with environment.training_environment(settings, base), staged as stage:
        arguments = trainer_arguments(of_sequences, seed, stage.scratch)
        if judged.kept:
            arguments |= held_out_arguments(settings, arguments, len(lengths))
        trainer = PolicyTrainer(
            model=str(base),
            args=SFTConfig(**arguments, dataset_kwargs={"skip_prepare_dataset": True}),
            train_dataset=fitted.dataset(**columns),
            eval_dataset=fitted.dataset(**_columns(sorted(judged.kept, key=_length), 0)[1]) if judged.kept else None,
            processing_class=tokenizer,
            settings=settings,
            lengths=lengths,
        )
        fit = fitting.fit(trainer, on_progress)
        report = SFTReport(
            rows=len(learned.kept),
            held_out=len(judged.kept),
            too_long=learned.too_long + judged.too_long,
            empty=learned.empty + judged.empty,
            **fit.figures,
            kept=trainer.kept,
            evaluations=tuple(trainer.evaluations),
        )
        fitting.save(trainer, settings, tokenizer, stage.checkpoint)
        if environment.is_main():
            stage.publish(making("sft", base, rows, settings, seed, report, **also))
    return report


def _length(row: Encoded) -> int:
    return len(row[0])


def _columns(rows: Sequence[Encoded], packing: int) -> tuple[list[int], dict[str, list[Any]]]:
    """The lengths of sequences, and the sequences as columns; packed ones say how long each of their rows is."""
    if not packing:
        return list(map(_length, rows)), {"input_ids": [ids for ids, _ in rows], "labels": [own for _, own in rows]}
    bins = best_fit(list(map(_length, rows)), packing)
    columns = {
        "input_ids": [[token for i in places for token in rows[i][0]] for places in bins],
        "labels": [[label for i in places for label in rows[i][1]] for places in bins],
        "seq_lengths": [[_length(rows[i]) for i in places] for places in bins],
    }
    return [sum(lengths) for lengths in columns["seq_lengths"]], columns
