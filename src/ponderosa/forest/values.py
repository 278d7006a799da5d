"""From trees to the values of steps: what outcome and process reward models learn by regression.

All functions take trees that were searched with a judge.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from ponderosa.core import Outcome, StepFormat, Tree
from ponderosa.forest.rows import ValueRow
from ponderosa.forest.trajectory import is_correct, is_wrong, trajectories

Places = Literal["every_step", "end"]


def outcome_rows(trees: Iterable[Tree], format: StepFormat, places: Places = "every_step") -> list[ValueRow]:
    """Every trajectory with an answer and a verdict, worth 1 or -1 (Cobbe et al., arXiv 2110.14168).

    `places` says where: at its end alone, or at every step, whose value is then a forecast of the outcome. Texts of one
    problem are distinct.
    """
    rows: dict[tuple[str, tuple[str, ...]], ValueRow] = {}
    for tree in trees:
        for found in trajectories(tree):
            outcome = 1.0 if found.correct else -1.0
            midway = outcome if places == "every_step" else None
            row = _row(tree, format, found.nodes, [*[midway] * (len(found.nodes) - 1), outcome])
            rows.setdefault((row.problem_id, row.steps), row)
    return list(rows.values())


@dataclass(frozen=True, slots=True)
class ValueRowSettings:
    """What a step is worth by the rollouts that went on from it.

    "soft" is Q(s), which is 2 p - 1 for a share p of right ends (Math-Shepherd's soft estimation, arXiv 2312.08935,
    equation 4, and OmegaPRM's MC, arXiv 2406.06592; of a tree of MCTS the Q values of rStar-Math's ablation), for steps
    that at least `min_visits` rollouts went through.

    "hard" asks whether a right answer can be reached (Math-Shepherd's equation 3): 1 for steps on a path to one, and -1
    where as many rollouts found none, and for all after that.
    """

    estimation: Literal["soft", "hard"] = "soft"
    min_visits: int = 1


SOFT = ValueRowSettings()


def value_rows(trees: Iterable[Tree], format: StepFormat, settings: ValueRowSettings = SOFT) -> list[ValueRow]:
    """The steps of every tree with their values, as paths; a step that several share has its value in the first.

    An answer is worth what the judge said of it. Left out are steps that failed to run, and those that a reward model
    has valued but no rollout.
    """
    return [row for tree in trees for row in _value_rows(tree, format, settings)]


def _value_rows(tree: Tree, format: StepFormat, settings: ValueRowSettings) -> Iterator[ValueRow]:
    values = _hard(tree, settings.min_visits) if settings.estimation == "hard" else _soft(tree, settings.min_visits)
    valued: set[int] = set()  # on the way to a value
    for node in values:
        valued.update(tree.path(node))
    told: set[int] = set()
    for node in sorted(valued):
        if valued.isdisjoint(tree.nodes[node].children):
            path = tree.path(node)
            yield _row(tree, format, path, [None if i in told else values.get(i) for i in path])
            told.update(path)


def _soft(tree: Tree, min_visits: int) -> dict[int, float]:
    ends = _ends_below(tree)
    values = {}
    for index, node in enumerate(tree.nodes[1:], start=1):
        if node.outcome is Outcome.ANSWERED:
            if node.reward is not None:
                values[index] = node.reward
        elif (
            not node.terminal and node.visits >= min_visits and (ends[index] or node.visits > (node.value is not None))
        ):
            values[index] = max(-1.0, min(1.0, node.q))
    return values


def _hard(tree: Tree, min_visits: int) -> dict[int, float]:
    ends = _ends_below(tree)
    right = _ends_below(tree, right_only=True)
    values: dict[int, float] = {}
    for index, node in enumerate(tree.nodes[1:], start=1):
        if node.terminal and not (is_correct(node) or is_wrong(node)):
            continue
        if right[index]:
            values[index] = 1.0
            continue
        tried = node.visits >= min_visits and (ends[index] or node.visits > (node.value is not None))
        if tried or is_wrong(node) or values.get(node.parent) == -1.0:
            values[index] = -1.0
    return values


def _ends_below(tree: Tree, *, right_only: bool = False) -> list[int]:
    """For each node how many (right) answers with a verdict are at or below it. Parents come before their children."""
    found = [int(is_correct(node) or (not right_only and is_wrong(node))) for node in tree.nodes]
    for index in range(len(tree.nodes) - 1, 0, -1):
        found[tree.nodes[index].parent] += found[index]
    return found


def _row(tree: Tree, format: StepFormat, path: Iterable[int], targets: Iterable[float | None]) -> ValueRow:
    nodes = tuple(path)
    return ValueRow(
        prompt=format.render(tree.question).text,
        steps=tuple(tree.nodes[i].text for i in nodes),
        targets=tuple(targets),
        problem_id=tree.problem_id,
        question=tree.question,
        tree_id=tree.id,
        nodes=nodes,
    )
