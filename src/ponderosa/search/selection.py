"""Selection rules: which child a rollout walks to.

A rollout that is on its way counts as a visit that lost (*virtual loss*), so that rollouts at the same time spread.
"""

import math
from collections.abc import Callable, Collection, Mapping

from ponderosa.core import Tree

Pending = Mapping[int, int]
"""Node -> the rollouts that are on their way through it."""

SelectionRule = Callable[[Tree, int, float, Pending], float]
"""(tree, child, c, pending) -> the child's urgency."""

NOBODY: Pending = {}


def uct(tree: Tree, child: int, c: float, pending: Pending = NOBODY) -> float:
    """Q(s) + c * sqrt(ln N_parent(s) / N(s)), and infinite before the first visit (rStar-Math, equation 1).

    A parent that was never backed up to gives no exploration term: then only what the children hold counts.
    """
    q, visits = _lossy(tree, child, pending)
    if not visits:
        return math.inf
    parent = tree.nodes[child].parent
    parent_visits = tree.nodes[parent].visits + pending.get(parent, 0)
    return q + c * math.sqrt(math.log(parent_visits) / visits if parent_visits else 0.0)


def uct_official(tree: Tree, child: int, c: float, pending: Pending = NOBODY) -> float:
    """As the public code has it: 0 before the first visit."""
    return uct(tree, child, c, pending) if tree.nodes[child].visits else 0.0


def puct(tree: Tree, child: int, c: float, pending: Pending = NOBODY) -> float:
    """Q(s) + c * P(s) * sqrt(N_parent(s)) / (1 + N(s)) (AlphaZero, arXiv 1712.01815).

    P(s) is the policy's probability of the step among its siblings; all are alike where it is not known.
    """
    q, visits = _lossy(tree, child, pending)
    parent = tree.nodes[child].parent
    siblings = [tree.nodes[s].prior for s in tree.nodes[parent].children]
    known = [prior for prior in siblings if prior is not None]
    mine = tree.nodes[child].prior
    if mine is None or len(known) < len(siblings):
        probability = 1 / len(siblings)
    else:
        most = max(known)
        probability = math.exp(mine - most) / math.fsum(math.exp(prior - most) for prior in known)
    parent_visits = tree.nodes[parent].visits + pending.get(parent, 0)
    return q + c * probability * math.sqrt(parent_visits) / (1 + visits)


SELECTION_RULES: dict[str, SelectionRule] = {"uct": uct, "puct": puct}


def _lossy(tree: Tree, child: int, pending: Pending) -> tuple[float, int]:
    """Q(s) and N(s) as if each rollout on its way had brought -1."""
    node = tree.nodes[child]
    losses = pending.get(child, 0)
    if not losses:
        return node.q, node.visits
    return (node.total - losses) / (node.visits + losses), node.visits + losses


def select_child(
    tree: Tree, node: int, rule: SelectionRule, c: float, closed: Collection[int], pending: Pending = NOBODY
) -> int | None:
    """The child with the highest urgency that is not in `closed`, the first of equals; None without one."""
    live = [child for child in tree.nodes[node].children if child not in closed]
    return max(live, key=lambda child: rule(tree, child, c, pending), default=None)
