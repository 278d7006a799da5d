"""Monte Carlo tree search as rStar-Math does it (arXiv 2501.04519, sections 3.2 and 3.3).

One rollout walks from the root, one step at a time, to a trajectory's end; there is no random play-out. Every
trajectory's end is backed up to the root. Without a reward model the search is *terminal-guided*: all Q start at 0.
With one it is *PPM-augmented*: a new step starts with the PPM's value as its first, local visit. What a terminal
brings is the judge's word where there is a judge (data are made), else the reward model's (test time).
"""

from dataclasses import dataclass

from ponderosa.core import BackendError, Outcome, Sampling, Tree, derive_seed
from ponderosa.search.expansion import Backends, Limits, expand
from ponderosa.search.selection import select_child, uct


@dataclass(frozen=True, slots=True)
class MCTSSettings:
    """The paper's settings for making data from round 2 on.

    `candidates` a step, `rollouts` a tree, exploration constant `c`; `code_errors` consecutive steps that fail to run
    end a trajectory. `answer_candidates` samples, if set, are drawn where the program has ended and its output is
    shown: the answer follows from it, so that more candidates seldom differ.
    """

    candidates: int = 8
    answer_candidates: int | None = None
    rollouts: int = 16
    max_depth: int = 16
    c: float = 2.0
    code_errors: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 2048


async def mcts(
    problem_id: str, question: str, backends: Backends, settings: MCTSSettings, seed: int = 0, index: int = 0
) -> Tree:
    """Searches one problem. Seeds are derived from (seed, problem, tree index, node), so trees of one index agree.

    A backend that fails ends the search with what it has: `Tree.outcome` says so and the root's `error` says why.
    """
    tree = Tree(problem_id, question, seed=seed, index=index, method="mcts")
    closed: set[int] = set()
    try:
        while len(tree.rollouts) < settings.rollouts and 0 not in closed:
            tree.rollouts.append(await _rollout(tree, backends, settings, closed))
    except BackendError as error:
        tree.outcome = Outcome.BACKEND_FAILED
        tree.nodes[0].error = str(error)
    return tree


async def _rollout(tree: Tree, backends: Backends, settings: MCTSSettings, closed: set[int]) -> int:
    """One rollout; returns the node at which it ended. `closed` holds the nodes with nothing left to explore below."""
    sampling = Sampling(
        settings.temperature, settings.top_p, max_tokens=settings.max_tokens, stop=backends.format.step_stops
    )
    limits = Limits(settings.max_depth, settings.code_errors)
    node = 0
    while True:
        if not tree.nodes[node].expanded:
            seed = derive_seed(tree.seed, tree.problem_id, tree.index, tree.tag(node))
            n = settings.candidates
            if settings.answer_candidates and backends.format.has_output(tree.nodes[node].text):
                n = settings.answer_candidates
            children = await expand(tree, node, n, sampling, backends, limits, seed)
            for child in children:
                await _first_visit(tree, child, backends)
            closed.update(child for child in children if tree.nodes[child].terminal)
            answered = [child for child in children if tree.nodes[child].outcome is Outcome.ANSWERED]
            if answered:
                _close(tree, node, closed)
                return max(answered, key=lambda child: tree.nodes[child].total)
        best = select_child(tree, node, uct, settings.c, closed)
        if best is None:
            tree.nodes[node].outcome = Outcome.NO_VALID_CHILD
            visit(tree, node, -1.0)
            _close(tree, node, closed)
            return node
        node = best


async def _first_visit(tree: Tree, child: int, backends: Backends) -> None:
    """What a new node starts with: an answer is backed up to the root; everything else stays local.

    An invalid terminal gets -1 on its own node only, as in the official code: a step is not worse for having a
    sibling candidate that does not run.
    """
    node = tree.nodes[child]
    if node.outcome is Outcome.ANSWERED:
        assert node.answer is not None
        node.reward = await backends.judge(node.answer) if backends.judge is not None else node.value
        back_up(tree, child, node.reward or 0.0)
    elif node.terminal:
        visit(tree, child, -1.0)
    elif node.value is not None:
        visit(tree, child, node.value)


def back_up(tree: Tree, node: int, reward: float) -> None:
    """q(s_i) <- q(s_i) + reward for the node and all above it, the root included (rStar-Math, equation 2)."""
    for index in (0, *tree.path(node)):
        visit(tree, index, reward)


def visit(tree: Tree, node: int, reward: float) -> None:
    """A visit that stays with the node."""
    tree.nodes[node].visits += 1
    tree.nodes[node].total += reward


def _close(tree: Tree, node: int, closed: set[int]) -> None:
    """Closes `node` if nothing below it is left to explore, and then its parents likewise."""
    while tree.nodes[node].expanded and closed.issuperset(tree.nodes[node].children):
        closed.add(node)
        if node == 0:
            return
        node = tree.nodes[node].parent
