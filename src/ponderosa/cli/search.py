"""`ponderosa search`."""

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from ponderosa.cli.problems import problems_of
from ponderosa.core import Outcome, PonderosaError, Tree, Usage
from ponderosa.evolution.grading import judged_by
from ponderosa.evolution.searching import FOREST, SearchRun, forests, run_search, search_run
from ponderosa.evolution.settings import assignment
from ponderosa.forest import read_forest
from ponderosa.view.progress import progress


def search(
    problems: str,
    *,
    model: str,
    out: Path,
    preset: str | None = None,
    method: str | None = None,
    reward: str | None = None,
    discriminator: str | None = None,
    outcome_reward: str | None = None,
    over: Path | None = None,
    grader: str | None = None,
    format: str | None = None,
    few_shot: Path | None = None,
    data_dir: Path | None = None,
    judged: Annotated[bool | None, Parameter(negative="--no-judged")] = None,
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
    set: list[str] | None = None,
) -> None:
    """Search problems and keep the trees. The same command goes on with a run that was stopped.

    Parameters
    ----------
    problems
        A file (.jsonl, .json, .csv, .parquet), a benchmark (aime24, math500, gsm8k, ...), reasoning-gym:FAMILY or
        hub:OWNER/NAME; options follow after ?, e.g. file.csv?question=COLUMN&limit=50 (docs/problems.md).
    model
        Who proposes: a run of `ponderosa evolve`, which also brings its PPM, a Hugging Face checkpoint, an embedded
        base by name (`sapling`), the address of a server (http://host:port), python:module:attribute, or scripted:FILE.
    out
        The run's folder.
    preset
        A search with all its settings, e.g. `rstar-math` or `rstar-official/sft_sample_mcts`.
    method
        A search with settings of your own: `sample`, `pooled`, `mcts`, `beam`, `particles`, `mcts_playouts`, `mutual`,
        `revision`, `long_chain`, `rollouts` (what steps are worth, docs/reward-models.md) or python:module:attribute;
        `mcts` if there is no preset.
    reward
        Who values steps: a checkpoint, the address of a vLLM server, judge:POLICY (docs/judges.md),
        python:module:attribute or scripted:FILE; a PPM, or with ?kind=... another process reward model
        (docs/models.md).
    discriminator
        A second policy, for mutual reasoning, or judge:POLICY.
    outcome_reward
        Who values whole solutions in MCTS with simulations, where that is not the reward model of steps.
    over
        For `rollouts`: a folder of trees (`RUN/forest/tree-0`, `RUN/round-1/search/tree-0`) whose solutions are valued,
        in place of drawn ones.
    grader
        Who compares answers, in place of the grader of each problem's kind (docs/grading.md): judge:POLICY,
        python:module:attribute or scripted:FILE.
    format
        How steps are written: `rstar`, `text`, `proof`, `program`, `fenced`, ...; by default as the preset or the run
        says, or `rstar`.
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
    given = {"candidates": candidates, "rollouts": rollouts, "max_depth": max_depth, "parallel": parallel_rollouts}
    run = search_run(
        model,
        preset,
        method,
        {key: value for key, value in given.items() if value is not None} | dict(map(assignment, set or ())),
        reward=reward,
        discriminator=discriminator,
        outcome_reward=outcome_reward,
        over=over,
        grader=grader,
        format=format,
        few_shot=few_shot.read_text(encoding="utf-8") if few_shot else None,
        judged=judged,
        trees=trees,
        seed=seed,
        budget={"tokens": tokens, "calls": calls, "seconds": seconds},
        workers={"processes": processes, "concurrency": concurrency},
    )
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
        if said := judged_by(run.grader):
            line += f", {said}"
        ends = [tree.nodes[end] for tree in trees for end in tree.answered()]
        if unjudged := sum(end.reward is None for end in ends):
            line += f"; {unjudged:,} of {len(ends):,} answers have no verdict"
    console.print(line)
    usage = sum((tree.usage for tree in trees), Usage())
    if usage.unread_scores:
        console.print(f"on {usage.unread_scores:,} paths the judge said nothing that could be read: they are worth 0")
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
