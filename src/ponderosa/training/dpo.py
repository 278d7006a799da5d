"""Direct preference optimisation of a policy (DPO, arXiv 2305.18290) on pairs of steps (Step-DPO, arXiv 2406.18629).

What Step-DPO has a large model look for, the first wrong step and a right one in its place, a search has found already:
its pairs are steps after the same prefix, or whole trajectories.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ponderosa.core import PonderosaError
from ponderosa.training.checkpoint import identify, making, staging
from ponderosa.training.encoding import IGNORED, encode_prompts, encode_written, split_response
from ponderosa.training.rows import Rows, read_pairs, split
from ponderosa.training.settings import Evaluation, FitReport, HeldOutSettings, OnProgress

Scope = Literal["step", "trajectory"]


class DPOSettings(HeldOutSettings):
    """How to optimise a policy by preferences; the defaults are those of Step-DPO's code for models of 7B.

    `beta` says how much a departure from the reference, the policy that training starts from, costs. `loss` is TRL's
    name of one: "sigmoid" (DPO), "ipo" (arXiv 2310.12036), "hinge" (SLiC), "robust" (with `label_smoothing`, the share
    of pairs that are thought to be the wrong way round), "sigmoid_norm", "apo_zero". `sft_weight` adds so much of the
    likelihood of the chosen texts (RPO, arXiv 2404.19733), which plain DPO may lower. Of the pairs only those of
    `scopes` are taken whose Q values differ by `min_margin` at least. `batch_size` counts pairs. Whole problems
    are held out.

    A checkpoint is saved in 32 bits: most of so few small steps would be rounded away in 16.
    """

    epochs: float = Field(8, gt=0)
    learning_rate: float = Field(5e-7, gt=0)
    schedule: Literal["linear", "cosine", "constant"] = "cosine"
    warmup: float = Field(0.1, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    save_precision: Literal["float32", "bfloat16"] = "float32"
    beta: float = Field(0.5, gt=0)
    loss: Literal["sigmoid", "ipo", "hinge", "robust", "sigmoid_norm", "apo_zero"] = "sigmoid"
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    sft_weight: float = Field(0.0, ge=0)
    scopes: tuple[Scope, ...] = Field(("step", "trajectory"), min_length=1)
    min_margin: float = Field(0.0, ge=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class DPOReport(FitReport):
    """What came of an optimisation by preferences.

    Of the pairs some were `filtered` (by scope, margin or a weight of 0), `identical` (the policy wrote the same, or
    nothing, on one side) or `too_long`, and some `held_out`. An epoch draws `drawn` of the `pairs` that are left, by
    weight. The figures of the implicit reward beta log(policy / reference) are means over the last tenth of the steps:
    `accuracy` is the share of pairs whose chosen text has the higher one. `tokens` are the policy's; the reference
    reads them too. `kept` is the evaluation of the weights that were kept, if any were made.
    """

    pairs: int
    held_out: int
    drawn: int
    filtered: int
    identical: int
    too_long: int
    accuracy: float
    chosen_reward: float
    rejected_reward: float
    kept: Evaluation | None
    evaluations: tuple[Evaluation, ...]


def train_dpo(
    policy: str | Path,
    pairs: Rows,
    out: Path,
    settings: DPOSettings,
    seed: int,
    on_progress: OnProgress | None = None,
) -> DPOReport:
    """Optimises the causal language model `policy` by `pairs`, itself being the reference, into the folder `out`.

    A pair has `prompt` (the question in its template and the steps so far), `chosen` and `rejected` (what comes next,
    a step or all steps, nothing appended) and `weight`; where `settings` ask for them also `scope`, `margin`, and
    `problem_id` for what is held out. The loss is on what the policy writes, without the executor's output. A pair is
    drawn as often as its weight says, so that the pairs of a group count as one. Processes and errors are as in
    `train_sft`.
    """
    from ponderosa.training import environment, fitting
    from ponderosa.training.batches import epoch_of
    from ponderosa.training.dpo_trainer import PreferenceTrainer, preference_config

    columns: dict[str, type] = {"prompt": str, "chosen": str, "rejected": str, "weight": float}
    if set(settings.scopes) != {"step", "trajectory"}:
        columns["scope"] = str
    if settings.min_margin:
        columns["margin"] = float
    if settings.held_out:
        columns["problem_id"] = str
    data = read_pairs(pairs, columns)
    asked = [pair for pair in data if _asked(pair, settings)]
    different = [pair for pair in asked if _differ(pair["chosen"], pair["rejected"])]
    tokenizer = environment.load_tokenizer(policy)
    environment.check_policy(policy)
    encoded = encode_pairs(tokenizer, different)
    kept = [pair for pair in encoded if pair.length <= settings.max_length]
    if not kept:
        raise PonderosaError(
            f"there is no preference pair to train the policy on: of {len(data)}, {len(data) - len(asked)} are not of "
            f"`scopes`, `min_margin` or have no weight, {len(asked) - len(different)} compare a text with itself or "
            f"with nothing, and {len(encoded) - len(kept)} exceed `max_length` {settings.max_length}"
        )
    train, held_out = split(kept, settings.held_out, attrgetter("problem_id"))
    drawn = epoch_of([pair.weight for pair in train])

    going_on = identify("dpo", policy, data, settings.identity, seed)
    staged = staging(out, main=environment.is_main(), going_on=going_on)
    with environment.training_environment(settings, policy), staged as stage:
        trainer = PreferenceTrainer(
            model=str(policy),
            args=preference_config(settings, seed, stage.scratch, drawn=drawn, evaluate=bool(held_out)),
            pairs=train,
            held_out=held_out,
            processing_class=tokenizer,
            settings=settings,
        )
        fit = fitting.fit(trainer, on_progress)
        report = DPOReport(
            pairs=len(train),
            held_out=len(held_out),
            drawn=drawn,
            filtered=len(data) - len(asked),
            identical=len(asked) - len(different),
            too_long=len(encoded) - len(kept),
            **fit.figures,
            accuracy=trainer.at_end("rewards/accuracies"),
            chosen_reward=trainer.at_end("rewards/chosen"),
            rejected_reward=trainer.at_end("rewards/rejected"),
            kept=trainer.kept,
            evaluations=tuple(trainer.evaluations),
        )
        fitting.save(trainer, settings, tokenizer, stage.checkpoint)
        if environment.is_main():
            stage.publish(making("dpo", policy, pairs, settings, seed, report))
    return report


def _asked(pair: dict[str, Any], settings: DPOSettings) -> bool:
    return (
        pair["weight"] > 0
        and pair.get("scope", settings.scopes[0]) in settings.scopes
        and pair.get("margin", settings.min_margin) >= settings.min_margin
    )


def _differ(chosen: str, rejected: str) -> bool:
    """Is there something on both sides that the policy wrote, and not the same?"""
    a, b = (["".join(piece for piece, mine in split_response(text) if mine)] for text in (chosen, rejected))
    return bool(a[0] and b[0]) and a != b


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """A pair as tokens; of those of each side the labels, `IGNORED` where the executor wrote."""

    prompt: list[int]
    chosen: tuple[list[int], list[int]]
    rejected: tuple[list[int], list[int]]
    weight: float
    problem_id: str

    @property
    def length(self) -> int:
        """The tokens of the longer text."""
        return len(self.prompt) + max(len(self.chosen[0]), len(self.rejected[0]))

    def columns(self) -> dict[str, list[int]]:
        """What TRL's collator takes, and which tokens of each side are learned."""
        return {
            "prompt_ids": self.prompt,
            "chosen_ids": self.chosen[0],
            "rejected_ids": self.rejected[0],
            "chosen_learned": [int(label != IGNORED) for label in self.chosen[1]],
            "rejected_learned": [int(label != IGNORED) for label in self.rejected[1]],
        }


def encode_pairs(tokenizer: Any, pairs: Sequence[dict[str, Any]]) -> list[EncodedPair]:
    """The pairs as tokens, nothing appended to their texts."""
    heads = encode_prompts(tokenizer, (pair["prompt"] for pair in pairs))
    written = encode_written(tokenizer, (pair[side] for pair in pairs for side in ("chosen", "rejected")))
    return [
        EncodedPair(
            heads[pair["prompt"]],
            written[pair["chosen"]],
            written[pair["rejected"]],
            pair["weight"],
            pair.get("problem_id", ""),
        )
        for pair in pairs
    ]
