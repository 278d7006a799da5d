"""Training of a process preference model (PPM) on pairs of steps (rStar-Math, arXiv 2501.04519, section 3.3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from ponderosa.core import PonderosaError
from ponderosa.training.encoding import encode_continuations, encode_prompts
from ponderosa.training.reward_models import RewardModelSettings, RewardReport, train_packed
from ponderosa.training.rows import Rows, read_pairs, split
from ponderosa.training.settings import OnProgress

OFFICIAL_SCALE = 5.0
"""The public implementation trains bare logits v and scores tanh(v / 5)."""


class PPMSettings(RewardModelSettings):
    """How to train a PPM (see `RewardModelSettings` for what all reward models share); the defaults are the paper's
    (appendix A.1).

    `squash` says what the loss compares: "tanh" squashed values, as in the paper, "none" bare logits, as in the public
    implementation. `sharpness` multiplies their difference in the loss: squashed values differ by at most 2, so that
    the loss cannot fall below log(1 + exp(-2 sharpness)), 0.127 at sharpness 1. The score of a bare logit v is
    tanh(v / `scale`), by default 5 as in the public implementation; 1 is what the loss makes of it, since then
    p = (score + 1) / 2 is the probability by which a step is preferred to one of the opposite value.

    `centering` pulls the sum of a pair's values to 0: its square is added to the loss with this factor.
    """

    epochs: float = Field(1, gt=0)
    batch_size: int = Field(512, ge=1)
    squash: Literal["tanh", "none"] = "tanh"
    sharpness: float = Field(1.0, gt=0)
    scale: float | None = Field(None, gt=0)
    centering: float = Field(0.0, ge=0)

    @property
    def reward_scale(self) -> float:
        if self.scale is not None:
            return self.scale
        return 1.0 if self.squash == "tanh" else OFFICIAL_SCALE

    @model_validator(mode="after")
    def _squashed_values_have_their_scale(self) -> "PPMSettings":
        if self.squash == "tanh" and self.scale not in (None, 1.0):
            raise ValueError("`scale` is that of bare logits: set `squash: none`, or leave it out")
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class PPMReport(RewardReport):
    """What came of the training of a PPM. `too_long`, `weightless` and `identical` (a text and itself) count the pairs
    that were left out.
    """

    pairs: int
    held_out: int
    too_long: int
    weightless: int
    identical: int


@dataclass(frozen=True, slots=True)
class Pair:
    """A preference pair as tokens, each side with the prompt."""

    problem_id: str
    chosen: list[int]
    rejected: list[int]
    weight: float
    scope: str

    @property
    def texts(self) -> tuple[list[int], list[int]]:
        return self.chosen, self.rejected


def train_ppm(
    policy: str | Path,
    pairs: Rows,
    out: Path,
    settings: PPMSettings,
    seed: int,
    on_progress: OnProgress | None = None,
) -> PPMReport:
    """Trains a PPM from the checkpoint `policy`, its language head replaced by a scalar one, into the folder `out`.

    A pair has `prompt` (the question in its template and the steps so far), `chosen` and `rejected` (the next step,
    better and worse), `weight`, and `problem_id`. The loss of a pair is -weight log sigmoid(r(chosen) - r(rejected)),
    with r read at the last token of the step, nothing appended; only the ratios of weights matter, and a pair of weight
    0 has no effect. By its `scope`, "step" unless it says otherwise, it is counted where it is held out. The
    checkpoint is an ordinary sequence classifier with one label, and `reward_scale` in its
    configuration. Processes and errors are as in `train_sft`.
    """
    from ponderosa.training import environment
    from ponderosa.training.reward_trainers import PairTrainer

    columns = {"prompt": str, "chosen": str, "rejected": str, "weight": float, "problem_id": str}
    data = read_pairs(pairs, columns, {"scope": "step"})
    weighted = [pair for pair in data if pair["weight"] > 0]
    tokenizer = environment.load_tokenizer(policy)
    different = [pair for pair in weighted if pair["chosen"] != pair["rejected"]]
    encoded = _encode(tokenizer, different)
    kept = [pair for pair in encoded if max(map(len, pair.texts)) <= settings.max_length]
    if not kept:
        raise PonderosaError(
            f"there is no preference pair to train on: of {len(data)}, {len(data) - len(weighted)} have no weight, "
            f"{len(weighted) - len(different)} compare a text with itself and {len(encoded)} exceed `max_length` "
            f"{settings.max_length}; search more problems or raise it"
        )
    train, held_out = split(kept, settings.held_out, attrgetter("problem_id"))
    report = partial(
        PPMReport,
        pairs=len(train),
        held_out=len(held_out),
        too_long=len(encoded) - len(kept),
        weightless=len(data) - len(weighted),
        identical=len(weighted) - len(different),
    )
    return train_packed(
        policy,
        pairs,
        data,
        train,
        held_out,
        out,
        settings,
        seed,
        on_progress,
        kind="ppm",
        tokenizer=tokenizer,
        trainer=PairTrainer,
        report=report,
    )


def _encode(tokenizer: Any, pairs: Sequence[dict[str, Any]]) -> list[Pair]:
    heads = encode_prompts(tokenizer, (pair["prompt"] for pair in pairs))
    steps = encode_continuations(tokenizer, (pair[side] for pair in pairs for side in ("chosen", "rejected")))
    return [
        Pair(
            pair["problem_id"],
            heads[pair["prompt"]] + steps[pair["chosen"]],
            heads[pair["prompt"]] + steps[pair["rejected"]],
            pair["weight"],
            pair["scope"],
        )
        for pair in pairs
    ]
