"""Training of reward models on labelled steps: outcome reward models (ORMs), and process reward models (PRMs).

What the labels are makes the model. An ORM learns from whether a solution's answer is right (Cobbe et al., arXiv
2110.14168); a PRM from the share of right answers that roll-outs from a step come to (Math-Shepherd, arXiv 2312.08935;
OmegaPRM, arXiv 2406.06592), or from the Q values of search trees (the PQM of rStar-Math's ablation, arXiv 2501.04519,
section 4.3). `ponderosa.forest.outcome_rows` and `value_rows` make them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ponderosa.core import PonderosaError
from ponderosa.forest import ValueRow
from ponderosa.training.encoding import encode_continuations, encode_prompts
from ponderosa.training.reward_models import RewardModelSettings, RewardReport, train_packed
from ponderosa.training.rows import Rows, read_rows, split
from ponderosa.training.settings import OnProgress


class ValueSettings(RewardModelSettings):
    """How to train a reward model on labelled steps (see `RewardModelSettings` for what all reward models share).

    `loss` is "cross_entropy" between p = (target + 1) / 2 and the p of the model's score, or "squares", the squared
    difference of score and target. `labels` says where a row's targets are learned: "steps" at the end of each step
    that has one, "tokens" at each of its tokens, as Cobbe et al. train an ORM.

    The score of a logit is tanh(logit / `scale`); at 2, p = sigmoid(logit). `batch_size` counts rows.
    """

    loss: Literal["cross_entropy", "squares"] = "cross_entropy"
    labels: Literal["steps", "tokens"] = "steps"
    scale: float = Field(2.0, gt=0)

    @property
    def reward_scale(self) -> float:
        return self.scale


@dataclass(frozen=True, kw_only=True, slots=True)
class ValueReport(RewardReport):
    """What came of the training. `rows` were trained on, with `labels` in all, of which `positive` are above 0.

    `held_out` rows were judged on; `too_long` and `unlabelled` count those that were left out.
    """

    rows: int
    labels: int
    positive: int
    held_out: int
    too_long: int
    unlabelled: int


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A solution as tokens, with the prompt: at `places`, indices of its tokens, its value is to be `targets`. The
    steps that are labelled there begin at `begins`.
    """

    problem_id: str
    tokens: list[int]
    places: list[int]
    targets: list[float]
    begins: list[int]

    @property
    def texts(self) -> tuple[list[int]]:
        return (self.tokens,)


def train_values(
    policy: str | Path,
    rows: Rows,
    out: Path,
    settings: ValueSettings,
    seed: int,
    on_progress: OnProgress | None = None,
) -> ValueReport:
    """Trains a reward model from the checkpoint `policy`, its language head replaced by a scalar one, into `out`.

    A row has `prompt` (the question in its template), `steps`, `targets` (for each step a value in [-1, 1], or None
    where it is not known) and `problem_id`. Every label counts the same. The checkpoint is of the same kind as a PPM:
    its value is read at the last token of a step, nothing appended. Processes and errors are as in `train_sft`; also
    raises `PonderosaError` for targets that do not fit the steps, and where all are alike.
    """
    from ponderosa.training import environment
    from ponderosa.training.reward_trainers import ValueTrainer

    data = read_rows(rows, ValueRow, {"prompt": str, "steps": list, "targets": list, "problem_id": str})
    for number, row in enumerate(data, start=1):
        _check(row, number)
    tokenizer = environment.load_tokenizer(policy)
    labelled = [text for text in _encode(tokenizer, data, settings.labels) if text.places]
    kept = [text for text in labelled if len(text.tokens) <= settings.max_length]
    if not kept:
        raise PonderosaError(
            f"there is no labelled solution to train on: of {len(data)}, {len(data) - len(labelled)} have no target "
            f"and {len(labelled)} exceed `max_length` {settings.max_length}; search more problems or raise it"
        )
    train, held_out = split(kept, settings.held_out, attrgetter("problem_id"))
    targets = [target for text in train for target in text.targets]
    _check_contrast(targets)
    report = partial(
        ValueReport,
        rows=len(train),
        labels=len(targets),
        positive=sum(target > 0 for target in targets),
        held_out=len(held_out),
        too_long=len(labelled) - len(kept),
        unlabelled=len(data) - len(labelled),
    )
    return train_packed(
        policy,
        rows,
        data,
        train,
        held_out,
        out,
        settings,
        seed,
        on_progress,
        kind="values",
        tokenizer=tokenizer,
        trainer=ValueTrainer,
        report=report,
    )


def _check(row: dict[str, Any], number: int) -> None:
    """Raises `PonderosaError` for a row whose targets are not those of its steps."""
    steps, targets = row["steps"], row["targets"]
    if len(steps) != len(targets):
        raise PonderosaError(f"training row {number} has {len(steps)} steps and {len(targets)} targets: one each")
    for step, target in zip(steps, targets, strict=True):
        if not isinstance(step, str):
            raise PonderosaError(f"training row {number}: a step is a text, not {step!r}")
        number_given = isinstance(target, int | float) and not isinstance(target, bool)
        if target is not None and not (number_given and math.isfinite(target) and -1 <= target <= 1):
            raise PonderosaError(f"training row {number}: a target is a number from -1 to 1 or none, not {target!r}")


def _check_contrast(targets: Sequence[float]) -> None:
    """Raises `PonderosaError` where all targets are the same: a model would learn that number, and nothing of texts."""
    if min(targets) < max(targets):
        return
    what, cure = (
        f"all {len(targets)} targets are {targets[0]:g}",
        "labels of another kind, or more problems, are needed",
    )
    if targets[0] == 1:
        what = f"all {len(targets)} labels say right"
        cure = "search harder problems, or take more samples at a higher temperature, until some are wrong"
    elif targets[0] == -1:
        what = f"all {len(targets)} labels say wrong"
        cure = "search easier problems, or take more samples, until some are right"
    raise PonderosaError(f"{what}: a reward model cannot be learned from one class; {cure}")


def _encode(tokenizer: Any, rows: Sequence[dict[str, Any]], labels: str) -> list[LabelledText]:
    heads = encode_prompts(tokenizer, (row["prompt"] for row in rows))
    steps = encode_continuations(tokenizer, (step for row in rows for step in row["steps"]))
    texts = []
    for row in rows:
        tokens = list(heads[row["prompt"]])
        places: list[int] = []
        targets: list[float] = []
        begins: list[int] = []
        for step, target in zip(row["steps"], row["targets"], strict=True):
            begin = len(tokens)
            tokens += steps[step]
            if target is None or begin == len(tokens):  # a step without a token has nowhere to read a value
                continue
            read = range(begin if labels == "tokens" else len(tokens) - 1, len(tokens))
            places += read
            targets += [float(target)] * len(read)
            begins += [begin] * len(read)
        texts.append(LabelledText(row["problem_id"], tokens, places, targets, begins))
    return texts
