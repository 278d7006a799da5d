"""What a reward model is worth: calibration, the order of sibling steps, and what choosing by it gains."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ponderosa.core import Outcome, Problem, StepFormat, Tree
from ponderosa.evaluation import metrics, statistics
from ponderosa.evaluation.calibration import reliability
from ponderosa.evaluation.choices import AGGREGATED, separation
from ponderosa.evaluation.metrics import Accuracy, Sampled
from ponderosa.forest import PAPER, PreferenceSettings, ValueRowSettings, preference_pairs, value_rows


def pair_accuracy(
    trees: Iterable[Tree], format: StepFormat, settings: PreferenceSettings = PAPER
) -> dict[str, Any] | None:
    """The share of the trees' preference pairs whose better side ends with the higher value; None without pairs.

    The trees were searched with a judge, and their steps valued by the model. The interval counts pairs as if they did
    not depend on each other.
    """
    verdicts = []
    for tree in trees:
        for pair in preference_pairs([tree], format, settings):
            chosen, rejected = tree.nodes[pair.chosen_node].value, tree.nodes[pair.rejected_node].value
            verdicts.append(chosen is not None and rejected is not None and chosen > rejected)
    return asdict(statistics.proportion(sum(verdicts), len(verdicts))) if verdicts else None


Truths = Callable[[Problem, Sequence[str]], list[bool] | None]
"""Is all that has been computed right after each step? None where that is not known."""


def step_auc(trees: Iterable[Tree], problems: Mapping[str, Problem], truths: Truths) -> dict[str, Any] | None:
    """AUC of step values against the truth, by the model that scored the trees; None where it is not known.

    A path's steps count up to its first wrong one: what is right after a mistake is not defined.
    """
    scores: list[float] = []
    right: list[bool] = []
    groups: list[str] = []
    for tree in trees:
        for index, node in enumerate(tree.nodes):
            if node.value is None or node.outcome not in (None, Outcome.ANSWERED):
                continue
            known = truths(problems[tree.problem_id], tree.steps(index))
            if known is None:
                return None
            if not all(known[:-1]):
                continue
            scores.append(node.value)
            right.append(known[-1])
            groups.append(tree.problem_id)
    if len(set(right)) < 2:
        return None
    return asdict(statistics.auc(scores, right, groups))


def outcome_calibration(samples: Sequence[Sampled]) -> dict[str, Any] | None:
    """Of the solutions with an answer: does the p of the last step come true? And the AUC of that p.

    None without such solutions.
    """
    found = [(p.problem_id, s) for p in samples for s in p.samples if s.answer is not None and s.scores]
    if not found:
        return None
    predicted = [metrics.path_score(sample, "last") for _, sample in found]
    right, groups = [sample.correct for _, sample in found], [problem for problem, _ in found]
    area = asdict(statistics.auc(predicted, right, groups)) if len(set(right)) == 2 else None
    return asdict(reliability(predicted, list(map(float, right)), groups)) | {"auc": area}


def step_calibration(trees: Iterable[Tree], format: StepFormat, settings: ValueRowSettings) -> dict[str, Any] | None:
    """Of the steps on the way that roll-outs have valued: is their p the share of right answers? None without any."""
    predicted: list[float] = []
    observed: list[float] = []
    groups: list[str] = []
    for tree in trees:
        for row in value_rows([tree], format, settings):
            for index, target in zip(row.nodes, row.targets, strict=True):
                node = tree.nodes[index]
                if target is not None and node.value is not None and not node.terminal:
                    predicted.append((node.value + 1) / 2)
                    observed.append((target + 1) / 2)
                    groups.append(row.problem_id)
    return asdict(reliability(predicted, observed, groups)) if predicted else None


def choice_gains(samples: Sequence[Sampled], k: int, aggregations: dict[str, str]) -> dict[str, Any]:
    """Best-of-`k` and the weighted vote, as `aggregations` says for each, with their paired differences to the majority
    and to the mean sample; and how often a right sample of a problem scores higher than a wrong one.
    """
    majority, mean = metrics.majority(samples, k), metrics.pass_at(samples, 1)
    found: dict[str, Any] = {"k": k, "majority": majority.to_json(), "mean_sample": mean.to_json()}
    for rule, metric in AGGREGATED.items():
        accuracy: Accuracy = metric(samples, k, aggregations[rule])
        found[rule] = accuracy.to_json() | {
            "aggregation": aggregations[rule],
            "separation": separation(samples, aggregations[rule]),
            "over_majority": asdict(statistics.paired_difference(majority.rates, accuracy.rates)),
            "over_mean_sample": asdict(statistics.paired_difference(mean.rates, accuracy.rates)),
            "rates": accuracy.rates,
        }
    return found
