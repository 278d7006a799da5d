"""The generative judge of rejection sampling: a language model that reads whole solutions, beside the reference where
there is one (DeepSeek-R1, arXiv 2501.12948, section 2.3.3). Where no rule can compare answers, its word alone counts.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ponderosa.core import PYTHON, Graded, Outcome, Tree, close, find_attribute
from ponderosa.evaluation.verdicts import Verdicts
from ponderosa.evolution.grading import open_grader
from ponderosa.evolution.run import write_json
from ponderosa.evolution.stages import Forest, Stages, checkpoint
from ponderosa.execution import make_executor
from ponderosa.forest import Trajectory, trajectories
from ponderosa.models import Spec, load_grader, load_policy, review_of, split_judge
from ponderosa.search.concurrent import together

_logger = logging.getLogger(__name__)

_Solution = tuple[str, str]
"""The id of a problem, and the text."""


@dataclass(frozen=True, slots=True)
class Approvals:
    """What a judge said of solutions; None where it had no word. `summary` counts."""

    said: Mapping[_Solution, bool | None]
    summary: Mapping[str, Any]

    def keep(self, found: Trajectory) -> bool | None:
        """Is the solution good? One that the judge was not shown is not."""
        return self.said.get(_solution(found), False)

    def graded(self, tree: Tree) -> Tree:
        """The tree with the judge's word on the answers that no rule compared."""

        def reward(end: int) -> float | None:
            approved = self.said.get((tree.problem_id, "".join(tree.steps(end))))
            return None if approved is None else 1.0 if approved else -1.0

        return _filled(tree, reward)


def check_judge(name: str) -> None:
    """Raises `PonderosaError` for a judge that there is not. No model is loaded, and no server asked."""
    judge = split_judge(name)
    if judge is None:
        close(load_grader(name))
        return
    policy, _ = judge
    if policy.startswith(PYTHON):
        find_attribute(policy)
    elif policy.startswith("scripted:"):
        close(load_policy(policy))
    elif not Path(Spec.parse(policy).target).is_file():  # as GGUF models are
        checkpoint(policy)


async def approvals(
    stages: Stages,
    number: int,
    judge: str,
    forests: Sequence[Forest],
    readable: Callable[[Trajectory], bool],
) -> Approvals:
    """Has the judge read what is readable and, by rule, right or without a verdict; counts go into the round's folder.

    A solution that it refuses, or of which it says nothing that can be read, is left without a word. Raises
    `PonderosaError` where it has no word on any.
    """
    problems = {problem.id: problem for forest in forests for problem in forest.problems}
    trees = (tree for forest in forests for tree in forest.trees())
    shown, by_rule = _candidates(trees, readable)
    await stages.free()  # the accelerator is the judge's now
    async with (
        make_executor(stages.recipe.execution) as executor,
        open_grader(judge, executor, stages.run.path, review_of) as grader,
    ):
        verdicts = Verdicts(grader)
        given = await together(verdicts.grade(text, problems[id]) for id, text in shown)
    said = {
        one: verdict.correct if verdict.status is Graded.OK else None for one, verdict in zip(shown, given, strict=True)
    }
    counts = list(said.values())
    summary = verdicts.summary() | {
        "judge": judge,
        "approved": counts.count(True),
        "rejected": counts.count(False),
        "by_the_judge_alone": len(set(shown) - by_rule),
    }
    write_json(stages.run.round(number) / "judgement.json", summary)
    if None in counts:
        _logger.warning(
            "the judge had no word on %d of %d solutions, which are left out: %s",
            counts.count(None),
            len(counts),
            ", ".join(f"{count} {status}" for status, count in summary["failed"].items()),
        )
    return Approvals(said, summary)


def _candidates(
    trees: Iterable[Tree], readable: Callable[[Trajectory], bool]
) -> tuple[list[_Solution], set[_Solution]]:
    """(the solutions to be shown, each once; those of them that a rule found right)."""
    shown: dict[_Solution, None] = {}
    by_rule: set[_Solution] = set()
    for tree in trees:
        for found in trajectories(_filled(tree, lambda _: 1.0)):
            if found.correct and not found.erred and readable(found):
                shown[_solution(found)] = None
                if tree.nodes[found.nodes[-1]].reward is not None:
                    by_rule.add(_solution(found))
    return list(shown), by_rule


def _filled(tree: Tree, reward: Callable[[int], float | None]) -> Tree:
    """The tree with a reward for each answer that has none."""
    nodes = [
        replace(node, reward=reward(i)) if node.outcome is Outcome.ANSWERED and node.reward is None else node
        for i, node in enumerate(tree.nodes)
    ]
    return replace(tree, nodes=nodes)


def _solution(found: Trajectory) -> _Solution:
    return found.problem_id, "".join(found.steps)
