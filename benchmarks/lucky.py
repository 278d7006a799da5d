"""Rows that a run of the world trained on, right in spite of a wrong step: how many, and of what kind the first one is.

`python benchmarks/lucky.py RUN`
"""

import argparse
from collections import Counter, defaultdict
from pathlib import Path

from ponderosa.forest import SFTRow, read_forest, read_rows
from ponderosa.problems import read_problems
from ponderosa.sapling.diagnosis import StepClass, diagnose


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    run: Path = parser.parse_args().run
    for folder in sorted(run.glob("round-*/data/sft")):
        chosen: dict[str, list[SFTRow]] = defaultdict(list)
        for row in read_rows(folder, SFTRow):
            chosen[row.tree_id].append(row)
        first: Counter[str] = Counter()
        for search in sorted(folder.parents[1].glob("search/*/problems.jsonl")):
            problems = {problem.id: problem for problem in read_problems(search)}
            for tree in read_forest(search.parent):
                for row in chosen.get(tree.id, []):
                    verdicts = diagnose(problems[row.problem_id], [tree.nodes[i].text for i in row.nodes])
                    wrong = (verdict.kind for verdict in verdicts if verdict.kind is not StepClass.RIGHT)
                    first["none" if verdicts[-1].values_ok else next(wrong, "none")] += 1
        print(
            f"{folder.parents[1].name}: {first.total()} rows; " + ", ".join(f"{k} {n}" for k, n in first.most_common())
        )


if __name__ == "__main__":
    main()
