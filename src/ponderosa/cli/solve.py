"""`ponderosa solve`."""

import asyncio
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from ponderosa.core import Outcome, PonderosaError, StepFormat, Tree, make_format
from ponderosa.evolution import Run
from ponderosa.evolution.run import read_json
from ponderosa.search import METHODS, Backends, Choice, SearchSettings, check_needs, search
from ponderosa.view.tree import draw_trajectory


def solve(
    question: str,
    *,
    model: str | None = None,
    method: str | None = None,
    reward: str | None = None,
    discriminator: str | None = None,
    format: str = "rstar",
    seed: int = 0,
) -> None:
    """Answer a question and print the steps.

    Parameters
    ----------
    question
        The question.
    model
        A run of `ponderosa evolve`, whose last policy and PPM answer, a Hugging Face checkpoint, or the address of a
        server (http://host:port); by default the embedded model that `make demo` made.
    method
        `greedy`, `majority`, `adaptive`, `best_of_n`, `weighted`, `beam`, `dvts`, `particles`, `playouts`, `mcts`,
        `trees`, `mutual`, `revision` or `long_chain`; by default `mcts` with a PPM, else `majority`.
    reward
        The PPM's checkpoint or server, where `model` is not a run or has another.
    discriminator
        A second policy, for mutual reasoning.
    format
        How steps are written: `rstar`, `text`, `fenced`, ...
    seed
        The seed of the search.
    """
    if not question.strip():
        raise PonderosaError("the question is empty")
    model = model or embedded()
    if model is None:
        raise PonderosaError(
            "which model? Name one with --model, a checkpoint or http://host:port; or make the embedded one: "
            "ponderosa evolve sapling-quick --out runs/demo"
        )
    policy, ppm, settings = _models(model)
    ppm = reward or ppm
    method = method or ("mcts" if ppm else "majority")
    if method not in METHODS:
        raise PonderosaError(f"there is no method {method}: choose one of {', '.join(METHODS)}")
    check_needs(method, METHODS[method].needs, {"reward": ppm, "discriminator": discriminator}.get)
    started = time.monotonic()
    tree, choice = asyncio.run(
        _search(question, policy, ppm, discriminator or "", method, make_format(format), settings, seed)
    )
    seconds = time.monotonic() - started
    console = Console()
    if choice is None:
        raise PonderosaError(f"no answer found in {len(tree.rollouts)} rollouts: try another --seed or --method")
    draw_trajectory(tree, choice.node, console, judged=False)
    usage = tree.usage
    console.print(f"\n[bold]Answer: {choice.answer}[/]  (confidence {choice.confidence:.2f}, {method})")
    console.print(
        f"{usage.generated_tokens:,} tokens generated, {usage.executions:,} executions, {seconds:.1f} s", style="dim"
    )


EMBEDDED = ("runs/sapling", "runs/demo")
"""Where the README's commands leave the embedded model, the better one first."""


def embedded() -> str | None:
    """The run that made the embedded model here, if there is one."""
    made = (run for run in EMBEDDED if (read_json(Path(run) / "results.json") or {}).get("checkpoints"))
    return next(made, None)


def _models(model: str) -> tuple[str, str | None, SearchSettings]:
    """The policy, the PPM if there is one, and the search settings of a run, a checkpoint or a server."""
    path = Path(model)
    if (path / "recipe.yaml").exists():
        recipe = Run.recipe_of(path)
        results = read_json(path / "results.json") or {}
        checkpoints = results.get("checkpoints")
        if not checkpoints:
            raise PonderosaError(f"the run {model} has not ended: go on with `ponderosa evolve`, or name a checkpoint")
        number = results["rounds"][-1]["round"]
        found = {name: path / f"round-{number}" / name for name in ("policy", "ppm")}
        settings = SearchSettings(mcts=replace(recipe.search, rollouts=recipe.evaluation.rollouts))
        return str(found["policy"]), str(found["ppm"]) if found["ppm"].exists() else None, settings
    if path.is_dir() and not (path / "config.json").exists():
        raise PonderosaError(f"{model} is neither a run nor a checkpoint: name a folder made by `ponderosa evolve`")
    return model, None, SearchSettings()


async def _search(
    question: str,
    policy: str,
    ppm: str | None,
    discriminator: str,
    method: str,
    format: StepFormat,
    settings: SearchSettings,
    seed: int,
) -> tuple[Tree, Choice | None]:
    from ponderosa.execution import make_executor
    from ponderosa.grading import MathGrader
    from ponderosa.models import load_policy, load_reward

    with ExitStack() as models:
        async with make_executor() as executor, MathGrader() as grader:
            proposer = closed_with(models, load_policy(policy))
            second = closed_with(models, load_policy(discriminator)) if discriminator else None
            valuer = closed_with(models, load_reward(ppm, format)) if ppm else None
            backends = Backends(proposer, executor, format, valuer, discriminator=second, equivalent=grader.equivalent)
            tree, choice = await search("question", question, method, backends, grader, settings, seed)
    if tree.outcome is Outcome.BACKEND_FAILED:
        raise PonderosaError(tree.nodes[0].error)
    return tree, choice


def closed_with(stack: ExitStack, model: Any) -> Any:
    """`model`, whose threads and connections end with the stack."""
    stack.callback(model.close)
    return model
