"""What steps are worth by how often the policy comes to a right answer from them: labels for process reward models.

Solutions are taken from a tree, or drawn; from their steps the policy goes on to answers, which a judge knows. Every
step is completed as in Math-Shepherd (arXiv 2312.08935, section 3.3), or, of a wrong solution, those that a binary
search for its first error asks for, as in OmegaPRM (arXiv 2406.06592, section 3.2): the logarithm of its length.

In the tree that comes out, a step's Q is what the completions that begin at it, or pass through it, came to: 2 p - 1
for a share p of right ends, the MC of both papers. `Tree.rollouts` are the ends of all completions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ponderosa.core import Outcome, PonderosaError, Tree
from ponderosa.search.budget import ending
from ponderosa.search.expansion import Backends, judge_ends, visit
from ponderosa.search.sampling import chain_like, go_on


@dataclass(frozen=True, slots=True)
class RolloutSettings:
    """At most `solutions` of a problem are valued, right and wrong ones in turn; without a tree, of as many samples.

    `prefixes` "every" completes each of their steps, `completions` times. "binary" takes it that a step from which a
    right answer was found is right, and one from which none was found wrong, as are all after it: it looks for the
    first wrong step of each wrong solution, and spends nothing on right ones.
    """

    solutions: int = 4
    completions: int = 8
    prefixes: Literal["every", "binary"] = "every"
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_depth: int = 16
    code_errors: int = 1
    max_tokens: int = 2048


async def rollouts(
    problem_id: str,
    question: str,
    backends: Backends,
    settings: RolloutSettings,
    seed: int = 0,
    index: int = 0,
    given: Tree | None = None,
) -> Tree:
    """Values the steps of solutions of one problem: those of the tree `given`, or drawn ones.

    A completion without an answer counts as wrong, one without a verdict not at all. Raises `PonderosaError` without a
    judge.
    """
    if backends.judge is None:
        raise PonderosaError("roll-outs are judged by the known answers: search with --judged")
    tree = Tree(problem_id, question, seed=seed, index=index, method="rollouts")
    async with ending(tree, backends.budget):
        if given is None:
            await _draw(tree, backends, settings)
        else:
            _take(tree, given)
            await judge_ends(tree, tree.answered(), backends)
        solutions = _solutions(tree, settings.solutions)
        valuing = _Valuing(tree, backends, settings)
        if settings.prefixes == "every":
            steps = dict.fromkeys(node for end in solutions for node in tree.path(end))
            await valuing.complete([node for node in steps if not tree.nodes[node].terminal])
        else:
            await _find_errors(tree, [end for end in solutions if (tree.nodes[end].reward or 0.0) <= 0], valuing)
    return tree


async def _draw(tree: Tree, backends: Backends, settings: RolloutSettings) -> None:
    ends = [0] * settings.solutions
    standing = {0: list(range(settings.solutions))}
    while standing:
        standing = await go_on(tree, standing, ends, backends, chain_like(settings, settings.solutions))
    await judge_ends(tree, dict.fromkeys(ends), backends)


def _take(tree: Tree, given: Tree) -> None:
    """Takes over the nodes of another search of the problem, without what that made of them; at test time a reward is
    a model's opinion.
    """
    untouched: dict[str, Any] = {
        "visits": 0,
        "total": 0.0,
        "value": None,
        "reward": None,
        "expanded": False,
        "drawn": 0,
    }
    tree.nodes = [replace(node, children=list(node.children), **untouched) for node in given.nodes]
    for node in tree.nodes:
        if node.outcome is Outcome.NO_VALID_CHILD:  # no more than that search found
            node.outcome = None


def _solutions(tree: Tree, most: int) -> list[int]:
    """Ends with a verdict, a wrong and a right one in turn and in order, as long as there are both."""
    ends = [end for end in tree.answered() if tree.nodes[end].reward is not None]
    wrong = [end for end in ends if (tree.nodes[end].reward or 0.0) <= 0]
    right = [end for end in ends if end not in wrong]
    both = min(len(wrong), len(right))
    turns = [end for pair in zip(wrong, right, strict=False) for end in pair]
    return sorted([*turns, *wrong[both:], *right[both:]][:most])


async def _find_errors(tree: Tree, ends: Sequence[int], valuing: "_Valuing") -> None:
    """Looks for the first wrong step of each of the wrong solutions that end at `ends`, all at once.

    Of a solution's steps 0 … T, the root being 0, a right answer can be reached from `low`, and not from `high`. Where
    no completion of a step got a verdict, the search of its solution ends.
    """
    paths = {end: [0, *tree.path(end)] for end in ends}
    low = dict.fromkeys(ends, 0)
    high = {end: len(paths[end]) - 1 for end in ends}
    lost: set[int] = set()
    while searched := [end for end in ends if high[end] - low[end] > 1 and end not in lost]:
        middle = {end: (low[end] + high[end]) // 2 for end in searched}
        await valuing.complete(dict.fromkeys(paths[end][middle[end]] for end in searched))
        for end in searched:
            reached = valuing.right(paths[end][middle[end]])
            if reached is None:
                lost.add(end)
            else:
                (low if reached else high)[end] = middle[end]


class _Valuing:
    """Completes steps of a tree, each once, and backs up what comes of it, no further than to the step."""

    def __init__(self, tree: Tree, backends: Backends, settings: RolloutSettings) -> None:
        self._tree = tree
        self._backends = backends
        self._settings = chain_like(settings, settings.completions)
        self._completed: set[int] = set()

    async def complete(self, nodes: Sequence[int] | dict[int, None]) -> None:
        """Completes those of `nodes` that were not."""
        tree = self._tree
        asked = [node for node in nodes if node not in self._completed]
        self._completed.update(asked)
        n = self._settings.n
        salt = f"rollout {len(tree.rollouts)}"
        begins = [node for node in asked for _ in range(n)]
        ends = list(begins)
        standing = {node: list(range(i * n, (i + 1) * n)) for i, node in enumerate(asked)}
        while standing:
            standing = await go_on(tree, standing, ends, self._backends, self._settings, salt)
        await judge_ends(tree, dict.fromkeys(ends), self._backends)
        for begin, end in zip(begins, ends, strict=True):
            tree.rollouts.append(end)
            brought = -1.0 if tree.nodes[end].outcome is not Outcome.ANSWERED else tree.nodes[end].reward
            if brought is not None:
                path = tree.path(end)
                for node in path[path.index(begin) :] if begin else [0, *path]:
                    visit(tree, node, brought)

    def right(self, node: int) -> bool | None:
        """Did a completion that passed through `node` come to a right answer? None where none got a verdict."""
        record = self._tree.nodes[node]
        return record.total > -record.visits if record.visits else None
