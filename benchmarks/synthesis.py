"""How many answers of synthesised problems are true: `python benchmarks/synthesis.py FOLDER`, of the embedded world.

FOLDER is what `ponderosa problems synthesize` made with a sapling. The world reads the problems back: one that it can
read has a true answer, one that it cannot has none that could be right. Said is, by the share of the trajectories that
agree, how many problems there are of both kinds, and how many of the readable ones have the true answer.
"""

import asyncio
import sys
from collections import Counter
from pathlib import Path

from ponderosa.evaluation.statistics import proportion
from ponderosa.evolution.synthesis import SynthesisRun, votes_of
from ponderosa.problems import read_problems
from ponderosa.sapling.reading import UnreadableError, read

REASONS = ("not introduced", "introduced twice", "not whole, or less than 0", "whole solution")


def truth(question: str) -> tuple[str | None, str]:
    """The answer, or why there is none."""
    try:
        return read(question).answer, ""
    except UnreadableError as error:
        return None, next((reason for reason in REASONS if reason in str(error)), str(error))


def main() -> None:
    folder = Path(sys.argv[1])
    run = SynthesisRun.of(folder)
    trees = sorted((folder / "solutions").glob("tree-*"))
    fresh = {problem.id: problem for problem in read_problems(trees[0] / "problems.jsonl")}
    votes = asyncio.run(votes_of(trees, fresh, run.solving.grader, folder))
    why: Counter[str] = Counter()
    refused: Counter[tuple[str, bool]] = Counter()
    rows = []
    for id, problem in fresh.items():
        answer, share = votes[id].ranked[0] if votes[id].counts else (None, 0.0)
        true, reason = truth(problem.question)
        rows.append((share, true is not None, true is not None and answer == true, votes[id].verdict(run.keep)))
        why[rows[-1][3]] += 1
        if reason:
            refused[reason, rows[-1][3] == "kept"] += 1
    print(f"{len(rows)} problems were solved: {dict(why)}; {sum(readable for _, readable, *_ in rows)} can be read")
    print("| agreement from | kept | can be read, % [95 %] | answer true, % of all [95 %] | % of the readable [95 %] |")
    print("|---|---|---|---|---|")
    for least in [0.0, 0.25, 0.5, 0.6, 0.75, 0.9, 1.0]:
        kept = [row for row in rows if row[0] >= least]
        readable, true = sum(row[1] for row in kept), sum(row[2] for row in kept)
        cells = [(readable, len(kept)), (true, len(kept)), (true, readable)]
        print(f"| {least:.2f} | {len(kept)} | {' | '.join(shown(*cell) for cell in cells)} |")
    kept = [row for row in rows if row[3] == "kept"]
    readable, true = sum(row[1] for row in kept), sum(row[2] for row in kept)
    print(f"as kept: {len(kept)}, of which {readable} can be read and {true} are true")
    for reason in dict.fromkeys(reason for reason, _ in refused):
        kept_ones, others = refused[reason, True], refused[reason, False]
        print(f"cannot be read, {reason}: {kept_ones} of {kept_ones + others} kept")


def shown(count: int, of: int) -> str:
    if not of:
        return "-"
    share = proportion(count, of)
    return f"{100 * share.value:.1f} [{100 * share.low:.1f}, {100 * share.high:.1f}]"


if __name__ == "__main__":
    main()
