"""PPM, ORM and PRMs from the same problems, start and training tokens: `python benchmarks/rewards.py RUN OUT`.

RUN is a finished run of recipes/sapling.yaml. The first PROBLEMS problems of its round 1, which the base searched, make
all data; every model is trained from round 1's policy on TOKENS tokens (what texts share counted once). They choose
among that policy's samples of held-out problems, drawn here or, with `--samples`, by a run of `ponderosa eval`. Every
stage is kept in OUT, and the same command goes on.
"""

import argparse
import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ponderosa.core import CodeFormat, Problem, Tree
from ponderosa.evolution.problems import SaplingProblems
from ponderosa.evolution.recipe import ProblemSettings, WorkerSettings
from ponderosa.evolution.rewards import RewardRun, compare_rewards
from ponderosa.evolution.run import write_json
from ponderosa.evolution.searching import SearchRun, run_search
from ponderosa.forest import (
    PairRow,
    PreferenceSettings,
    ValueRow,
    ValueRowSettings,
    outcome_rows,
    preference_pairs,
    read_forest,
    value_rows,
    write_rows,
)
from ponderosa.sapling import base_path
from ponderosa.training import read_record, run_job
from ponderosa.view.progress import progress
from ponderosa.view.rewards import markdown, picture

FORMAT = CodeFormat()
PAIRS = PreferenceSettings(min_edit_distance=1)
WORKERS = WorkerSettings(processes=1)
ROLLED = {"solutions": 2, "completions": 4, "temperature": 0.8, "max_tokens": 400}
FIT = {
    "batch_size": 32,
    "micro_batch_size": 2,
    "attention": "eager",
    "max_length": 1024,
    "optimizer": "muon",
    "learning_rate": 0.004,
    "muon_learning_rate": 0.02,
    "evaluations": 1,
}
BRADLEY_TERRY = FIT | {"squash": "none", "scale": 1, "centering": 0.5}

Rows = Callable[[Iterable[Tree]], list[Any]]
MODELS: dict[str, tuple[str, type[Any], str, Rows, dict[str, Any]]] = {
    "PPM": ("ppm", PairRow, "search", lambda trees: preference_pairs(trees, FORMAT, PAIRS), BRADLEY_TERRY),
    "ORM": ("values", ValueRow, "search", lambda trees: outcome_rows(trees, FORMAT), FIT),
    "PRM, Q": ("values", ValueRow, "search", lambda trees: value_rows(trees, FORMAT), FIT | {"loss": "squares"}),
    "PRM, roll-outs": (
        "values",
        ValueRow,
        "rollouts",
        lambda trees: value_rows(trees, FORMAT, ValueRowSettings("hard", ROLLED["completions"])),
        FIT,
    ),
}
"""By name: the training's kind, its rows, the trees they are from, how they are made, and the training's settings."""


async def main(run: Path, out: Path, problems: int, rolled: int, every: int, tokens: int, samples: Path | None) -> None:
    console, source = Console(), SaplingProblems(ProblemSettings(), seed=1)
    with progress(console) as shown:
        test, dev = source.held_out("test", 500), source.held_out("dev", 150)
        tests, devs = (out / name / "forest" / "tree-0" for name in ("test", "dev"))
        if samples:
            tests, devs = (samples / name / "samples" for name in ("test", "dev"))
        else:
            policy, sampled = run / "round-1" / "policy", {"n": 8, "temperature": 0.7, "max_tokens": 400}
            await search(out / "test", "sample", test, sampled, shown, policy)
            await search(out / "dev", "sample", dev, sampled, shown, policy)
        searched = run / "round-1" / "search" / "tree-0"
        train = source.train(0, problems)
        base = base_path()
        binary = ROLLED | {"prefixes": "binary"}
        await search(out / "rollouts", "rollouts", train[:rolled], binary, shown, base, over=searched)
        await search(out / "every", "rollouts", train[:every], ROLLED, shown, base, over=searched)
        probe = run / "round-0" / "evaluation" / "probe"
        ids = {problem.id for problem in train}
        for name in MODELS:
            await make(name, run, out, ids, tokens, console)
        comparison = RewardRun(
            models={name: str(out / "models" / folder(name)) for name in MODELS},
            samples=tests,
            dev=devs,
            siblings=probe,
            pairs=PAIRS,
            workers=WORKERS,
        )
        known = {problem.question: problem for problem in test}  # files of problems say nothing of values

        def truths(problem: Problem, steps: Sequence[str]) -> list[bool] | None:
            return source.truths(known[problem.question], steps)

        results = await compare_rewards(out / "comparison", comparison, shown, truths)
    same = {problem.id for problem in train[:every]}
    results["cost"] = {
        "search": cost(searched, ids),
        "binary": cost(out / "rollouts" / "forest" / "tree-0"),
        "binary, where every step was completed": cost(out / "rollouts" / "forest" / "tree-0", same),
        "every": cost(out / "every" / "forest" / "tree-0"),
    }
    made = {name: labels(out / name / "forest" / "tree-0", same) for name in ("rollouts", "every")}
    results["labels"] = agreement(made["rollouts"], made["every"], {problem.id: problem for problem in train}, source)
    results["training"] = {name: read_record(out / "models" / folder(name))["report"] for name in MODELS}
    write_json(out / "results.json", results)
    picture(results).savefig(out / "rewards.svg")
    print(markdown(results))
    print(json.dumps({"cost": results["cost"], "labels": results["labels"], "training": results["training"]}, indent=1))


def folder(name: str) -> str:
    return name.lower().replace(", ", "-")


async def search(
    out: Path, name: str, problems: Any, settings: Any, shown: Any, policy: Path, over: Path | None = None
) -> None:
    run = SearchRun(
        search=name,
        settings=settings,
        policy=str(policy),
        judged=name == "rollouts",
        seed=1,
        over=over,
        workers=WORKERS,
    )
    run.check()
    with run.claim(out):
        await run_search(out, run, problems, shown)


async def make(name: str, run: Path, out: Path, ids: set[str], tokens: int, console: Console) -> None:
    """Trains a model for as many epochs as come to so many tokens."""
    kind, row, made_by, rows_of, settings = MODELS[name]
    rows, model = out / "data" / folder(name), out / "models" / folder(name)
    if model.exists():
        return
    if not rows.exists():
        forest = (
            run / "round-1" / "search" / "tree-0" if made_by == "search" else out / "rollouts" / "forest" / "tree-0"
        )
        found = rows_of(tree for tree in read_forest(forest) if tree.problem_id in ids)
        write_rows(rows, row, found, source="round 1", settings={})
    job = {"kind": kind, "start": str(run / "round-1" / "policy"), "rows": [str(rows)], "seed": 1, "out": str(model)}
    report = await run_job(job | {"settings": settings | {"epochs": 1000, "max_tokens": tokens}})
    console.print(f"{name}: {report['steps']} steps, {report['tokens']} tokens, {report['kept']}")


def cost(forest: Path, ids: set[str] | None = None) -> dict[str, int]:
    """What the trees of some problems cost."""
    trees = [tree for tree in read_forest(forest) if ids is None or tree.problem_id in ids]
    return {
        "problems": len(trees),
        "completions": sum(len(tree.rollouts) for tree in trees),
        "generated_tokens": sum(tree.usage.generated_tokens for tree in trees),
    }


Labels = dict[tuple[str, tuple[str, ...]], float]
"""Hard labels by problem and steps."""


def labels(forest: Path, ids: set[str]) -> Labels:
    """Can a right answer be reached from these steps?"""
    rows = value_rows(
        (tree for tree in read_forest(forest) if tree.problem_id in ids),
        FORMAT,
        ValueRowSettings("hard", ROLLED["completions"]),
    )
    return {
        (row.problem_id, row.steps[: i + 1]): target
        for row in rows
        for i, target in enumerate(row.targets)
        if target is not None
    }


def agreement(binary: Labels, every: Labels, problems: dict[str, Problem], source: SaplingProblems) -> dict[str, Any]:
    """How often two ways of labelling agree, and each with the world's truth up to a path's first wrong step."""
    both = binary.keys() & every.keys()
    found: dict[str, Any] = {"both": len(both), "agree": sum(binary[key] == every[key] for key in both)}
    for name, made in (("binary", binary), ("every", every)):
        known = [(source.truths(problems[problem], steps), target) for (problem, steps), target in made.items()]
        right = [truth[-1] == (target > 0) for truth, target in known if all(truth[:-1])]
        found[name] = {"right": sum(right), "n": len(right)}
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--problems", type=int, default=300)
    parser.add_argument("--rolled", type=int, default=300, help="of them, those whose first errors are searched")
    parser.add_argument("--every", type=int, default=60, help="of them, those of which every step is completed")
    parser.add_argument("--tokens", type=int, default=500_000)
    parser.add_argument("--samples", type=Path, help="a run of `ponderosa eval` with samples of round 1's policy")
    arguments = parser.parse_args()
    asyncio.run(main(**vars(arguments)))
