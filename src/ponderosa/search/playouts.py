"""Monte Carlo tree search in its classical four phases: selection, expansion, simulation, backpropagation.

As in Kocsis and Szepesvari's UCT (2006). rStar-Math's search has no simulation (see `mcts`); here each rollout ends
with one: the policy goes on from the new step to an answer by itself. The steps of a simulation stay in the tree.
"""

from dataclasses import dataclass

from ponderosa.core import Outcome, Sampling, Tree, derive_seed
from ponderosa.search.answer import AGGREGATIONS, Aggregation
from ponderosa.search.budget import ending
from ponderosa.search.expansion import Backends, Limits, back_up, expand, score, score_paths
from ponderosa.search.sampling import chain_like, go_on
from ponderosa.search.selection import select_child, uct


@dataclass(frozen=True, slots=True)
class PlayoutSettings:
    """What a simulation brings is the judge's word where there is a judge. Else it is the reward models': `outcome` of
    it is the value of the whole, by an outcome reward model where there is one and else that of the last step, and the
    rest what the values of all steps come to by `aggregation`.
    """

    candidates: int = 4
    rollouts: int = 16
    c: float = 2.0
    outcome: float = 0.5
    aggregation: Aggregation = "min"
    max_depth: int = 16
    code_errors: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 2048


async def mcts_playouts(
    problem_id: str, question: str, backends: Backends, settings: PlayoutSettings, seed: int = 0, index: int = 0
) -> Tree:
    """Searches one problem. A simulation that ends without an answer brings -1; without judge and reward model, 0."""
    tree = Tree(problem_id, question, seed=seed, index=index, method="mcts_playouts")
    closed: set[int] = set()
    async with ending(tree, backends.budget):
        while len(tree.rollouts) < settings.rollouts and 0 not in closed:
            leaf = await _leaf(tree, closed, backends, settings)
            end = leaf if tree.nodes[leaf].terminal else await _simulate(tree, leaf, backends, settings)
            back_up(tree, end, await _brought(tree, end, backends, settings))
            tree.rollouts.append(end)
            _close(tree, end, closed)
    return tree


async def _leaf(tree: Tree, closed: set[int], backends: Backends, settings: PlayoutSettings) -> int:
    """Selection and expansion: the way to a step that was not tried yet."""
    node = 0
    while True:
        if not tree.nodes[node].expanded:
            if node and not tree.nodes[node].visits:
                return node
            sampling = Sampling(
                settings.temperature, settings.top_p, max_tokens=settings.max_tokens, stop=backends.format.step_stops
            )
            seed = derive_seed(tree.seed, tree.problem_id, tree.index, tree.tag(node))
            limits = Limits(settings.max_depth, settings.code_errors)
            await expand(tree, node, settings.candidates, sampling, backends, limits, seed, valued=())
        child = select_child(tree, node, uct, settings.c, closed)
        if child is None:
            return node
        node = child


async def _simulate(tree: Tree, node: int, backends: Backends, settings: PlayoutSettings) -> int:
    """The end of a chain that the policy writes from `node` on."""
    chain = chain_like(settings, 1)
    standing = {node: [0]}
    ends = [node]
    while standing:
        standing = await go_on(tree, standing, ends, backends, chain, "simulation")
    return ends[0]


async def _brought(tree: Tree, end: int, backends: Backends, settings: PlayoutSettings) -> float:
    record = tree.nodes[end]
    if record.outcome is not Outcome.ANSWERED:
        return -1.0
    if backends.judge is not None:
        record.reward = await backends.judge(record.answer or "")
    else:
        record.reward = await _valued(tree, end, backends, settings)
    return record.reward or 0.0


async def _valued(tree: Tree, end: int, backends: Backends, settings: PlayoutSettings) -> float | None:
    """The mix of the reward models' words on a solution; None without any."""
    whole = process = None
    if backends.reward is not None:
        (values,) = await score_paths(tree, [end], backends.reward)
        whole, process = values[-1], 2 * AGGREGATIONS[settings.aggregation](values) - 1
    if backends.outcome_reward is not None and settings.outcome:
        path = (tree.question, tree.steps(end))
        ((whole,),) = await score(tree, [path], backends.outcome_reward, last_only=True)
    if whole is None or process is None:
        return whole
    return settings.outcome * whole + (1 - settings.outcome) * process


def _close(tree: Tree, node: int, closed: set[int]) -> None:
    """Closes a terminal, and every node above it with nothing left to try below."""
    closed.add(node)
    while node and tree.nodes[parent := tree.nodes[node].parent].expanded:
        children = tree.nodes[parent].children
        if not closed.issuperset(children):
            return
        closed.add(parent)
        node = parent
