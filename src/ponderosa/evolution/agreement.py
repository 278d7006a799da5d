"""Training trajectories that a second model agrees with.

rStar's mutual reasoning (arXiv 2408.06195, section 3.3) chooses among answers at test time by what a second model makes
of the beginnings of their solutions. Here the same filters training data: a trajectory that is right by luck, with a
wrong value on the way, is one whose beginning leads others elsewhere. No known answer is asked for.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ponderosa.cluster.shard import SOLUTION
from ponderosa.core import Problem, Tree
from ponderosa.forest import SFTRow
from ponderosa.search import agreement_of


def claims(rows: Sequence[SFTRow], problems: Mapping[str, Problem], trees: Iterable[Tree]) -> list[Problem]:
    """Each trajectory as a problem whose answer is what it comes to, in the order of the rows. The trees hold them."""
    ends: dict[str, set[int]] = {}
    for row in rows:
        ends.setdefault(row.tree_id, set()).add(row.nodes[-1])
    answers = {(tree.id, end): tree.nodes[end].answer for tree in trees for end in ends.get(tree.id, ())}
    return [
        replace(
            problems[row.problem_id],
            id=f"{row.tree_id}@{row.nodes[-1]}",
            answer=answers[row.tree_id, row.nodes[-1]],
            meta={**problems[row.problem_id].meta, SOLUTION: row.response},
        )
        for row in rows
    ]


def agreeing(
    rows: Sequence[SFTRow], asked: Sequence[Problem], completed: Iterable[Tree], least: float
) -> tuple[list[SFTRow], dict[str, Any]]:
    """The rows with at least the share `least` of agreement, and the counts; `completed` are the trees of `asked`.

    In the counts `agreement` has the trajectories by the share of completions that agreed.
    """
    shares, tokens = {}, 0
    for tree in completed:
        shares[tree.problem_id] = agreement_of(tree)
        tokens += tree.usage.generated_tokens
    kept = [row for row, claim in zip(rows, asked, strict=True) if shares[claim.id] >= least]
    histogram = Counter(f"{share:.2f}" for share in shares.values())
    return kept, {
        "least": least,
        "asked": len(rows),
        "kept": len(kept),
        "generated_tokens": tokens,
        "agreement": dict(sorted(histogram.items())),
    }
