"""Monte Carlo tree search as rStar-Math does it (arXiv 2501.04519, sections 3.2 and 3.3).

One rollout walks from the root, one step at a time, to a trajectory's end; there is no random play-out. Every
trajectory's end is backed up to the root. Without a reward model the search is *terminal-guided*: all Q start at 0.
With one it is *PPM-augmented*: a new step starts with the PPM's value as its first, local visit. What a terminal
brings is the judge's word where there is a judge (data are made), else the reward model's (test time).
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Literal

from ponderosa.core import Outcome, Sampling, Tree, derive_seed
from ponderosa.search.adaptive import confidence
from ponderosa.search.answer import Aggregation, trajectory_score
from ponderosa.search.budget import ending
from ponderosa.search.concurrent import together
from ponderosa.search.expansion import ALIVE_OR_ANSWERED, Backends, Limits, back_up, expand, visit
from ponderosa.search.selection import SELECTION_RULES, select_child

WAVE = 2
"""Rollouts that set out together, for each that may have a request under way: more keep the slow ones company."""


@dataclass(frozen=True, slots=True)
class MCTSSettings:
    """The paper's settings for making data from round 2 on.

    `candidates` a step, `rollouts` a tree, exploration constant `c`; `code_errors` consecutive steps that fail to run
    end a trajectory. `answer_candidates` samples, if set, are drawn where the program has ended and its output is
    shown: the answer follows from it, so that more candidates seldom differ. `parallel` steps of one tree are
    expanded at a time. At test time a terminal brings what its steps come to by `aggregation`. With `confidence`
    the search ends once the leading answer of its terminals is ahead with that probability (see `adaptive`).
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
    selection: Literal["uct", "puct"] = "uct"
    parallel: int = 1
    aggregation: Aggregation = "last"
    confidence: float | None = None


async def mcts(
    problem_id: str, question: str, backends: Backends, settings: MCTSSettings, seed: int = 0, index: int = 0
) -> Tree:
    """Searches one problem. Seeds are derived from (seed, problem, tree index, node), so trees of one index agree.

    A search that a failing backend or its budget cuts short gives the tree it has, which says so (`Tree.outcome`).
    """
    tree = Tree(problem_id, question, seed=seed, index=index, method="mcts")
    closed: set[int] = set()
    async with ending(tree, backends.budget):
        while len(tree.rollouts) < settings.rollouts and 0 not in closed:
            left = settings.rollouts - len(tree.rollouts)
            wave = settings.parallel if settings.parallel == 1 else WAVE * settings.parallel
            await _Wave(tree, backends, settings, closed).run(min(wave, left))
            if settings.confidence is not None:
                votes = Counter(answer for end in tree.answered() if (answer := tree.nodes[end].answer) is not None)
                if confidence(votes) >= settings.confidence:
                    break
    return tree.in_order() if settings.parallel > 1 else tree


@dataclass(slots=True)
class _Wave:
    """Rollouts that set out together. Each goes on as soon as its own step is there.

    The tree that comes out does not depend on when: rollouts at one node are distributed over its children at once
    and in order, and what they bring is backed up when all have ended, also in order. One alone is MCTS as ever.
    `closed` holds the nodes with nothing left to explore below.
    """

    tree: Tree
    backends: Backends
    settings: MCTSSettings
    closed: set[int]
    slots: asyncio.Semaphore = field(init=False)
    ends: dict[int, int] = field(default_factory=dict)
    answers: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.slots = asyncio.Semaphore(self.settings.parallel)

    async def run(self, n: int) -> None:
        """Carries out `n` rollouts; fewer if that is all there is to explore. Also what a cut leaves is backed up."""
        try:
            await self._descend(0, list(range(n)))
        finally:
            for child in sorted(self.answers, key=self.tree.place):
                back_up(self.tree, child, self.tree.nodes[child].reward or 0.0)
            self.tree.rollouts += [self.ends[rollout] for rollout in sorted(self.ends)]

    async def _descend(self, node: int, rollouts: list[int]) -> None:
        """Takes `rollouts`, which have come to `node`, to their ends."""
        tree = self.tree
        if not tree.nodes[node].expanded:
            async with self.slots:
                answered = await self._expand(node)
            if answered:
                self.ends[rollouts[0]] = max(answered, key=lambda child: tree.nodes[child].reward or 0.0)
                rollouts = rollouts[1:]
            elif self.closed.issuperset(tree.nodes[node].children):
                tree.nodes[node].outcome = Outcome.NO_VALID_CHILD
                visit(tree, node, -1.0)
                self.ends[rollouts[0]] = node
            _close(tree, node, self.closed)
        rule = SELECTION_RULES[self.settings.selection]
        below: dict[int, list[int]] = {}
        pending: Counter[int] = Counter()
        for rollout in rollouts:
            child = select_child(tree, node, rule, self.settings.c, self.closed, pending)
            if child is None:
                break
            below.setdefault(child, []).append(rollout)
            pending.update((node, child))
        await together(self._descend(child, here) for child, here in below.items())

    async def _expand(self, node: int) -> list[int]:
        """Adds the children of `node` with their first visits; returns those that answer.

        An invalid terminal gets -1 on its own node only, as in the official code: a step is not worse for having a
        sibling candidate that does not run. A step starts with its value; an answer waits to be backed up.
        """
        tree, settings, backends = self.tree, self.settings, self.backends
        sampling = Sampling(
            settings.temperature,
            settings.top_p,
            max_tokens=settings.max_tokens,
            stop=backends.format.step_stops,
            logprobs=settings.selection == "puct",
        )
        n = settings.candidates
        if settings.answer_candidates and backends.format.has_output(tree.nodes[node].text):
            n = settings.answer_candidates
        seed = derive_seed(tree.seed, tree.problem_id, tree.index, tree.tag(node))
        limits = Limits(settings.max_depth, settings.code_errors)
        answered = []
        valued = ALIVE_OR_ANSWERED if backends.judge is None else (None,)
        for child in await expand(tree, node, n, sampling, backends, limits, seed, valued):
            record = tree.nodes[child]
            if record.outcome is Outcome.ANSWERED:
                assert record.answer is not None
                if backends.judge is not None:
                    record.reward = await backends.judge(record.answer)
                elif record.value is not None:
                    record.reward = 2 * trajectory_score(tree, child, settings.aggregation) - 1
                answered.append(child)
            elif record.terminal:
                visit(tree, child, -1.0)
            elif record.value is not None:
                visit(tree, child, record.value)
            if record.terminal:
                self.closed.add(child)
        self.answers += answered
        return answered


def first_rollouts(tree: Tree, n: int) -> Tree:
    """The tree as it was after `n` rollouts, at least one: the same as with that budget, since seeds belong to nodes.

    Of its usage only requests, generated tokens and scored steps are known. For trees without parallel rollouts, whose
    nodes are in the order of their making. Raises ValueError for those of another search.
    """
    if tree.method != "mcts":
        raise ValueError(f"a tree of {tree.method} has no rollouts to be taken one by one")
    kept = Tree(tree.problem_id, tree.question, tree.seed, tree.index, tree.method, rollouts=tree.rollouts[:n])
    made = max((_made_until(tree, end) for end in kept.rollouts), default=1)
    kept.nodes = [
        replace(node, visits=0, total=0.0, children=[child for child in node.children if child < made])
        for node in tree.nodes[:made]
    ]
    for index, node in enumerate(kept.nodes):
        node.expanded = bool(node.children)
        if not node.expanded:
            node.drawn = 0
        if node.outcome is Outcome.NO_VALID_CHILD and index not in kept.rollouts:
            node.outcome = None
    for index, node in enumerate(kept.nodes[1:], start=1):
        if node.outcome is Outcome.ANSWERED:
            back_up(kept, index, node.reward or 0.0)
        elif node.terminal and node.outcome is not Outcome.NO_VALID_CHILD:
            visit(kept, index, -1.0)
        elif node.value is not None:
            visit(kept, index, node.value)
    for end in kept.rollouts:
        if kept.nodes[end].outcome is Outcome.NO_VALID_CHILD:
            visit(kept, end, -1.0)
    kept.usage.policy_calls = sum(node.expanded for node in kept.nodes)
    kept.usage.generated_tokens = sum(node.drawn for node in kept.nodes)
    kept.usage.scored_steps = sum(node.value is not None for node in kept.nodes)
    kept.usage.reward_calls = kept.usage.policy_calls if kept.usage.scored_steps else 0
    return kept


def _made_until(tree: Tree, end: int) -> int:
    """How many nodes there were when the rollout that ended at `end` was over: its last expansion made the last one."""
    last = tree.nodes[end].children if tree.nodes[end].children else tree.nodes[tree.nodes[end].parent].children
    return max(last, default=end) + 1


def _close(tree: Tree, node: int, closed: set[int]) -> None:
    """Closes `node` if nothing below it is left to explore, and then its parents likewise."""
    while tree.nodes[node].expanded and closed.issuperset(tree.nodes[node].children):
        closed.add(node)
        if node == 0:
            return
        node = tree.nodes[node].parent
