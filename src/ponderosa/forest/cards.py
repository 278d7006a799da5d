"""The card of a data set: what it holds, how it was made, what its columns mean, and how to load it."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ponderosa.core.card import card

COLUMNS = {
    "tree_id": "the search tree: its problem and its number",
    "problem_id": "the problem",
    "question": "its question",
    "prompt": "the question in the step format, and the steps so far",
    "response": "the steps of the trajectory",
    "steps": "the steps of the path, which continue the prompt",
    "targets": "what each step is worth, from -1 to 1; null where it is not known, or stands in another row",
    "chosen": "a better continuation of the prompt",
    "rejected": "a worse one",
    "weight": "the row's weight in the loss",
    "margin": "the difference of the two in Q",
    "scope": "does a continuation end after one `step` or with the `trajectory`, or is it that one's `answer` alone?",
    "correct": "is the trajectory's answer right?",
    "nodes": "the nodes of the tree that are its steps",
    "mean_q": "the mean of their Q",
    "min_q": "the least of them",
    "prefix_node": "the node at which the prompt ends",
    "chosen_node": "the node at which the better continuation ends",
    "rejected_node": "the node at which the worse one ends",
    "index": "which of its problem's trees it is",
    "method": "the search",
    "seed": "its seed",
    "node": "the node's number in its tree; 0 is the root",
    "parent": "its parent's; -1 for the root",
    "depth": "how many steps it is from the root",
    "text": "the step",
    "visits": "N(s)",
    "total": "q(s), the sum of what was backed up to it",
    "q": "Q(s) = q(s) / N(s)",
    "value": "the reward model's score of the step",
    "reward": "what a terminal brought",
    "outcome": "how a trajectory that ends here ended",
    "answer": "its answer",
    "error": "what its program failed with",
    "output": "what its program printed, where the step does not say so",
    "errors": "consecutive code errors up to this step",
    "tokens": "tokens generated for it",
    "drawn": "tokens generated for all candidates of the steps after it",
    "prior": "the policy's log-probability of it (nats)",
    "action": "what the policy was asked for, where not for a step",
    "expanded": "have steps after it been asked for?",
    "rollouts": "on the root: the nodes at which rollouts ended, in order",
    "usage": "on the root: what the search cost",
    "tree_outcome": "on the root: why the search was cut short",
}
"""What the columns of all tables of a forest and of its data sets mean."""

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@dataclass(frozen=True, slots=True)
class Part:
    """A table of a data set, in `files`: what a row is, how many there are, of how many problems and trees."""

    name: str
    what: str
    files: str
    columns: Collection[str]
    rows: int
    problems: int
    trees: int


def data_card(
    title: str,
    source: str,
    parts: Sequence[Part],
    settings: Mapping[str, Any],
    license: str | None = None,
    note: str = "",
) -> str:
    """The card of a data set of one or more `parts`, each of them a configuration for `datasets.load_dataset`.

    `source` says in words where the trees are from; `settings` are plain JSON values; a `note` is a line of its own.
    """
    rows = sum(part.rows for part in parts)
    metadata = {
        "license": license,
        "pretty_name": title,
        "task_categories": ["text-generation"],
        "tags": ["ponderosa", "rstar-math", "math", "code"],
        "size_categories": [next((name for limit, name in _SIZES if rows < limit), "n>1M")],
        "configs": [{"config_name": part.name, "data_files": part.files} for part in parts],
    }
    counts = "\n".join(
        f"| `{part.name}` | {part.what} | {part.rows:,} | {part.problems:,} | {part.trees:,} |" for part in parts
    )
    columns = "\n\n".join(_columns(part, titled=len(parts) > 1) for part in parts)
    line = f"\n{note}\n" if note else ""
    text = f"""
# {title}

Made by Ponderosa from {source}: trees of steps with executed code, as in rStar-Math
([arXiv 2501.04519](https://arxiv.org/abs/2501.04519)).
{line}
| part | a row is | rows | problems | trees |
|---|---|---|---|---|
{counts}

A row names the problem, the tree and the nodes that it comes from. `datasets.load_dataset(PATH, PART, split="train")`
loads a part from this folder, or from the repository that it is in.

## Columns

{columns}

## Settings

```json
{json.dumps(settings, indent=2, ensure_ascii=False)}
```
"""
    return card(metadata, text)


def _columns(part: Part, titled: bool) -> str:
    lines = ["| column | |", "|---|---|", *(f"| `{name}` | {COLUMNS[name]} |" for name in part.columns)]
    return "\n".join([f"### {part.name}", "", *lines] if titled else lines)
