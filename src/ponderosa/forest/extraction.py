"""From trees to training data: SFT rows and preference pairs.

rStar-Math, arXiv 2501.04519, section 3.3 (process preference model) and 3.4 (self-evolution). Where its paper and its
public code differ, `PreferenceSettings` names the choice. All functions take trees that were searched with a judge.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

from ponderosa.core import Node, StepFormat, Tree, derive_seed
from ponderosa.forest.edit_distance import at_least
from ponderosa.forest.rows import LabelRow, PairRow, Scope, SFTRow
from ponderosa.forest.trajectory import Trajectory, is_correct, is_wrong, trajectories

Choice = Literal["q", "random"]
"""Which of a problem's correct trajectories are taken: those of highest (mean Q, min Q), or any."""


def sft_rows(
    trees: Iterable[Tree],
    format: StepFormat,
    top: int = 2,
    choice: Choice = "q",
    *,
    verified: bool = True,
    keep: Callable[[Trajectory], bool | None] = lambda trajectory: True,
) -> list[SFTRow]:
    """Per problem the `top` correct trajectories over all its trees, of highest (mean Q, min Q) or any, texts distinct.

    What is any of them depends on the texts alone, so that a second call takes the same. Trajectories that are not
    `verified` may be wrong: what a policy says, whatever it is worth, to compare with. Those that one would not `keep`
    are left out before the cut, too.
    A trajectory with a step that failed to execute is no example, however lucky its answer; it is left out before the
    cut. (The public code drops it after, so that nothing refills its place.) Problems come in order of their first
    tree. The prompts are the format's: give one without few-shot examples.
    """
    kept: dict[str, list[Trajectory]] = {}
    for tree in trees:
        found = [t for t in trajectories(tree) if (t.correct or not verified) and not t.erred and keep(t)]
        kept[tree.problem_id] = _best([*kept.get(tree.problem_id, []), *found], top, _RANKS[choice])
    return [_sft_row(trajectory, format) for best in kept.values() for trajectory in best]


_RANKS: dict[Choice, Callable[[Trajectory], Any]] = {
    "q": lambda t: (t.mean_q, t.min_q),
    "random": lambda t: derive_seed("trajectory", t.problem_id, *t.steps),
}


def _best(candidates: list[Trajectory], top: int, rank: Callable[[Trajectory], Any]) -> list[Trajectory]:
    best: dict[str, Trajectory] = {}
    for trajectory in sorted(candidates, key=rank, reverse=True):
        best.setdefault("".join(trajectory.steps), trajectory)
    return list(best.values())[:top]


def _sft_row(trajectory: Trajectory, format: StepFormat) -> SFTRow:
    return SFTRow(
        prompt=format.render(trajectory.question).text,
        response="".join(trajectory.steps),
        problem_id=trajectory.problem_id,
        question=trajectory.question,
        tree_id=trajectory.tree_id,
        nodes=trajectory.nodes,
        mean_q=trajectory.mean_q,
        min_q=trajectory.min_q,
    )


def label_rows(trees: Iterable[Tree], format: StepFormat) -> list[LabelRow]:
    """Every trajectory with an answer and the judge's word on it, texts of one problem distinct."""
    rows: dict[tuple[str, str], LabelRow] = {}
    for tree in trees:
        for found in trajectories(tree):
            row = LabelRow(
                prompt=format.render(found.question).text,
                response="".join(found.steps),
                correct=found.correct,
                problem_id=found.problem_id,
                question=found.question,
                tree_id=found.tree_id,
                nodes=found.nodes,
            )
            rows.setdefault((row.problem_id, row.response), row)
    return list(rows.values())


@dataclass(frozen=True, slots=True)
class PreferenceSettings:
    """How pairs are chosen. The defaults are the paper's, with the thresholds of its public code."""

    pairs_per_side: int = 2
    """Steps taken from each side of a group; if one side has only one, the other may give this number squared."""
    min_margin: float = 0.5
    """A pair's Q values differ by at least this much (and always by more than 0)."""
    min_edit_distance: int = 20
    """A pair's texts differ by at least this many characters (Levenshtein); terse models need less."""
    final_step: Literal["across", "same_prefix"] = "across"
    """Where the answers of a tree are compared: whole trajectories across prefixes by mean Q (paper), or like other
    steps, below the same prefix only (public code)."""
    weight: Literal["kept", "selected"] = "kept"
    """A pair's weight: 1 / pairs of its group that were kept, so that every group counts the same (the mean of the
    paper's loss), or 1 / (n_pos · n_neg) as selected, before pairs were dropped (public code)."""


PAPER = PreferenceSettings()
OFFICIAL = PreferenceSettings(final_step="same_prefix", weight="selected")


def preference_pairs(trees: Iterable[Tree], format: StepFormat, settings: PreferenceSettings = PAPER) -> list[PairRow]:
    """The pairs of every tree: of steps after the same prefix, and, with `final_step="across"`, of trajectories.

    At every node that has children that lead to a correct answer and children that lead to a wrong one (a child may
    do both): positives are the children of highest Q of the first kind, negatives those of lowest Q of the second. A
    pair needs a positive Q margin both between the two steps and between the mean Q of their completions, the
    positive's best and the negative's worst, and must then pass the thresholds.
    """
    return [row for tree in trees for row in _pairs(tree, format, settings)]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One side of a pair: a continuation of the group's prefix, which ends at `node`."""

    node: int
    text: str
    q: float
    completion_q: float
    """The mean Q of the completion that speaks for the candidate."""


def _pairs(tree: Tree, format: StepFormat, settings: PreferenceSettings) -> list[PairRow]:
    right, wrong = _leads_to(tree, is_correct), _leads_to(tree, is_wrong)
    across = settings.final_step == "across"
    rows = []
    for prefix, node in enumerate(tree.nodes):
        children = [c for c in node.children if not (across and tree.nodes[c].terminal)]
        positives = [_step(tree, c, right, max) for c in children if c in right]
        negatives = [_step(tree, c, wrong, min) for c in children if c in wrong]
        rows += _group(tree, prefix, "step", positives, negatives, format, settings)
    if across:
        found = trajectories(tree)
        positives = [_whole(t) for t in found if t.correct]
        negatives = [_whole(t) for t in found if not t.correct]
        rows += _group(tree, 0, "trajectory", positives, negatives, format, settings)
    return rows


def _leads_to(tree: Tree, ends: Callable[[Node], bool]) -> frozenset[int]:
    """The nodes with such an end at or below them. Children have higher indices than their parents."""
    found: set[int] = set()
    for i in reversed(range(len(tree.nodes))):
        if i in found or ends(tree.nodes[i]):
            found |= {i, tree.nodes[i].parent}
    return frozenset(found)


def _step(tree: Tree, child: int, leading: frozenset[int], pick: Callable[..., int]) -> _Candidate:
    """A step with its completion: from child to child of highest (lowest) Q among those that lead to such an answer."""
    path = [child]
    while below := [c for c in tree.nodes[path[-1]].children if c in leading]:
        path.append(pick(below, key=lambda c: tree.nodes[c].q))
    node = tree.nodes[child]
    return _Candidate(child, node.text, node.q, sum(tree.nodes[i].q for i in path) / len(path))


def _whole(trajectory: Trajectory) -> _Candidate:
    return _Candidate(trajectory.nodes[-1], "".join(trajectory.steps), trajectory.mean_q, trajectory.mean_q)


def _group(
    tree: Tree,
    prefix: int,
    scope: Scope,
    positives: Sequence[_Candidate],
    negatives: Sequence[_Candidate],
    format: StepFormat,
    settings: PreferenceSettings,
) -> list[PairRow]:
    """The pairs of one group: candidates that continue the same prefix."""
    few, many = settings.pairs_per_side, settings.pairs_per_side**2
    chosen = sorted(positives, key=lambda c: c.q, reverse=True)[: many if len(negatives) == 1 else few]
    rejected = sorted(negatives, key=lambda c: c.q)[: many if len(positives) == 1 else few]
    kept = [(a, b) for a, b in product(chosen, rejected) if _contrasts(a, b, settings)]
    if not kept:
        return []
    weight = 1 / (len(kept) if settings.weight == "kept" else len(chosen) * len(rejected))
    prompt = format.render(tree.question, tree.steps(prefix)).text
    return [
        PairRow(
            prompt=prompt,
            chosen=a.text,
            rejected=b.text,
            weight=weight,
            margin=a.q - b.q,
            scope=scope,
            problem_id=tree.problem_id,
            question=tree.question,
            tree_id=tree.id,
            prefix_node=prefix,
            chosen_node=a.node,
            rejected_node=b.node,
        )
        for a, b in kept
    ]


def _contrasts(chosen: _Candidate, rejected: _Candidate, settings: PreferenceSettings) -> bool:
    margin = chosen.q - rejected.q
    return (
        margin > 0
        and chosen.completion_q > rejected.completion_q
        and margin >= settings.min_margin
        and at_least(chosen.text, rejected.text, settings.min_edit_distance)
    )
