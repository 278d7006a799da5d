"""Training of a process preference model (PPM) on pairs of steps (rStar-Math, arXiv 2501.04519, section 3.3)."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from ponderosa.core import PonderosaError, derive_seed
from ponderosa.forest import PairRow
from ponderosa.training.checkpoint import staging
from ponderosa.training.encoding import encode_continuations, encode_prompts
from ponderosa.training.rows import Rows, read_rows
from ponderosa.training.settings import FitSettings, Progress
from ponderosa.training.tries import Trie

Pair = dict[str, Any]
"""A preference pair with its fields by name."""

OFFICIAL_SCALE = 5.0
"""The public implementation trains bare logits v and scores tanh(v / 5)."""


class PPMSettings(FitSettings):
    """How to train a PPM; the defaults are the paper's.

    The pairs of a problem are computed together, in rows of at most `max_length` tokens in which what they share stands
    once (see `tries`). `batch_size` counts pairs, on average, and `micro_batch_size` rows. Flash attention cannot take
    the mask that this needs.

    `squash` says what the loss compares: "tanh" squashed values, as in the paper, "none" bare logits, as in the public
    implementation. `sharpness` multiplies their difference in the loss: squashed values differ by at most 2, so that
    the loss cannot fall below log(1 + exp(-2 sharpness)), 0.127 at sharpness 1. The score of a bare logit v is
    tanh(v / `scale`), by default 5 as in the public implementation; 1 is what the loss makes of it, since then
    p = (score + 1) / 2 is the probability by which a step is preferred to one of the opposite value.

    `centering` pulls the sum of a pair's values to 0: its square is added to the loss with this factor. `held_out` is
    the share of pairs, by whole problems, on which the model is judged `evaluations` times an epoch; the best by
    `select_by` is kept, and training ends early after `patience` evaluations without a better one (0: never).
    """

    batch_size: int = Field(512, ge=1)
    attention: Literal["sdpa", "eager"] = "sdpa"
    squash: Literal["tanh", "none"] = "tanh"
    sharpness: float = Field(1.0, gt=0)
    scale: float | None = Field(None, gt=0)
    centering: float = Field(0.0, ge=0)
    held_out: float = Field(0.05, ge=0, lt=1)
    evaluations: int = Field(4, ge=1)
    select_by: Literal["loss", "accuracy"] = "loss"
    patience: int = Field(0, ge=0)

    @property
    def reward_scale(self) -> float:
        """What a checkpoint's `config.reward_scale` says: its score is tanh(logit / reward_scale)."""
        if self.scale is not None:
            return self.scale
        return 1.0 if self.squash == "tanh" else OFFICIAL_SCALE

    @model_validator(mode="after")
    def _squashed_values_have_their_scale(self) -> "PPMSettings":
        if self.squash == "tanh" and self.scale not in (None, 1.0):
            raise ValueError("`scale` is that of bare logits: set `squash: none`, or leave it out")
        return self


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Held-out pairs after `step`: the mean loss, and the share of pairs whose better step has the higher value."""

    step: int
    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class PPMReport:
    """What came of the training of a PPM.

    `kept` is the evaluation of the checkpoint that was kept, None where no pair was held out. `too_long` and
    `weightless` count the pairs that were left out. Losses are means over the first and the last tenth of the steps.
    """

    pairs: int
    held_out: int
    too_long: int
    weightless: int
    steps: int
    tokens: int
    tokens_per_s: float
    seconds: float
    loss_start: float
    loss_end: float
    kept: Evaluation | None
    evaluations: tuple[Evaluation, ...]


def train_ppm(
    policy: str | Path,
    pairs: Rows,
    out: Path,
    settings: PPMSettings,
    seed: int,
    on_progress: Callable[[Progress], None] | None = None,
) -> PPMReport:
    """Trains a PPM from the checkpoint `policy`, its language head replaced by a scalar one, into the folder `out`.

    A pair has `prompt` (the question in its template and the steps so far), `chosen` and `rejected` (the next step,
    better and worse), `weight`, and `problem_id`. The loss of a pair is -weight log sigmoid(r(chosen) - r(rejected)),
    with r read at the last token of the step, nothing appended; only the ratios of weights matter, and a pair of weight
    0 has no effect. The checkpoint is an ordinary sequence classifier with one label, and `reward_scale` in its
    configuration. Processes and errors are as in `train_sft`.
    """
    from ponderosa.training import fitting
    from ponderosa.training.trainers import PairTrainer, pair_config

    columns = {"prompt": str, "chosen": str, "rejected": str, "weight": float, "problem_id": str}
    data = read_rows(pairs, PairRow, columns)
    if any(pair["weight"] < 0 for pair in data):
        raise PonderosaError("the weight of a preference pair must not be negative")
    weighted = [pair for pair in data if pair["weight"] > 0]
    tokenizer = fitting.load_tokenizer(policy)
    encoded = _encode(tokenizer, weighted)
    kept = [pair for pair in encoded if max(len(pair["chosen_ids"]), len(pair["rejected_ids"])) <= settings.max_length]
    if not kept:
        raise PonderosaError(
            f"there is no preference pair to train on: of {len(data)}, {len(data) - len(weighted)} have no weight and "
            f"{len(encoded)} exceed `max_length` {settings.max_length}; search more problems or raise it"
        )
    train, held_out = split_by_problem(kept, settings.held_out)
    rows = pack(train, settings.max_length)
    # So many rows as hold a batch of pairs, on average.
    settings_of_rows = settings.model_copy(
        update={"batch_size": max(1, round(settings.batch_size * len(rows) / len(train)))}
    )

    with fitting.training_environment(settings, policy), staging(out, main=fitting.is_main()) as stage:
        trainer = PairTrainer(
            model=str(policy),
            args=pair_config(settings_of_rows, seed, stage.scratch, rows=len(rows), evaluate=bool(held_out)),
            train=rows,
            held_out=pack(held_out, settings.max_length),
            processing_class=tokenizer,
            settings=settings,
        )
        fit = fitting.fit(trainer, on_progress)
        report = PPMReport(
            pairs=len(train),
            held_out=len(held_out),
            too_long=len(encoded) - len(kept),
            weightless=len(data) - len(weighted),
            steps=fit.steps,
            tokens=fit.tokens,
            tokens_per_s=fit.tokens / fit.seconds,
            seconds=fit.seconds,
            loss_start=fit.loss_start,
            loss_end=fit.loss_end,
            kept=next((e for e in trainer.evaluations if e.step == trainer.state.best_global_step), None),
            evaluations=tuple(trainer.evaluations),
        )
        fitting.save(trainer, settings, tokenizer, stage.checkpoint)
        if fitting.is_main():
            record = {"kind": "ppm", "start": str(policy), "seed": seed, "settings": settings.model_dump()}
            stage.publish(record | {"report": asdict(report)})
    return report


def split_by_problem(pairs: Sequence[Pair], share: float) -> tuple[list[Pair], list[Pair]]:
    """(pairs to train on, pairs held out): whole problems, until at least `share` of the pairs is held out.

    Which problems come first depends on their ids alone, so that a problem stays on its side from round to round. Of a
    single problem nothing can be held out.
    """
    count = Counter(pair["problem_id"] for pair in pairs)
    order = sorted(count, key=lambda problem: derive_seed("held out", problem))
    chosen: set[str] = set()
    held = 0
    for problem in order[:-1]:
        if held >= share * len(pairs):
            break
        chosen.add(problem)
        held += count[problem]
    return (
        [pair for pair in pairs if pair["problem_id"] not in chosen],
        [pair for pair in pairs if pair["problem_id"] in chosen],
    )


@dataclass(frozen=True, slots=True)
class PackedPairs:
    """Pairs of one problem as a trie of `tokens` and `parents`; each with the last places of its two texts."""

    tokens: list[int]
    parents: list[int]
    chosen: list[int]
    rejected: list[int]
    weight: list[float]


def pack(pairs: Sequence[Pair], limit: int) -> list[PackedPairs]:
    """The encoded pairs by problem, each problem's in one row or, beyond `limit` tokens a row, in several.

    A single pair gets a row whatever its length.
    """
    by_problem: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_problem.setdefault(pair["problem_id"], []).append(pair)
    rows = []
    for mine in by_problem.values():
        trie = Trie()
        row: PackedPairs | None = None
        for pair in mine:
            new = trie.lacks(pair["chosen_ids"]) + trie.lacks(pair["rejected_ids"])
            if row is None or len(trie) + new > limit:
                trie = Trie()
                row = PackedPairs(trie.tokens, trie.parents, [], [], [])
                rows.append(row)
            row.chosen.append(trie.add(pair["chosen_ids"]))
            row.rejected.append(trie.add(pair["rejected_ids"]))
            row.weight.append(pair["weight"])
    return rows


def _encode(tokenizer: Any, pairs: Sequence[Pair]) -> list[Pair]:
    heads = encode_prompts(tokenizer, (pair["prompt"] for pair in pairs))
    steps = encode_continuations(tokenizer, (pair[side] for pair in pairs for side in ("chosen", "rejected")))
    return [
        {
            "chosen_ids": heads[pair["prompt"]] + steps[pair["chosen"]],
            "rejected_ids": heads[pair["prompt"]] + steps[pair["rejected"]],
            "weight": pair["weight"],
            "problem_id": pair["problem_id"],
        }
        for pair in pairs
    ]
