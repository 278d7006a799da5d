"""Selection rules: which child a rollout walks to."""

import math
from collections.abc import Callable, Collection

from ponderosa.core import Tree

SelectionRule = Callable[[Tree, int, float], float]
"""(tree, child, c) -> the child's urgency."""


def uct(tree: Tree, child: int, c: float) -> float:
    """Q(s) + c * sqrt(ln N_parent(s) / N(s)), and infinite before the first visit (rStar-Math, equation 1).

    A parent that was never backed up to gives no exploration term: then only what the children hold counts.
    """
    node = tree.nodes[child]
    if not node.visits:
        return math.inf
    parent_visits = tree.nodes[node.parent].visits
    return node.q + c * math.sqrt(math.log(parent_visits) / node.visits if parent_visits else 0.0)


def uct_official(tree: Tree, child: int, c: float) -> float:
    """As the public code has it: 0 before the first visit."""
    return uct(tree, child, c) if tree.nodes[child].visits else 0.0


def select_child(tree: Tree, node: int, rule: SelectionRule, c: float, closed: Collection[int]) -> int | None:
    """The child with the highest urgency that is not in `closed`, the first of equals; None without one."""
    live = [child for child in tree.nodes[node].children if child not in closed]
    return max(live, key=lambda child: rule(tree, child, c), default=None)
