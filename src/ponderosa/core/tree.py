"""The one search tree. Flat nodes with a parent index, statistics in plain fields; algorithms are functions over it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from ponderosa.core.outcome import Outcome

SCHEMA_VERSION = 3
READABLE = (2, 3)
"""Schemas that this version reads. 2 lacks `Node.action` and `Node.drawn`, and in `Usage` what a reward model read, a
discriminator wrote, and the time."""


@dataclass(slots=True)
class Node:
    """A step. The root has no text and parent -1.

    `visits` is N(s) and `total` is q(s), the sum of what was backed up to the node, so that Q(s) = q(s) / N(s)
    (rStar-Math, section 3.2). `value` is the reward model's score of the step when it was created, and `reward` what a
    terminal brought (the judge's word when data are made), each in [-1, 1] and None where there is none.
    `prior` is the policy's log-probability of the step's text (nats) where it was asked for.
    """

    parent: int
    depth: int
    text: str = ""
    visits: int = 0
    total: float = 0.0
    value: float | None = None
    reward: float | None = None
    outcome: Outcome | None = None
    answer: str | None = None
    error: str = ""
    output: str = ""
    """What its program printed, where the step was run and its text does not say so."""
    errors: int = 0
    """Consecutive code errors up to this step."""
    tokens: int = 0
    """What was generated for it; the root's are those of the question's prompt."""
    drawn: int = 0
    """What was generated for all candidates of the steps after it, duplicates too."""
    prior: float | None = None
    action: str = ""
    """What the policy was asked for, where a method asks for more than the next step."""
    expanded: bool = False
    children: list[int] = field(default_factory=list)

    @property
    def q(self) -> float:
        """Q(s), the mean of what was backed up; 0 before the first visit."""
        return self.total / self.visits if self.visits else 0.0

    @property
    def terminal(self) -> bool:
        return self.outcome is not None


@dataclass(slots=True)
class Usage:
    """What a search cost. Tokens are summed over samples.

    `cached_tokens` of the prompts' and `reward_cached_tokens` of the reward model's were known from other requests;
    `discriminator_tokens` of the generated ones were a second policy's. On `unread_scores` paths a judge said nothing
    that could be read. `wall_s` are seconds from begin to end, waiting
    included; what differs only in time is the same search.
    """

    policy_calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    discriminator_tokens: int = 0
    reward_calls: int = 0
    scored_steps: int = 0
    reward_tokens: int = 0
    reward_cached_tokens: int = 0
    unread_scores: int = 0
    executions: int = 0
    wall_s: float = field(default=0.0, compare=False)

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(slots=True)
class Tree:
    """A search for one problem. `rollouts[i]` is the node at which rollout (or sample) i ended, in order.

    `outcome` is None for a search that ran to its end, else why it was cut short. A node's index is stable: it is
    the node's name in every data set made from the tree, together with `id`.
    """

    problem_id: str
    question: str
    seed: int = 0
    index: int = 0
    method: str = ""
    nodes: list[Node] = field(default_factory=lambda: [Node(parent=-1, depth=0)])
    rollouts: list[int] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    outcome: Outcome | None = None

    @property
    def id(self) -> str:
        return f"{self.problem_id}#{self.index}"

    def add(self, parent: int, text: str, **fields_: Any) -> int:
        """Appends a child of `parent` and returns its index."""
        index = len(self.nodes)
        self.nodes.append(Node(parent=parent, depth=self.nodes[parent].depth + 1, text=text, **fields_))
        self.nodes[parent].children.append(index)
        return index

    def child(self, parent: int, text: str) -> int | None:
        """The child of `parent` with this text, if there is one."""
        return next((c for c in self.nodes[parent].children if self.nodes[c].text == text), None)

    def path(self, node: int) -> list[int]:
        """The indices from the first step to `node`, the root excluded."""
        path = []
        while node > 0:
            path.append(node)
            node = self.nodes[node].parent
        return path[::-1]

    def steps(self, node: int) -> tuple[str, ...]:
        """The texts of the steps to `node`."""
        return tuple(self.nodes[i].text for i in self.path(node))

    def place(self, node: int) -> tuple[int, ...]:
        """The way to the node: which child at each step, counted from 1; empty for the root."""
        parts = []
        while node > 0:
            parent = self.nodes[node].parent
            parts.append(self.nodes[parent].children.index(node) + 1)
            node = parent
        return tuple(parts[::-1])

    def tag(self, node: int) -> str:
        """The node's place as a name, e.g. `0.2.1`: the root, its second child, and that one's first."""
        return ".".join(map(str, (0, *self.place(node))))

    def in_order(self) -> "Tree":
        """The same tree with its nodes numbered breadth-first, whatever the order in which they were made."""
        places = [self.place(node) for node in range(len(self.nodes))]
        order = sorted(range(len(places)), key=lambda node: (len(places[node]), places[node]))
        number = {old: new for new, old in enumerate(order)} | {-1: -1}
        nodes = [
            replace(node, parent=number[node.parent], children=[number[child] for child in node.children])
            for node in map(self.nodes.__getitem__, order)
        ]
        return replace(self, nodes=nodes, rollouts=[number[end] for end in self.rollouts])

    def answered(self) -> Iterator[int]:
        """The terminals that hold an answer, in order of creation."""
        return (i for i, node in enumerate(self.nodes) if node.outcome is Outcome.ANSWERED)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; children follow from parents, which are in order."""
        nodes = []
        for node in self.nodes:
            record = asdict(node)
            del record["children"]
            nodes.append(record)
        return (
            {"schema": SCHEMA_VERSION}
            | {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("nodes", "usage")}
            | {"usage": asdict(self.usage), "nodes": nodes}
        )

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> "Tree":
        """The inverse of `to_json`. Raises ValueError for a schema that this version does not know."""
        record = dict(record)
        schema = record.pop("schema", None)
        if schema not in READABLE:
            raise ValueError(f"tree schema {schema!r}: this version reads {' and '.join(map(str, READABLE))}")
        nodes = [_node(n) for n in record.pop("nodes")]
        for index, node in enumerate(nodes[1:], start=1):
            nodes[node.parent].children.append(index)
        usage = Usage(**record.pop("usage"))
        outcome = record.pop("outcome")
        return cls(nodes=nodes, usage=usage, outcome=Outcome(outcome) if outcome else None, **record)


def _node(record: dict[str, Any]) -> Node:
    outcome = record["outcome"]
    return Node(**{**record, "outcome": Outcome(outcome) if outcome else None})
