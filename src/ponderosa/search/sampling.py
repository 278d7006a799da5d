"""Independent chains: greedy decoding, and samples for majority vote (arXiv 2203.11171) and best-of-N.

Chains are kept as a tree whose nodes are shared by samples with the same text, so that nothing is run or scored twice;
`Tree.rollouts[i]` is the end of sample i, and a node's visits are the samples that passed through it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ponderosa.core import (
    Completion,
    Outcome,
    ParsedStep,
    Sampling,
    StepFormat,
    Tree,
    derive_seed,
)
from ponderosa.search.adaptive import settled
from ponderosa.search.budget import ending
from ponderosa.search.concurrent import together
from ponderosa.search.expansion import Backends, Limits, back_up, judge_ends, propose, score_paths, verify


@dataclass(frozen=True, slots=True)
class SampleSettings:
    """`n` chains at `temperature`; 0 decodes greedily, and more than one chain is then a waste. With `temperatures`
    chain i is sampled at the i-th of them, over and over.

    With `batch` the chains are drawn so many at a time, and no more once the vote on the answers so far is settled with
    the probability `confidence` (see `adaptive`; answers count as equal if they are the same text).
    """

    n: int = 1
    temperature: float = 0.0
    temperatures: tuple[float, ...] = ()
    top_p: float = 1.0
    top_k: int = 0
    max_depth: int = 16
    code_errors: int = 1
    max_tokens: int = 2048
    batch: int | None = None
    confidence: float = 0.95

    def temperature_of(self, i: int) -> float:
        """The temperature of chain i."""
        return self.temperatures[i % len(self.temperatures)] if self.temperatures else self.temperature


def chain_like(settings: Any, n: int, **changes: Any) -> SampleSettings:
    """`n` chains with the settings of another search, as far as it has them."""
    shared = ("temperature", "top_p", "top_k", "max_depth", "code_errors", "max_tokens")
    return SampleSettings(n, **{name: getattr(settings, name) for name in shared if hasattr(settings, name)} | changes)


async def sample(
    problem_id: str, question: str, backends: Backends, settings: SampleSettings, seed: int = 0, index: int = 0
) -> Tree:
    """Samples `settings.n` chains; with a reward model every step of every chain gets its `value`.

    A chain is sampled in as few requests as it has executions. Where there is a judge, each sample brings its word to
    all its steps. What cuts the search short leaves what it has.
    """
    tree = Tree(problem_id, question, seed=seed, index=index, method="sample")
    async with ending(tree, backends.budget):
        await draw(tree, backends, settings, settings.n)
    await value(tree, backends)
    return tree


async def draw(tree: Tree, backends: Backends, settings: SampleSettings, upto: int) -> None:
    """Draws chains until the tree has `upto`, or, with `settings.batch`, until the vote of `settings.n` is settled."""
    size = settings.batch or settings.n
    while len(tree.rollouts) < upto:
        drawn = len(tree.rollouts)
        tree.rollouts += [0] * min(size, upto - drawn)
        standing = {0: list(range(drawn, len(tree.rollouts)))}
        while standing:
            salt = f"batch {drawn}" if drawn else ""
            standing = await go_on(tree, standing, tree.rollouts, backends, settings, salt)
        if settings.batch and settled(votes(tree), settings.n - len(tree.rollouts), settings.confidence):
            break


def votes(tree: Tree) -> Counter[str]:
    """How often the chains of a tree gave each answer."""
    return Counter(answer for end in tree.rollouts if (answer := tree.nodes[end].answer) is not None)


async def value(tree: Tree, backends: Backends) -> None:
    """Gives what was drawn its values and rewards, if there is time, and every chain's steps what that brought."""
    if backends.reward is not None and tree.outcome in (None, Outcome.BUDGET_SPENT):
        async with ending(tree, backends.budget):
            await score_paths(tree, sorted(set(tree.rollouts)), backends.reward)
    await judge_ends(tree, tree.rollouts, backends)
    for end in tree.rollouts:
        back_up(tree, end, _brought(tree, end, judged=backends.judge is not None))


def _brought(tree: Tree, end: int, *, judged: bool) -> float:
    """What a sample brings to its steps: the judge's word, -1 if it ended without an answer."""
    record = tree.nodes[end]
    if record.reward is not None:
        return record.reward
    return -1.0 if judged and record.terminal and record.outcome is not Outcome.ANSWERED else 0.0


async def chains(
    tree: Tree,
    question: str,
    steps: Sequence[str],
    backends: Backends,
    settings: SampleSettings,
    salt: str,
) -> Tree:
    """`settings.n` chains that go on from `steps`, in a tree of their own that begins with these; `salt` goes into the
    seeds. What they cost is counted in `tree`.
    """
    aside = Tree(tree.problem_id, question, seed=tree.seed, index=tree.index, usage=tree.usage)
    node = 0
    for step in steps:
        node = aside.add(node, step)
    aside.rollouts = [node] * settings.n
    standing = {node: list(range(settings.n))}
    while standing:
        standing = await go_on(aside, standing, aside.rollouts, backends, settings, salt)
    if question == tree.question:
        tree.nodes[0].tokens = tree.nodes[0].tokens or aside.nodes[0].tokens
    return aside


def merge(tree: Tree, aside: Tree) -> list[int]:
    """Adds all of another tree of the problem, breadth-first; where its answered ends are in `tree`.

    Steps that are there already are shared.
    """
    ordered = aside.in_order()
    places = [graft(tree, ordered, node) for node in range(len(ordered.nodes))]
    for node, place in enumerate(places):
        tree.nodes[place].expanded |= ordered.nodes[node].expanded
        tree.nodes[place].drawn += ordered.nodes[node].drawn
    tree.nodes[0].tokens = tree.nodes[0].tokens or ordered.nodes[0].tokens
    return [places[end] for end in ordered.answered()]


def graft(tree: Tree, aside: Tree, end: int) -> int:
    """Adds the path to `end` of another tree; where it is in `tree`. Steps that are there already are shared."""
    node = 0
    for step in map(aside.nodes.__getitem__, aside.path(end)):
        child = tree.child(node, step.text)
        if child is None:
            child = tree.add(node, step.text)
            tree.nodes[child] = replace(step, parent=node, depth=tree.nodes[child].depth, drawn=0, children=[])
        node = child
    return node


async def go_on(
    tree: Tree,
    standing: dict[int, list[int]],
    ends: list[int],
    backends: Backends,
    settings: SampleSettings,
    salt: str = "",
    stops: tuple[str, ...] | None = None,
    told: Callable[[int, Completion], None] = lambda sample, completion: None,
) -> dict[int, list[int]]:
    """Continues the samples that stand at each node up to their next execution, or to one of `stops`; where those stand
    that go on.

    `ends[i]` becomes the node at which sample i stands, of which `told` hears with its completion; `salt` goes into the
    seeds. All nodes' completions are awaited before any is added, so that the order of nodes depends on nothing but
    texts.
    """
    limits = Limits(settings.max_depth, settings.code_errors)
    source = (tree.seed, tree.problem_id, tree.index)

    async def request(node: int, temperature: float, here: list[int]) -> list[Completion]:
        until = backends.format.chain_stops if stops is None else stops
        sampling = Sampling(temperature, settings.top_p, settings.top_k, settings.max_tokens, until)
        salts = ([salt] if salt else []) + ([f"temperature {temperature}"] if settings.temperatures else [])
        return await propose(tree, node, len(here), sampling, backends, derive_seed(*source, tree.tag(node), *salts))

    requests = [
        (node, temperature, chosen)
        for node, here in standing.items()
        for temperature in dict.fromkeys(map(settings.temperature_of, here))
        if (chosen := [i for i in here if settings.temperature_of(i) == temperature])
    ]
    proposed = await together(request(*one) for one in requests)
    steps: dict[int, ParsedStep] = {}
    reached: dict[int, list[int]] = {}
    for (node, _, here), completions in zip(requests, proposed, strict=True):
        for sample_index, completion in zip(here, completions, strict=True):
            end, step = _add_chain(tree, node, completion, backends.format, limits)
            steps[end] = step
            reached.setdefault(end, []).append(sample_index)
            ends[sample_index] = end
            told(sample_index, completion)
    await together(verify(tree, end, step, backends, limits) for end, step in steps.items())
    return {end: here for end, here in reached.items() if not tree.nodes[end].terminal}


def _add_chain(
    tree: Tree, node: int, completion: Completion, format: StepFormat, limits: Limits
) -> tuple[int, ParsedStep]:
    """Adds the completion's steps below `node`; returns the last one's index and step.

    Samples that begin alike share nodes. Steps before the last are not run one by one: the program runs at its end.
    """
    for step in format.split(completion):
        child = tree.child(node, step.text)
        node = tree.add(node, step.text, outcome=step.outcome, answer=step.answer) if child is None else child
        if tree.nodes[node].depth >= limits.depth:
            break
    if not tree.nodes[node].tokens:
        tree.nodes[node].tokens = completion.tokens
        tree.nodes[node].prior = completion.logprob
    return node, step
