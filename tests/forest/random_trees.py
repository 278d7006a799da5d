"""Random trees."""

from dataclasses import fields
from typing import Any

from hypothesis import strategies as st

from ponderosa.core import Outcome, Tree, Usage

integers = st.integers(min_value=0, max_value=2**63 - 1)
numbers = st.floats(allow_nan=False)
scores = st.floats(min_value=-1, max_value=1)
# Without lone surrogates, which UTF-8 cannot hold.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)

node_fields: dict[str, st.SearchStrategy[Any]] = {
    "visits": integers,
    "total": numbers,
    "value": st.none() | numbers,
    "reward": st.none() | numbers,
    "outcome": st.none() | st.sampled_from(Outcome),
    "answer": st.none() | texts,
    "error": texts,
    "errors": integers,
    "tokens": integers,
    "prior": st.none() | numbers,
    "expanded": st.booleans(),
}


usages = st.builds(Usage, **{f.name: numbers if f.type is float else integers for f in fields(Usage)})


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Any tree that the types allow."""
    tree = Tree(
        problem_id=draw(texts),
        question=draw(texts),
        seed=draw(integers),
        index=draw(integers),
        method=draw(texts),
        usage=draw(usages),
        outcome=draw(st.none() | st.sampled_from(Outcome)),
    )
    for name, values in node_fields.items():
        setattr(tree.nodes[0], name, draw(values))
    for size in range(1, draw(st.integers(1, 8))):
        tree.add(draw(st.integers(0, size - 1)), draw(texts), **draw(st.fixed_dictionaries(node_fields)))
    tree.rollouts = draw(st.lists(st.integers(0, len(tree.nodes) - 1), max_size=4))
    return tree


@st.composite
def searched_trees(draw: st.DrawFn, problem_id: str = "p") -> Tree:
    """A tree as a search with a judge leaves it: leaves that answer or fail, statistics backed up from the answers."""
    tree = Tree(problem_id, "What?", index=draw(st.integers(0, 9)))
    for size in range(1, draw(st.integers(1, 16))):
        inner = [i for i in range(size) if not tree.nodes[i].terminal]
        parent = draw(st.sampled_from(inner))
        text = f"{size}:" + draw(st.sampled_from(["x", "a longer thought, and a step that follows from it"]))
        kind = draw(st.sampled_from(["step", "right", "wrong", "failed"])) if size > 1 else "step"
        node = tree.add(parent, text)
        if kind in ("right", "wrong"):
            reward = 1.0 if kind == "right" else -1.0
            tree.nodes[node].outcome, tree.nodes[node].answer, tree.nodes[node].reward = Outcome.ANSWERED, kind, reward
            for i in [0, *tree.path(node)]:
                tree.nodes[i].visits += 1
                tree.nodes[i].total += reward
        elif kind == "failed":
            tree.nodes[node].outcome, tree.nodes[node].error = Outcome.CODE_ERROR, "ValueError: no"
        else:
            tree.nodes[node].error = draw(st.sampled_from(["", "", "NameError: n"]))
    return tree
