"""Puts runs of one recipe with several seeds into one table: `python benchmarks/embedded.py runs/sapling-{1,2,3}`.

Accuracies are means over the runs, all on the same held-out problems; intervals are percentile bootstraps over the
problems (the runs' results on a problem are averaged first), so they hold for these problems and these seeds.
"""

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ponderosa.evaluation import Estimate
from ponderosa.evaluation.statistics import mean_of_rates, paired_difference
from ponderosa.view.rounds import against_majority, chosen_best


def main(runs: list[Path]) -> None:
    results = [json.loads((run / "results.json").read_text()) for run in runs]
    rounds = len(results[0]["rounds"])
    print(f"{len(runs)} runs of {results[0]['recipe']['name']}, seeds {[r['seed'] for r in results]}")
    print("wall: " + ", ".join(f"{result['wall_s']:.0f} s" for result in results) + "\n")
    greedy = [np.mean([_right(r, n) for r in results], axis=0).tolist() for n in range(rounds)]
    print("| | " + " | ".join("base" if n == 0 else f"round {n}" for n in range(rounds)) + " |")
    print("|---" * (rounds + 1) + "|")
    _row("greedy, % [95 %]", [_shown(mean_of_rates(rates)) for rates in greedy])
    _row("gain over the round before", ["", *(_shown(paired_difference(a, b)) for a, b in pairwise(greedy))])
    for name, path in (
        ("tokens a problem, greedy", ("greedy", "tokens")),
        ("majority, %", ("majority", "accuracy")),
        ("PPM-weighted vote, %", ("weighted", "accuracy")),
        ("best of n, %", ("best_of_n", "accuracy")),
        ("MCTS + PPM, %", ("mcts", "accuracy")),
        ("pass@k, %", ("pass_at_k", "accuracy")),
        ("coverage of the round, %", ("coverage", "value")),
        ("coverage of the probe pool, %", ("probe_coverage", "value")),
        ("PPM AUC, steps of the policy", ("ppm", "auc", "value")),
        ("PPM AUC, fixed pool", ("ppm", "probe_auc", "value")),
        ("PPM pair accuracy, fixed pool", ("ppm", "pair_accuracy", "value")),
        ("wrong intermediate value, % of SFT rows", ("sft", "wrong_intermediate", "value")),
    ):
        scale = 1 if "tokens" in name else 100
        _row(name, [_mean(results, n, path, scale) for n in range(rounds)])
    base = float(np.mean(greedy[0]))
    print(f"\nerrors removed by greedy decoding: {_removed(base, float(np.mean(greedy[-1])))}")
    best = [result["rounds"][-1]["best"] for result in results if "best" in result["rounds"][-1]]
    if best:
        accuracy = float(np.mean([record["accuracy"] for record in best]))
        print(f"errors removed by each run's best method on dev ({100 * accuracy:.1f} %): {_removed(base, accuracy)}")
    for result in results:
        chosen = chosen_best(result)
        lines = [f"best on dev: {chosen[0]}, {chosen[1].percent} %"] if chosen else []
        print(f"\nseed {result['seed']}\n" + "\n".join(f"- {line}" for line in [*lines, *against_majority(result)]))


def _removed(base: float, accuracy: float) -> str:
    return f"{100 * (accuracy - base) / (1 - base):.1f} %"


def _right(result: dict[str, Any], number: int) -> list[float]:
    return [float(c) for c in result["rounds"][number]["greedy"]["right"]]


def _mean(results: list[dict[str, Any]], number: int, path: tuple[str, ...], scale: float) -> str:
    values = []
    for result in results:
        value: Any = result["rounds"][number]
        for key in path:
            value = value.get(key) if value else None
        if value is not None:
            values.append(scale * value)
    return f"{np.mean(values):.1f}" if values else ""


def _shown(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def _row(name: str, cells: list[str]) -> None:
    print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main([Path(word) for word in sys.argv[1:]])
