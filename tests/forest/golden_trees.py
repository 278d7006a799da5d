"""Reads the golden trees of the public rStar-Math code as trees of ours."""

import gzip
import json
from pathlib import Path
from typing import Any

from ponderosa.core import Outcome, Tree

FOLDER = Path(__file__).parent / "golden"
RUNS = ("a_sample_mcts", "b_sft_sample_mcts")
HARMLESS = "the percent error is next"
"""Printed by an error-free step; the public code takes every output with the word "error" for a failure."""


def load(run: str, part: str) -> Any:
    with gzip.open(FOLDER / f"{run}.{part}.json.gz", "rt", encoding="utf-8") as file:
        return json.load(file)


def trees(run: str) -> list[Tree]:
    return [tree(problem) for problem in load(run, "trees")["problems"]]


def tree(problem: dict[str, Any]) -> Tree:
    result = Tree(str(problem["index"]), problem["question"])
    places = {"0": 0}
    for tag, node in problem["rstar"].items():
        if tag == "0":
            index = 0
        else:
            index = places[tag] = result.add(places[tag.rpartition(".")[0]], node["text"])
        ours = result.nodes[index]
        ours.visits, ours.total = node["visit_count"], node["q_value"] * node["visit_count"]
        observation = node.get("observation", "")
        if "error" in observation.lower() and HARMLESS not in observation:
            ours.error = observation
        ours.outcome = outcome(node["final_answer"])
        if ours.outcome is Outcome.ANSWERED:
            ours.answer, ours.reward = node["final_answer"], node["q_value"]
    return result


def outcome(final_answer: str) -> Outcome | None:
    """The public code keeps failures in the answer's place."""
    if not final_answer:
        return None
    failures = {"Too many consecutive steps": Outcome.CODE_ERROR, "Fail to sove the problem": Outcome.TOO_DEEP}
    return next((o for text, o in failures.items() if final_answer.startswith(text)), Outcome.ANSWERED)


def most_visited(tree: Tree) -> set[int]:
    """The path from the root to the child of most visits (of ties the first) below which answers of both kinds lie."""
    ends = {
        right: [tree.path(i) for i in tree.answered() if (tree.nodes[i].reward == 1) is right]
        for right in (True, False)
    }
    both = {node for path in ends[True] for node in path} & {node for path in ends[False] for node in path}
    path = [0]
    while children := [c for c in tree.nodes[path[-1]].children if c in both]:
        path.append(max(children, key=lambda c: tree.nodes[c].visits))
    return set(path)
