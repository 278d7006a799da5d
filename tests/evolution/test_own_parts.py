"""A recipe whose policy and grader are a user's own."""

import asyncio
from pathlib import Path

from ponderosa.evolution.evaluation import measure, search_held_out
from ponderosa.evolution.rstar_math import RStarMath, make_trees
from ponderosa.evolution.run import Run
from ponderosa.evolution.stages import Stages, solved
from ponderosa.view.progress import Progress

MINE = """
from ponderosa.core import Completion, Ended, Verdict


class Guess:
    async def propose(self, prompt, n, sampling, seed):
        return [Completion("It is \\\\boxed{1}.", Ended.EOS)] * n


class Lenient:
    async def grade(self, answer, problem):
        return Verdict(problem.answer != "hard")

    async def equivalent(self, a, b, problem):
        return a == b
"""
PROBLEMS = "".join(f'{{"id": "{i}", "question": "How many?", "answer": "{a}"}}\n' for i, a in enumerate(["2", "hard"]))


async def searched(run: Run) -> tuple[set[str], float]:
    """The training problems that were solved, and the accuracy on test problems, before any training."""
    async with Stages.open(run, Progress()) as stages:
        (forest,) = await make_trees(stages, run.recipe, 1, stages.base, None)
        measured = await measure(stages, await search_held_out(stages, 1, stages.base, None), None)
        return {tree.problem_id for tree in forest.trees() if solved(tree)}, measured["greedy"]["accuracy"]


def test_they_make_and_judge_its_trees(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own_evolution.py").write_text(MINE)
    Path("problems.jsonl").write_text(PROBLEMS)
    Path("test.jsonl").write_text(PROBLEMS.replace("How", "And how"))
    recipe = RStarMath.model_validate(
        {
            "policy": "python:own_evolution:Guess",
            "grader": "python:own_evolution:Lenient",
            "problems": {"source": "files", "train": "problems.jsonl", "test": "test.jsonl"},
            "workers": {"processes": 1},
            "rounds": [{"problems": 2, "rollouts": 1}],
        }
    )
    with Run.open(tmp_path / "run", recipe) as run:
        assert asyncio.run(searched(run)) == ({"0"}, 0.5)
