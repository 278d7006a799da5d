"""What a second model's agreement is worth as a filter of training trajectories, on finished runs of the world.

`python benchmarks/mutual.py OUT RUN[=POLICY]... [--round 1] [--policy sapling] [--samples 1]`

For the trajectories that each run chose for training in that round, the second model ends each of their beginnings; the
world knows which of them have a wrong intermediate value. Said is, for every threshold, what remains, with 95 %
intervals, and the tokens that the second model wrote for a trajectory. The last column is the control: as many of the
shortest trajectories, since what is long goes wrong more often and is agreed on less.
"""

import argparse
import asyncio
from pathlib import Path

from rich.console import Console

from ponderosa.evaluation.statistics import auc, proportion
from ponderosa.evolution.loops import recipe_of
from ponderosa.evolution.recipe import MutualFilter
from ponderosa.evolution.run import Run
from ponderosa.evolution.stages import Forest, Stages
from ponderosa.forest import SFTRow, read_forest, read_rows
from ponderosa.problems import read_problems
from ponderosa.search import AgreementSettings, agreement_of
from ponderosa.view.progress import progress


async def asked(run: Path, out: Path, number: int, second: MutualFilter) -> tuple[list[tuple[float, bool, int]], int]:
    """For each trajectory the share that agrees, whether a value of it is wrong, and its length; the tokens of all."""
    recipe = recipe_of(run)
    folders = sorted((run / f"round-{number}" / "search").glob("tree-*"))
    forests = [Forest(folder, tuple(read_problems(folder / "problems.jsonl"))) for folder in folders]
    rows = read_rows(run / f"round-{number}" / "data" / "sft", SFTRow)
    steps = {
        (tree.id, nodes[-1]): [tree.nodes[i].text for i in nodes]
        for forest in forests
        for tree in forest.trees()
        for nodes in (row.nodes for row in rows if row.tree_id == tree.id)
    }
    with Run.open(out, recipe) as made, progress(Console()) as observer:
        async with Stages.open(made, observer) as stages:
            _, counts = await stages.agreed(number, rows, forests, second)
            shares = {
                tree.problem_id: agreement_of(tree) for tree in read_forest(out / f"round-{number}" / "agreement")
            }
            problems = {problem.id: problem for forest in forests for problem in forest.problems}
            found = []
            for row in rows:
                truths = stages.source.truths(problems[row.problem_id], steps[row.tree_id, row.nodes[-1]])
                assert truths is not None
                found.append((shares[f"{row.tree_id}@{row.nodes[-1]}"], not all(truths), len(row.response)))
    return found, counts["generated_tokens"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("runs", nargs="+", help="a folder of `ponderosa evolve`, with =POLICY the second model for it")
    parser.add_argument("--round", type=int, default=1)
    parser.add_argument("--policy", default="sapling")
    parser.add_argument("--samples", type=int, default=1)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--max-tokens", type=int, default=400)
    parser.add_argument("--prefixes", type=float, nargs="+", default=[0.2, 0.3, 0.4, 0.5])
    words = parser.parse_args()
    ask = AgreementSettings(
        tuple(words.prefixes), words.samples, temperature=words.temperature, max_tokens=words.max_tokens
    )
    found: list[tuple[float, bool, int]] = []
    tokens = 0
    for number, name in enumerate(words.runs):
        run, _, policy = name.partition("=")
        second = MutualFilter(policy=policy or words.policy, completions=ask)
        more, cost = asyncio.run(asked(Path(run), words.out / str(number), words.round, second))
        found += more
        tokens += cost
    print(f"{len(found)} trajectories, {tokens / len(found):.0f} tokens of the second model each")
    shares, right = [share for share, *_ in found], [not wrong for _, wrong, _ in found]
    area = auc(shares, right, [str(i) for i in range(len(found))])
    print(f"AUC of agreement for all values right: {area.value:.3f} [{area.low:.3f}, {area.high:.3f}]")
    short = auc([-float(length) for *_, length in found], right, [str(i) for i in range(len(found))])
    print(f"AUC of shortness: {short.value:.3f} [{short.low:.3f}, {short.high:.3f}]")
    print("| least | rows | % of rows | % of characters | wrong value, % [95 %] | wrong | of the shortest |")
    print("|---|---|---|---|---|---|---|")
    characters = sum(length for *_, length in found)
    for least in [0.0, *sorted({share for share in shares if share})]:
        kept = [one for one in found if one[0] >= least]
        wrong = sum(bad for _, bad, _ in kept)
        rate = proportion(wrong, len(kept))
        size = 100 * sum(length for *_, length in kept) / characters
        interval = f"{100 * rate.value:.2f} [{100 * rate.low:.2f}, {100 * rate.high:.2f}]"
        shortest = sum(bad for _, bad, _ in sorted(found, key=lambda one: one[2])[: len(kept)])
        cells = f"{100 * len(kept) / len(found):.1f} | {size:.1f} | {interval} | {wrong} | {shortest}"
        print(f"| {least:.2f} | {len(kept)} | {cells} |")


if __name__ == "__main__":
    main()
