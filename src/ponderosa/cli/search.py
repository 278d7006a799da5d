"""`ponderosa search`."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from ponderosa.cli.problems import problems_of
from ponderosa.core import Outcome, PonderosaError, Tree, Usage
from ponderosa.evolution.recipe import assignment, parse
from ponderosa.evolution.searching import FOREST, SearchRun, check, forests, run_search
from ponderosa.forest import read_forest
from ponderosa.search import PRESETS, check_needs
from ponderosa.view.progress import progress


def search(
    problems: str,
    *,
    policy: str,
    out: Path,
    preset: str | None = None,
    method: str | None = None,
    reward: str | None = None,
    discriminator: str | None = None,
    outcome_reward: str | None = None,
    grader: str | None = None,
    format: str | None = None,
    few_shot: Path | None = None,
    data_dir: Path | None = None,
    judged: bool | None = None,
    candidates: int | None = None,
    rollouts: int | None = None,
    max_depth: int | None = None,
    parallel_rollouts: int | None = None,
    trees: int = 1,
    tokens: int | None = None,
    calls: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    processes: int = 2,
    concurrency: int = 256,
    set: Annotated[list[str], Parameter(negative="")] = [],  # noqa: B006 - the option's name; never changed
) -> None:
    """Search problems and keep the trees. The same command goes on with a run that was stopped.

    Parameters
    ----------
    problems
        A file (.jsonl, .json, .csv, .parquet), a benchmark (aime24, math500, gsm8k, ...), reasoning-gym:FAMILY or
        hub:OWNER/NAME; options follow after ?, e.g. file.csv?question=COLUMN&limit=50 (docs/problems.md).
    policy
        Who proposes: a Hugging Face checkpoint, the address of a server (http://host:port), or scripted:FILE.
    out
        The run's folder.
    preset
        A search with all its settings, e.g. `rstar-math` or `rstar-official/sft_sample_mcts`.
    method
        A search with settings of your own: `sample`, `pooled`, `mcts`, `beam`, `particles`, `mcts_playouts`, `mutual`,
        `revision` or `long_chain`; `mcts` if there is no preset.
    reward
        Who values steps: a checkpoint, the address of a vLLM server, or scripted:FILE.
    discriminator
        A second policy, for mutual reasoning.
    outcome_reward
        Who values whole solutions in MCTS with simulations, where that is not the reward model of steps.
    grader
        scripted:FILE, in place of the mathematical grader.
    format
        How steps are written: `rstar`, `text`, `fenced`, ...
    few_shot
        A text file that stands before every question.
    data_dir
        A folder with copies of benchmarks.
    judged
        Learn from the known answers, to make data; by default as the preset says.
    candidates
        Samples for a step.
    rollouts
        Rollouts of a tree.
    max_depth
        Steps of a trajectory.
    parallel_rollouts
        Rollouts of one tree at a time.
    trees
        Trees for a problem.
    tokens
        Generated tokens after which the search of a problem ends.
    calls
        Requests to the policy after which it ends.
    seconds
        Seconds after which it ends.
    seed
        The run's seed.
    processes
        Worker processes.
    concurrency
        Problems in flight in each of them.
    set
        Any other setting of the search: `--set c=1.5 --set temperature=0.7`.
    """
    if preset is not None and preset not in PRESETS:
        raise PonderosaError(f"there is no preset {preset}: choose one of {', '.join(PRESETS)}")
    chosen = PRESETS[preset] if preset else None
    name = method or (chosen.search if chosen else "mcts")
    if chosen and method and method != chosen.search:
        raise PonderosaError(f"the preset {preset} searches by {chosen.search}: leave --method out")
    settings: dict[str, Any] = asdict(chosen.settings) if chosen else {}
    given = {"candidates": candidates, "rollouts": rollouts, "max_depth": max_depth, "parallel": parallel_rollouts}
    settings |= {key: value for key, value in given.items() if value is not None}
    settings |= dict(map(assignment, set))
    if chosen:
        check_needs(f"the preset {preset}", chosen.needs, {"reward": reward, "discriminator": discriminator}.get)
    run = parse(
        SearchRun,
        {
            "search": name,
            "settings": settings,
            "format": format or (chosen.format if chosen else "rstar"),
            "few_shot": few_shot.read_text(encoding="utf-8") if few_shot else "",
            "policy": policy,
            "reward": reward,
            "discriminator": discriminator,
            "outcome_reward": outcome_reward,
            "grader": grader,
            "judged": chosen.judged if judged is None and chosen else bool(judged),
            "trees": trees,
            "seed": seed,
            "budget": {"tokens": tokens, "calls": calls, "seconds": seconds},
            "workers": {"processes": processes, "concurrency": concurrency},
        },
        "these settings",
    )
    check(run)
    console = Console()
    found = problems_of(problems, data_dir)
    with run.claim(out), progress(console) as shown:
        asyncio.run(run_search(out, run, found, shown))
    _summarise([tree for forest in forests(out) for tree in read_forest(forest)], run, console)
    console.print(f"trees: {out / FOREST}\nNext:  ponderosa export {out} --format tree --out FILE")


def _summarise(trees: list[Tree], run: SearchRun, console: Console) -> None:
    answered = sum(any(True for _ in tree.answered()) for tree in trees)
    line = f"{len(trees):,} trees, {sum(len(tree.nodes) for tree in trees):,} nodes; {answered:,} with an answer"
    if run.judged:
        solved = {t.problem_id for t in trees if any((t.nodes[i].reward or 0) > 0 for i in t.answered())}
        line += f"; {len(solved):,} of {len({t.problem_id for t in trees}):,} problems solved"
    console.print(line)
    usage = sum((tree.usage for tree in trees), Usage())
    console.print(
        f"{usage.generated_tokens:,} tokens generated, {usage.policy_calls:,} requests, {usage.executions:,} executions"
    )
    if refused := [tree for tree in trees if tree.outcome is Outcome.BACKEND_FAILED]:
        first = refused[0]
        if len(refused) == len(trees):
            raise PonderosaError(
                f"every problem was refused: {first.nodes[0].error}; mend that, and choose another --out"
            )
        console.print(
            f"{len(refused):,} were refused by a backend, e.g. problem {first.problem_id}: {first.nodes[0].error}"
        )
    cut = [tree.outcome for tree in trees if tree.outcome not in (None, Outcome.BACKEND_FAILED)]
    if cut:
        console.print(f"{len(cut):,} searches were cut short: " + ", ".join(sorted({str(outcome) for outcome in cut})))
