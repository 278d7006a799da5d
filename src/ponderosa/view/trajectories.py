"""What of a tree is worth showing, for the terminal and the page alike."""

import re
from dataclasses import dataclass

from ponderosa.core import Node, Outcome, Tree
from ponderosa.core.format import END_OF_OUTPUT, MARKERS, OUTPUT
from ponderosa.forest.trajectory import is_correct, is_wrong, trajectories

_OUTPUT = re.compile(f"{re.escape(OUTPUT)}(.*?){re.escape(END_OF_OUTPUT)}", re.DOTALL)
_MARKERS = re.compile("|".join(map(re.escape, MARKERS)))


@dataclass(frozen=True, slots=True)
class StepText:
    """A step's text without its markers, and what its program printed if the step shows it."""

    body: str
    output: str | None = None

    @classmethod
    def read(cls, text: str) -> "StepText":
        shown = _OUTPUT.search(text)
        body = _MARKERS.sub("", _OUTPUT.sub("", text))
        return cls(body.strip("\n").rstrip(), shown.group(1).strip() if shown else None)

    @property
    def headline(self) -> str:
        """The first line of code; of a step without code its first line."""
        lines = [line.strip() for line in self.body.splitlines() if line.strip()]
        return next((line for line in lines if not line.startswith("#")), lines[0] if lines else "")


@dataclass(frozen=True, slots=True)
class Mark:
    """A node's standing, told by a symbol and a word, so that colour is never the only sign."""

    symbol: str
    word: str
    style: str
    """`correct`, `wrong`, `answered`, `failed` or `open`."""


def mark(node: Node, *, judged: bool = True) -> Mark:
    """The node's standing. `judged`: terminals hold a judge's rewards, whose sign tells right from wrong."""
    if node.outcome is None:
        return Mark("·", "", "open")
    if node.outcome is not Outcome.ANSWERED:
        return Mark("!", str(node.outcome).replace("_", " "), "failed")
    if not judged or node.reward is None:
        return Mark("•", f"{node.answer}", "answered")
    return Mark("✓", f"{node.answer}", "correct") if is_correct(node) else Mark("✗", f"{node.answer}", "wrong")


def statistics(node: Node) -> str:
    """E.g. `Q +0.75 · N 8 · V +0.31`: mean reward backed up, visits, and the reward model's value if any."""
    facts = [f"Q {node.q:+.2f}", f"N {node.visits}"]
    if node.value is not None:
        facts.append(f"V {node.value:+.2f}")
    return " · ".join(facts)


def shown_children(tree: Tree, node: int, limit: int, keep: set[int]) -> tuple[list[int], int]:
    """The `limit` most visited children and those in `keep`, in order of creation, and how many others there are."""
    children = tree.nodes[node].children
    ranked = sorted(children, key=lambda c: (c not in keep, -tree.nodes[c].visits, -tree.nodes[c].q, c))
    kept = max(limit, sum(c in keep for c in children))
    return sorted(ranked[:kept]), max(len(children) - kept, 0)


def best_correct(tree: Tree) -> int | None:
    """The answer judged right whose trajectory comes first where training data are chosen: by mean Q, then by min Q."""
    correct = [trajectory for trajectory in trajectories(tree) if trajectory.correct]
    best = max(correct, key=lambda trajectory: (trajectory.mean_q, trajectory.min_q), default=None)
    return best.nodes[-1] if best else None


def first_wrong(tree: Tree) -> int | None:
    """The end of the first rollout whose answer was judged wrong."""
    return next((end for end in tree.rollouts if is_wrong(tree.nodes[end])), None)
