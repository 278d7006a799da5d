"""Methods at equal compute, over several seeds: `python benchmarks/methods.py RUN...`, folders of `ponderosa eval`.

Runs with one policy are put together, as more budgets of the same. Problems are the unit of sampling: what a method
gets right of a problem is averaged over policies (the seeds of an evolution) before anything is paired. A method is
compared with the majority vote, and with the weighted vote, of as many generated tokens; and with the majority vote of
the fewest samples that cost at least its FLOPs, the reward model's included.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from ponderosa.evaluation.statistics import Estimate, mean_of_rates, paired_difference

Key = tuple[str, int]


def merged(runs: list[Path]) -> list[dict[Key, dict[str, Any]]]:
    """The points of each policy, by method and budget."""
    found: dict[str, dict[Key, dict[str, Any]]] = defaultdict(dict)
    for run in runs:
        results = json.loads((run / "results.json").read_text())
        for point in results["points"]:
            if point["method"] != "pass":
                found[results["settings"]["policy"]].setdefault((point["method"], point["budget"]), point)
    return list(found.values())


def mean_over(policies: list[dict[Key, dict[str, Any]]], key: Key) -> tuple[list[float], float, float]:
    """What each problem got on average, and the mean tokens and FLOPs."""
    points = [policy[key] for policy in policies]
    rights = [[float(digit) for digit in point["right"]] for point in points]
    means = [sum(one) / len(one) for one in zip(*rights, strict=True)]
    return means, *(sum(point[cost] for point in points) / len(points) for cost in ("tokens", "flops"))


def shown(estimate: Estimate | None) -> str:
    return (
        ""
        if estimate is None
        else f"{100 * estimate.value:+.1f} [{100 * estimate.low:+.1f}, {100 * estimate.high:+.1f}]"
    )


def main() -> None:
    policies = merged([Path(word) for word in sys.argv[1:]])
    keys = [key for key in policies[0] if all(key in policy for policy in policies)]
    rows = {key: mean_over(policies, key) for key in keys}
    votes = {
        name: sorted((rows[key] for key in keys if key[0] == name), key=lambda row: row[2])
        for name in ("majority", "weighted")
    }
    print(f"n = {len(next(iter(rows.values()))[0])} problems, {len(policies)} policies\n")
    columns = ["method", "N", "accuracy, % [95 %]", "tokens", "FLOPs"]
    columns += ["over majority, like tokens", "like FLOPs", "over weighted, like tokens"]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for key in keys:
        rights, tokens, flops = rows[key]
        against: list[Estimate | None] = []
        for name, fits in (("majority", tokens), ("majority", None), ("weighted", tokens)):
            if fits is None:
                others = [row for row in votes[name] if row[2] >= 0.999 * flops]
            else:
                others = [row for row in votes[name] if abs(row[1] - fits) <= 0.02 * fits]
            other = others[0] if others else None
            against.append(None if other is None or other[0] is rights else paired_difference(other[0], rights))
        low_high = mean_of_rates(rights)
        name, budget = key
        print(
            f"| {name} | {budget} | {100 * low_high.value:.1f} [{100 * low_high.low:.1f}, {100 * low_high.high:.1f}] | "
            f"{tokens:,.0f} | {flops:.2e} | {' | '.join(map(shown, against))} |"
        )


if __name__ == "__main__":
    main()
