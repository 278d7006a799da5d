"""Trees in the JSON layout of rStar-Math's public code, for its own extraction and evaluation scripts."""

from typing import Any

from ponderosa.core import Node, Outcome, Tree
from ponderosa.core.format import END_OF_CODE, OUTPUT

_ENDS = {
    Outcome.CODE_ERROR: "Too many consecutive steps have code errors.",
    Outcome.TOO_DEEP: "Fail to sove the problem within limited steps.",  # its spelling
    Outcome.NO_VALID_CHILD: "Fail to generate parsable text for next step.",
    Outcome.MALFORMED: "Fail to generate parsable text for next step.",
}
"""What that code writes into the answer's place of a trajectory that failed."""


def official_record(tree: Tree, answer: str | None = None) -> dict[str, Any]:
    """`{question, answer, rstar: {tag: {...}}}`: nodes by their place, breadth-first, as that code numbers them.

    `provenance` is ours: the tree's id and the node's number for each tag.
    """
    places = {node: tree.place(node) for node in range(len(tree.nodes))}
    order = sorted(places, key=lambda node: (len(places[node]), places[node]))
    brought: dict[int, float] = {}
    for end in tree.answered():
        for node in (0, *tree.path(end)):
            brought.setdefault(node, tree.nodes[end].reward or 0.0)
    return {
        "question": tree.question,
        "answer": answer,
        "rstar": {tree.tag(node): _node(tree, node, brought.get(node, 0)) for node in order},
        "provenance": {"tree_id": tree.id, "nodes": {tree.tag(node): node for node in order}},
    }


def _node(tree: Tree, index: int, brought: float) -> dict[str, Any]:
    node = tree.nodes[index]
    ran = index > 0 and node.outcome is not Outcome.ANSWERED and "boxed" not in node.text
    record: dict[str, Any] = {
        "text": node.text,
        "extra_info": "" if index else f"question: {tree.question}",
        "action": "python_interpreter" if ran else "",
        "action_input": _code(node) if ran else "",
        "final_answer": node.answer or (_ENDS.get(node.outcome, "") if node.outcome else ""),
    }
    if ran:
        record["observation"] = node.output
    return record | {"value": _first(node, brought), "q_value": node.q, "visit_count": node.visits}


def _code(node: Node) -> str:
    """The step as the policy wrote it. Its output follows on its own end of code, or, where a step failed and ended its
    trajectory, on one that was appended; there an output that was shown already stands within another.
    """
    head, found, shown = node.text.partition(f"{END_OF_CODE}\n{OUTPUT}")
    if not found:
        return node.text
    appended = node.outcome is Outcome.CODE_ERROR and not shown.startswith(OUTPUT)
    return head if appended else head + END_OF_CODE


def _first(node: Node, brought: float) -> float:
    """The first thing that was counted for the node: its value, or what the first answer below it `brought`."""
    if not node.visits:
        return 0
    if node.value is not None:
        return node.value
    if node.reward is not None or (node.terminal and node.outcome is not Outcome.ANSWERED):
        return node.reward if node.reward is not None else -1.0
    return brought
