"""Reward models side by side: how well each is calibrated, orders sibling steps, and chooses among samples."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ponderosa.cluster import Shard, WorkerPool
from ponderosa.core import Outcome, PonderosaError, Problem, Tree, make_format
from ponderosa.evaluation import Sampled, rewards, statistics
from ponderosa.evaluation.answers import graded_samples
from ponderosa.evaluation.choices import AGGREGATED, best_aggregations
from ponderosa.evaluation.rewards import Truths
from ponderosa.evaluation.verdicts import Verdicts
from ponderosa.evolution.grading import check_gradable, open_grader
from ponderosa.evolution.run import FolderSettings, Observer, run_shards
from ponderosa.evolution.settings import known
from ponderosa.execution import make_executor
from ponderosa.forest import PAPER, PreferenceSettings, ValueRowSettings, read_forest, shards
from ponderosa.problems import read_problems

SETTINGS = "rewards.yaml"
PROBLEMS = "problems.jsonl"


class RewardRun(FolderSettings):
    """What a comparison of reward models depends on: `models` by what to call them, and forests of held-out problems.

    `samples` are solutions of each problem, of which the first `k` are chosen among; on those of `dev` it is chosen how
    step values are aggregated (without it, the last one counts). `siblings` are trees that were searched with a judge,
    whose preference pairs are compared. `rollouts` are those of the search of that name: what they found of a step is
    compared with what a model says, if they went through it at least `min_visits` times.
    """

    FILE = SETTINGS
    COMMAND = "rewards"

    models: dict[str, str] = Field(min_length=1)
    samples: Path
    dev: Path | None = None
    siblings: Path | None = None
    rollouts: Path | None = None
    k: int = Field(8, ge=1)
    min_visits: int = Field(4, ge=1)
    pairs: Annotated[PreferenceSettings, known(PreferenceSettings)] = PAPER
    format: str = "rstar"
    grader: str | None = None

    @property
    def forests(self) -> dict[str, Path]:
        """Those that there are, by what they are for."""
        named = {"samples": self.samples, "dev": self.dev, "siblings": self.siblings, "rollouts": self.rollouts}
        return {name: path for name, path in named.items() if path is not None}


async def compare_rewards(
    path: Path, run: RewardRun, observer: Observer, truths: Truths | None = None
) -> dict[str, Any]:
    """Scores the forests by each model into the folder `path`, or goes on with that, and measures.

    With `truths` the AUC of step values is measured too. Raises `PonderosaError` for forests that are not there, and
    for problems whose answers cannot be graded.
    """
    by_id = {name: _problems(forest) for name, forest in run.forests.items()}
    check_gradable([*by_id["samples"].values()], run.grader, run.format)
    make_format(run.format)
    whole = (tree for tree in read_forest(run.samples) if tree.outcome is not Outcome.BACKEND_FAILED)
    if short := [tree.problem_id for tree in whole if len(tree.rollouts) < run.k]:
        raise PonderosaError(
            f"{run.samples}: {len(short)} problems have fewer than {run.k} samples, first {short[0]}; lower `--k`, or "
            "draw more"
        )
    work = [
        Shard(
            None,
            "score",
            problems=str(file),
            out=str(path / model / name / file.name),
            reward=checkpoint,
            format=run.format,
        )
        for model, checkpoint in run.models.items()
        for name, forest in run.forests.items()
        for file in shards(forest)
    ]
    async with WorkerPool(run.workers.processes, path / "logs") as pool:
        await run_shards(pool, work, "scoring", observer, "forests")
    async with make_executor() as executor, open_grader(run.grader, executor, path) as opened:
        grader = Verdicts(opened)
        measured = {}
        for model in run.models:
            graded: dict[str, list[Sampled]] = {
                name: await graded_samples(read_forest(path / model / name), by_id[name], grader)
                for name in ("samples", "dev")
                if name in by_id
            }
            measured[model] = _measure(path / model, run, graded, by_id, truths)
        return {
            "settings": run.model_dump(mode="json"),
            "grading": grader.summary(),
            "models": measured,
            "paired": _paired(measured),
        }


def _problems(forest: Path) -> dict[str, Problem]:
    """The problems of a forest by their ids. Raises `PonderosaError` for a folder that has none."""
    if not (forest / PROBLEMS).exists():
        raise PonderosaError(f"{forest} has no {PROBLEMS}: name a folder of trees, e.g. RUN/forest/tree-0")
    return {problem.id: problem for problem in read_problems(forest / PROBLEMS)}


def _measure(
    scored: Path,
    run: RewardRun,
    graded: Mapping[str, Sequence[Sampled]],
    by_id: Mapping[str, Mapping[str, Problem]],
    truths: Truths | None,
) -> dict[str, Any]:
    format = make_format(run.format)

    def trees(name: str) -> Iterator[Tree]:
        return read_forest(scored / name)

    on_dev = graded.get("dev")
    chosen = best_aggregations(on_dev, run.k) if on_dev else dict.fromkeys(AGGREGATED, "last")
    known_steps = ValueRowSettings(min_visits=run.min_visits)
    return {
        "outcomes": rewards.outcome_calibration(graded["samples"]),
        "choice": rewards.choice_gains(graded["samples"], run.k, chosen),
        "steps": rewards.step_calibration(trees("rollouts"), format, known_steps) if run.rollouts else None,
        "pair_accuracy": rewards.pair_accuracy(trees("siblings"), format, run.pairs) if run.siblings else None,
        "auc": rewards.step_auc(trees("samples"), by_id["samples"], truths) if truths else None,
    }


def _paired(measured: Mapping[str, Any]) -> dict[str, Any]:
    """For each rule what choosing by each of the other models gains over choosing by the first, on the same samples."""
    first, *others = measured
    return {
        rule: {
            other: asdict(
                statistics.paired_difference(
                    measured[first]["choice"][rule]["rates"], measured[other]["choice"][rule]["rates"]
                )
            )
            for other in others
        }
        for rule in AGGREGATED
    }
