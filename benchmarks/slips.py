"""Slips of a policy that thinks in words, on a run of the world: sums that are wrong, values copied wrongly.

`python benchmarks/slips.py RUN`

A line of thinking is a chain such as `ann + ben = 12 + 8 = 20`. Between its parts nothing but a slip changes the value:
of copying, where names become numbers, or of calculating. A part that is no arithmetic, or has names that were never
set, is passed over. What a line should have computed is another question, of which the answer says whether it was met.
"""

import argparse
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from ponderosa.evaluation.statistics import proportion
from ponderosa.evolution.run import read_json
from ponderosa.forest import read_forest
from ponderosa.sapling.arithmetic import ExpressionError, formula
from ponderosa.sapling.languages import LANGUAGES, translate
from ponderosa.sapling.thinking import SO

COPYING, CALCULATING = "copying", "calculating"
_LINE = re.compile(
    rf" (?:{'|'.join(translate(SO, language) for language in LANGUAGES)}) (\w+) = (.*?)\.?$", re.MULTILINE
)


def slips(solution: str) -> Iterator[str]:
    """The kind of each slip."""
    values: dict[str, int] = {}
    for name, chain in _LINE.findall(solution):
        found = []
        for part in chain.split(" = "):
            try:
                found.append((bool(re.search("[a-z]", part)), formula(part)(values)))
            except ExpressionError:
                continue
        for (named, before), (named_too, after) in pairwise(found):
            if before != after:
                yield COPYING if named and not named_too else CALCULATING
        if found:
            values[name] = found[-1][1]


def _share(part: list[bool]) -> str:
    if not part:
        return "-"
    one = proportion(sum(part), len(part))
    return f"{one.value:.1%} [{100 * one.low:.1f}, {100 * one.high:.1f}] of {one.n}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    run: Path = parser.parse_args().run
    for record in (read_json(run / "results.json") or {})["rounds"]:
        solutions = {
            tree.problem_id: "".join(tree.nodes[i].text for i in tree.path(tree.rollouts[0]))
            for tree in read_forest(run / f"round-{record['round']}" / "evaluation" / "greedy")
        }
        kinds = [set(slips(solutions[problem])) for problem in record["problems"]]
        right = [mark == "1" for mark in record["greedy"]["right"]]
        print(f"round {record['round']}: a slip in {_share([bool(found) for found in kinds])}")
        for kind in (COPYING, CALCULATING):
            print(f"    of {kind} in {_share([kind in found for found in kinds])}")
        for slipped in (True, False):
            part = [ok for ok, found in zip(right, kinds, strict=True) if bool(found) is slipped]
            print(f"    right {'with' if slipped else 'without'} one {_share(part)}")


if __name__ == "__main__":
    main()
