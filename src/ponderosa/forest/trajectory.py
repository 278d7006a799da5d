"""The solutions that a tree holds: paths from the root to a terminal with an answer."""

from dataclasses import dataclass

from ponderosa.core import Node, Outcome, Tree


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A path to an answer. `nodes`, `steps` and `q` run from the first step to the answer.

    `correct` is the judge's word when the tree was searched; `erred` tells that a step of it failed to execute.
    """

    problem_id: str
    tree_id: str
    question: str
    nodes: tuple[int, ...]
    steps: tuple[str, ...]
    q: tuple[float, ...]
    answer: str
    correct: bool
    erred: bool

    @property
    def mean_q(self) -> float:
        return sum(self.q) / len(self.q)

    @property
    def min_q(self) -> float:
        return min(self.q)


def trajectories(tree: Tree) -> list[Trajectory]:
    """All trajectories of a tree that was searched with a judge, in order of creation of their answers.

    An answer without a verdict (its judge failed) is neither right nor wrong and is left out. In a tree of test time
    the reward of a terminal is a model's opinion, so that `correct` means no more than a positive score.
    """
    judged = (i for i in tree.answered() if tree.nodes[i].reward is not None)
    return [_trajectory(tree, terminal) for terminal in judged]


def is_correct(node: Node) -> bool:
    """Does the node hold an answer that the judge found right?"""
    return node.outcome is Outcome.ANSWERED and node.reward is not None and node.reward > 0


def is_wrong(node: Node) -> bool:
    """Does the node hold an answer that the judge found wrong? Ends without an answer are not wrong answers."""
    return node.outcome is Outcome.ANSWERED and node.reward is not None and node.reward <= 0


def _trajectory(tree: Tree, terminal: int) -> Trajectory:
    path = tree.path(terminal)
    nodes = [tree.nodes[i] for i in path]
    return Trajectory(
        problem_id=tree.problem_id,
        tree_id=tree.id,
        question=tree.question,
        nodes=tuple(path),
        steps=tuple(node.text for node in nodes),
        q=tuple(node.q for node in nodes),
        answer=nodes[-1].answer or "",
        correct=is_correct(nodes[-1]),
        erred=any(node.error for node in nodes),
    )
