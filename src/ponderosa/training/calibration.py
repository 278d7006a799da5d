"""What a reward model is worth on the rows that its training held out: is its p true, and are siblings in order?

Whether choosing by it gains anything takes samples of a policy: see `ponderosa rewards`, and the rounds of a recipe.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations
from statistics import fmean

from ponderosa.evaluation.calibration import Reliability, reliability
from ponderosa.evaluation.statistics import Estimate, proportion
from ponderosa.forest import PAPER
from ponderosa.training.ppm import Pair, PPMSettings
from ponderosa.training.values import LabelledText, ValueSettings


@dataclass(frozen=True, slots=True)
class Calibration:
    """`reliability` compares p with what came true; of a pair, p is the chance that the side of higher value is the
    better one, of a label, the share of right ends, (target + 1) / 2. `order` says by scope ("step": after the same
    steps) in which share of pairs the better side has the higher value; its intervals count pairs as if they did not
    depend on each other.
    """

    reliability: Reliability
    order: Mapping[str, Estimate]


def of_pairs(pairs: Sequence[Pair], differences: Sequence[float], settings: PPMSettings) -> Calibration:
    """`differences` are those of each pair's two values, better side first, as the loss compares them."""
    sure = [1 / (1 + math.exp(-settings.sharpness * abs(difference))) for difference in differences]
    right = [float(difference > 0) for difference in differences]
    return Calibration(
        reliability(sure, right, [pair.problem_id for pair in pairs]),
        _order((pair.scope, difference > 0) for pair, difference in zip(pairs, differences, strict=True)),
    )


def of_labels(texts: Sequence[LabelledText], logits: Sequence[float], settings: ValueSettings) -> Calibration:
    """`logits` are those at all places of the texts, in order.

    Steps after the same tokens are compared if their mean targets differ as much as preference pairs must by default.
    """
    said = [(math.tanh(logit / settings.reward_scale) + 1) / 2 for logit in logits]
    targets = [(target + 1) / 2 for text in texts for target in text.targets]
    groups = [text.problem_id for text in texts for _ in text.targets]
    return Calibration(reliability(said, targets, groups), _order(_siblings(texts, logits)))


def _siblings(texts: Sequence[LabelledText], logits: Sequence[float]) -> Iterable[tuple[str, bool]]:
    """For each pair of sibling steps: has the better one the higher value?"""
    left = iter(logits)
    steps: dict[int, dict[int, tuple[float, list[float]]]] = {}
    for text in texts:
        # Of each beginning of the text a number that only the same tokens to the same problem have.
        known = list(
            accumulate(text.tokens, lambda before, token: hash((before, token)), initial=hash(text.problem_id))
        )
        labels = zip(text.places, text.targets, left, strict=False)
        for begin, (place, target, logit) in dict(zip(text.begins, labels, strict=True)).items():  # a step's last one
            steps.setdefault(known[begin], {}).setdefault(known[place + 1], (logit, []))[1].append(target)
    for after in steps.values():
        for (value, targets), (other, others) in combinations(after.values(), 2):
            margin = fmean(targets) - fmean(others)
            if abs(margin) >= PAPER.min_margin:
                yield "step", (value - other) * margin > 0


def _order(verdicts: Iterable[tuple[str, bool]]) -> dict[str, Estimate]:
    by_scope: dict[str, list[bool]] = {}
    for scope, right in verdicts:
        by_scope.setdefault(scope, []).append(right)
    return {scope: proportion(sum(found), len(found)) for scope, found in by_scope.items()}
