"""`ponderosa rewards`."""

import asyncio
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from ponderosa.core import PonderosaError
from ponderosa.evolution.recipe import WorkerSettings
from ponderosa.evolution.rewards import RewardRun, compare_rewards
from ponderosa.evolution.run import write_json, write_whole
from ponderosa.view import figures, rewards
from ponderosa.view.progress import progress


def compare(
    *models: str,
    samples: Path,
    out: Path,
    dev: Path | None = None,
    siblings: Path | None = None,
    rollouts: Path | None = None,
    k: int = 8,
    min_visits: int = 4,
    format: str = "rstar",
    grader: str | None = None,
    processes: int = 2,
) -> None:
    """Compare reward models: calibration, the order of sibling steps, best-of-N. The same command resumes.

    Parameters
    ----------
    models
        Reward models, each as NAME=MODEL or MODEL: a checkpoint, the address of a server, judge:POLICY,
        python:module:attribute or scripted:FILE. The others are compared in pairs with the first.
    samples
        A folder of sampled solutions of held-out problems with known answers (`RUN/forest/tree-0` of `ponderosa search
        --method sample`, `RUN/round-N/evaluation/samples`, or `RUN/test/samples` of `ponderosa eval`).
    out
        The folder of the comparison.
    dev
        Such a folder for other problems, on which it is chosen how step values are aggregated.
    siblings
        A folder of trees of held-out problems that were searched with known answers: the model should put the better of
        two steps first.
    rollouts
        A folder of `ponderosa search --method rollouts` on held-out problems: is the model's p of a step the share of
        right answers that follow?
    k
        Samples to choose among.
    min_visits
        Roll-outs that must have gone through a step for its share to count.
    format
        How steps are written.
    grader
        Who compares answers, in place of the grader of each problem's kind (docs/grading.md).
    processes
        Worker processes.
    """
    run = RewardRun(
        models=_named(models),
        samples=samples,
        dev=dev,
        siblings=siblings,
        rollouts=rollouts,
        k=k,
        min_visits=min_visits,
        format=format,
        grader=grader,
        workers=WorkerSettings(processes=processes),
    )
    console = Console()
    with run.claim(out), progress(console) as shown:
        results = asyncio.run(compare_rewards(out, run, shown))
        table = rewards.markdown(results)
        write_json(out / "results.json", results)
        write_whole(out / "table.md", table)
        for name in ("calibration.svg", "calibration.png"):
            figures.save(rewards.picture(results), out / name)
    console.print(Markdown(table))
    console.print(f"Picture: {out / 'calibration.svg'}", markup=False, highlight=False, soft_wrap=True)


def _named(models: tuple[str, ...]) -> dict[str, str]:
    """Models by what to call them; the last parts of their paths where nothing is said."""
    named: dict[str, str] = {}
    for model in models:
        name, equals, target = model.partition("=")
        if not equals or "/" in name or "?" in name or ":" in name:
            name, target = "-".join(Path(model.partition("?")[0]).parts[-2:]), model
        if name in named:
            raise PonderosaError(f"two models are called {name}: say NAME=MODEL for one of them")
        named[name] = target
    if not named:
        raise PonderosaError("name at least one reward model")
    return named
