"""What a search came to, and how it is followed on the way there."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from ponderosa.core import Equivalent, Outcome, Problem, Tree, Usage
from ponderosa.search.answer import ANSWER_RULES, Choice
from ponderosa.search.methods import Method, SearchSettings, find_method


@dataclass(frozen=True, slots=True)
class Solution:
    """The answer that `method` chose for `problem`, and the tree it comes from, whose `usage` is the cost of all.

    Without an answer `choice` is None; `tree.outcome` says whether the search was cut short.
    """

    problem: Problem
    method: str
    tree: Tree
    choice: Choice | None

    @property
    def answer(self) -> str | None:
        return self.choice.answer if self.choice else None

    @property
    def confidence(self) -> float:
        """The share of the vote, or the score, of the answer, in [0, 1]; 0 without one."""
        return self.choice.confidence if self.choice else 0.0

    @property
    def steps(self) -> tuple[str, ...]:
        """The texts of the steps to the answer."""
        return self.tree.steps(self.choice.node) if self.choice else ()

    @property
    def refused(self) -> str:
        """The words of a backend that refused a request of this search; empty if none did."""
        return self.tree.nodes[0].error if self.tree.outcome is Outcome.BACKEND_FAILED else ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: the answer, how it was come to, and what that cost."""
        return {
            "id": self.problem.id,
            "question": self.problem.question,
            "answer": self.answer,
            "confidence": self.confidence,
            "method": self.method,
            "outcome": self.tree.outcome,
            "error": self.refused,
            "steps": list(self.steps),
            "usage": asdict(self.tree.usage),
        }


@dataclass(frozen=True, slots=True)
class Growth:
    """A search on its way: the best so far, and the node of `tree` (a part of the search's, maybe) that is extended."""

    best: Solution
    tree: Tree
    node: int


Watch = Callable[[Growth], None]

REMEMBERED = 32
"""Parts of a search, those extended last, among which its best answer so far is looked for."""


class Watched:
    """Follows one search: `extended` is its `Backends.watch`."""

    def __init__(
        self, problem: Problem, method: str | Method, settings: SearchSettings, equivalent: Equivalent | None
    ) -> None:
        self._problem, self._method = problem, method
        self._rule = ANSWER_RULES[find_method(method).rules[0]]
        self._aggregation, self._equivalent = settings.aggregation, equivalent
        self._parts: dict[int, Tree] = {}
        self._usages: dict[int, Usage] = {}
        self._last: tuple[Tree, int] | None = None

    def extended(self, tree: Tree, node: int) -> None:
        """The policy is asked for what follows `node`."""
        self._parts.pop(id(tree), None)
        self._parts[id(tree)] = tree
        if len(self._parts) > REMEMBERED:
            del self._parts[next(iter(self._parts))]
        self._usages[id(tree.usage)] = tree.usage  # parts of one tree share theirs
        self._last = tree, node

    async def growth(self) -> Growth | None:
        """How far the search is; None before its first request."""
        if self._last is None:
            return None
        tree, node = self._last
        best, choice = tree, None
        for part in reversed(list(self._parts.values())):
            found = await self._rule(part, self._equivalent, self._aggregation)
            if found is not None and (choice is None or found.confidence > choice.confidence):
                best, choice = part, found
        usage = sum(self._usages.values(), Usage())
        return Growth(Solution(self._problem, str(self._method), replace(best, usage=usage), choice), tree, node)
