import copy
import io
from typing import Any

import pytest
from rich.console import Console

from ponderosa.core import Outcome, Tree


def rate(value: float, n: int = 500, **more: Any) -> dict[str, Any]:
    return {"accuracy": value, "low": value - 0.03, "high": value + 0.02, "n": n, **more}


@pytest.fixture(scope="session")
def whole_results() -> dict[str, Any]:
    """A run of two rounds, the base included; its last round has everything that a round may have."""
    return {
        "recipe": {"name": "sapling-quick", "rounds": [{"problems": 600}]},
        "seed": 1,
        "rounds": [
            {
                "round": 0,
                "coverage": None,
                "greedy": rate(0.5, tokens=118.2),
                "majority": rate(0.55, n=200, tokens=470, k=4),
                "best_of_n": None,
                "mcts": None,
                "pass_at_k": rate(0.8, n=200, tokens=470, k=4),
                "ppm": None,
                "sft": None,
                "seconds": {"evaluation": 20.0},
                "tokens": {"generated": 0, "prompt": 0},
                "executions": 0,
            },
            {
                "round": 1,
                "coverage": {"value": 0.88, "low": 0.86, "high": 0.9, "n": 600},
                "greedy": rate(0.7, tokens=120),
                "majority": rate(0.75, n=200, tokens=480, k=4),
                "best_of_n": rate(0.76, n=200, tokens=480, k=4),
                "mcts": rate(0.78, n=60, tokens=900),
                "pass_at_k": rate(0.9, n=200, tokens=480, k=4),
                "best": {"method": "mcts", "dev": {"mcts": 0.8}} | rate(0.78, n=60, tokens=900),
                "against_majority": {
                    "mcts": {"value": 0.03, "low": -0.01, "high": 0.07, "n": 60}
                    | {"k": 4, "tokens": 900.0, "majority_tokens": 480.0}
                },
                "ppm": {"auc": {"value": 0.86, "low": 0.85, "high": 0.87, "n": 3000}, "pair_accuracy": None},
                "sft": {"rows": 1050, "pairs": 3000, "wrong_intermediate": {"value": 0.07, "n": 1050}},
                "seconds": {"search": 60.0, "sft": 50.0, "ppm": 20.0, "evaluation": 25.0},
                "tokens": {"generated": 400_000, "prompt": 900_000},
                "executions": 42_000,
                "searches": {
                    "data": {"trees": 600, "policy_calls": 9_000, "generated_tokens": 400_000, "wall_s": 1200.0}
                    | {"prompt_tokens": 900_000, "cached_tokens": 840_000, "reward_tokens": 0, "flops": 7.2e11}
                },
            },
        ],
        "paired": {"greedy_gain": {"value": 0.2, "low": 0.151, "high": 0.249}},
        "checkpoints": {"policy": "runs/demo/round-1/policy", "ppm": None},
        "wall_s": 175.2,
    }


@pytest.fixture
def results(whole_results: dict[str, Any]) -> dict[str, Any]:
    """Results that a test may change."""
    return copy.deepcopy(whole_results)


@pytest.fixture(scope="session")
def whole_tree() -> Tree:
    """A search with a right answer (node 4), a wrong one (node 6) and a step that fails (node 7)."""
    tree = Tree("p1", "Ann has 12 apples, Ben 7 fewer. How many have both?", method="mcts")
    first = tree.add(0, "# Step 1: Ann has 12.\nann = 12\n<end_of_step>")
    right = tree.add(first, "# Step 2: Ben has 7 fewer.\nben = ann - 7\n<end_of_step>", value=0.5)
    end = tree.add(right, "# Now print\nprint(ann + ben)\n<end_of_code>\n<output>17<end_of_output>")
    won = tree.add(end, "<answer>\\boxed{17}<end_of_answer>", outcome=Outcome.ANSWERED, answer="17", reward=1.0)
    wrong = tree.add(first, "# Step 2: Ben has 7.\nben = 7\n<end_of_step>")
    lost = tree.add(wrong, "<answer>\\boxed{19}<end_of_answer>", outcome=Outcome.ANSWERED, answer="19", reward=-1.0)
    failed = tree.add(first, "ben = [red]ann[/red] / 0", outcome=Outcome.CODE_ERROR, error="ZeroDivisionError: zero")
    for terminal, reward in ((lost, -1), (won, 1), (won, 1), (failed, -1)):
        tree.rollouts.append(terminal)
        for node in (0, *tree.path(terminal)):
            tree.nodes[node].visits += 1
            tree.nodes[node].total += reward
    return tree


@pytest.fixture
def tree(whole_tree: Tree) -> Tree:
    """A tree that a test may change."""
    return copy.deepcopy(whole_tree)


@pytest.fixture
def console() -> Console:
    """A console of 80 columns that is no terminal."""
    return Console(file=io.StringIO(), width=80)


@pytest.fixture
def printed(console: Console):
    """What the console has printed."""
    return lambda: console.file.getvalue()
