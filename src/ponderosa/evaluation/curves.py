"""Accuracy against compute: what each method buys at each budget, on the same problems.

Costs are a problem's means. Generated tokens are those of all samples and candidates. FLOPs are those of the policy and
of the reward model, each text read or written once, as by servers that keep prefixes: the policy reads the question's
prompt and writes what it generates, the reward model reads the prompt and the steps that it scores. Left out is what
revisions, sub-questions and discriminators read beside the question, and what an outcome reward model reads.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from ponderosa.core import Tree
from ponderosa.evaluation.accounting import Sizes
from ponderosa.evaluation.choices import AGGREGATED
from ponderosa.evaluation.metrics import Accuracy, Sampled, majority, pass_at
from ponderosa.evaluation.statistics import Estimate, paired_difference
from ponderosa.search import AGGREGATIONS


@dataclass(frozen=True, slots=True)
class Cost:
    """A problem's mean cost in tokens: generated, of prompts that were computed, read by the reward model, and, a part
    of the generated ones, those of a discriminator.
    """

    generated: float = 0.0
    prompt: float = 0.0
    rewarded: float = 0.0
    discriminator: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def flops(self, sizes: Sizes) -> float | None:
        """None where a size is not known."""
        policy = self.generated - self.discriminator + self.prompt
        return sizes.flops(policy, self.rewarded, self.discriminator)


@dataclass(frozen=True, slots=True)
class Point:
    """A method at a budget. `choice` says how its answer is read, or its steps' values aggregated."""

    method: str
    budget: int
    accuracy: Accuracy
    cost: Cost
    choice: str = ""

    def to_json(self, sizes: Sizes) -> dict[str, Any]:
        right = "".join(str(int(rate)) for rate in self.accuracy.rates) if self.method != "pass" else None
        return {
            "method": self.method,
            "budget": self.budget,
            **self.accuracy.to_json(),
            "cost": asdict(self.cost),
            "flops": self.cost.flops(sizes),
            "choice": self.choice,
            "right": right,
        }


def cost_of(trees: Sequence[Tree]) -> Cost:
    """The mean cost of searches."""
    totals = (
        sum(tree.usage.generated_tokens for tree in trees),
        sum(tree.nodes[0].tokens for tree in trees),
        sum(map(_rewarded, trees)),
        sum(tree.usage.discriminator_tokens for tree in trees),
    )
    return Cost(*(total / len(trees) for total in totals))


def _rewarded(tree: Tree) -> int:
    """Tokens of the steps that the reward model valued, and of the prompt before them."""
    if not tree.usage.reward_calls:
        return 0
    return tree.nodes[0].tokens + sum(node.tokens for node in tree.nodes if node.value is not None)


def sample_points(
    sampled: Sequence[Sampled], cost: Cost, budgets: Sequence[int], choices: Mapping[str, str], rewarded: bool
) -> list[Point]:
    """The methods that share samples, at budgets of up to as many. A budget of k takes a problem's first k samples,
    which are as good as k drawn for it; pass@k averages over all subsets of k.

    `cost` is that of all samples; a part of them costs its part of the tokens and all of the prompt.
    """
    points = []
    for k in budgets:
        base = majority(sampled, k)
        share = base.tokens / cost.generated if cost.generated else 1.0
        plain = Cost(base.tokens, cost.prompt)
        scored = Cost(base.tokens, cost.prompt, cost.rewarded * share)
        points += [Point("majority", k, base, plain), Point("pass", k, pass_at(sampled, k), plain)]
        if rewarded:
            for name, metric in AGGREGATED.items():
                how = choices.get(name, "last")
                points.append(Point(name, k, metric(sampled, k, how), scored, how))
    return points


def by_aggregation(sampled: Sequence[Sampled], budgets: Sequence[int]) -> list[dict[str, Any]]:
    """Best-of-N and the weighted vote at every N, for every way to aggregate step values.

    What falls as N grows is over-optimised: of more samples the one of highest score is more often one that the
    reward model overrates (Gao et al., arXiv 2210.10760). `lost` pairs the largest N with the best of all, which was
    lucky too.
    """
    rows = []
    for name, metric in AGGREGATED.items():
        for how in AGGREGATIONS:
            found = [metric(sampled, k, how) for k in sorted(budgets)]
            best = max(found, key=lambda accuracy: accuracy.estimate.value)
            rows.append(
                {
                    "method": name,
                    "aggregation": how,
                    "at": [
                        {"budget": k} | accuracy.to_json() for k, accuracy in zip(sorted(budgets), found, strict=True)
                    ],
                    "lost": asdict(paired_difference(best.rates, found[-1].rates)),
                }
            )
    return rows


def against(points: Sequence[Point], method: str = "majority") -> dict[tuple[str, int], Estimate]:
    """For each point the paired difference to the point of `method` whose generated tokens are nearest to its own."""
    base = [point for point in points if point.method == method]
    found = {}
    for point in points:
        if base and point.method not in (method, "pass"):
            nearest = min(base, key=lambda other: abs(other.cost.generated - point.cost.generated))
            found[point.method, point.budget] = paired_difference(nearest.accuracy.rates, point.accuracy.rates)
    return found
