"""One search over a file of problems, as a run of its own: what makes data sets and answers outside of an evolution."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ponderosa.cluster import Shard, WorkerPool
from ponderosa.cluster.shard import spread
from ponderosa.core import FORMATS, PonderosaError, Problem, make_format
from ponderosa.evolution.recipe import Part, WorkerSettings, known, parse, typed
from ponderosa.evolution.run import Observer, claimed, run_shards, snapshot
from ponderosa.execution import ExecutionSettings
from ponderosa.search import SEARCHES, Budget, check_needs

SETTINGS = "search.yaml"
FOREST = "forest"


class SearchRun(Part):
    """What a run of `ponderosa search` depends on. `settings` are those of `search`, one of `search.SEARCHES`.

    A `judged` search learns from the known answers: it makes data. `trees` are searched for each problem.
    """

    search: str
    settings: dict[str, Any] = Field(default_factory=dict)
    format: str = "rstar"
    few_shot: str = ""
    policy: str
    reward: str | None = None
    discriminator: str | None = None
    outcome_reward: str | None = None
    grader: str | None = None
    judged: bool = False
    trees: int = Field(1, ge=1)
    seed: int = 0
    budget: Annotated[Budget, known(Budget)] = Budget()
    execution: Annotated[ExecutionSettings, known(ExecutionSettings)] = ExecutionSettings()
    workers: WorkerSettings = WorkerSettings()

    @classmethod
    def of(cls, path: Path) -> "SearchRun":
        """The settings of the run at `path`. Raises `PonderosaError` if there is none."""
        return parse(cls, snapshot(path, SETTINGS, "search"), str(path / SETTINGS))

    def template(self, tree: int) -> Shard:
        """What all shards of the problems' tree number `tree` have in common."""
        return Shard(
            self.policy,
            self.search,
            settings=self.settings,
            reward=self.reward,
            discriminator=self.discriminator,
            outcome_reward=self.outcome_reward,
            judged=self.judged,
            seed=self.seed,
            index=tree,
            concurrency=self.workers.concurrency,
            execution=asdict(self.execution),
            format=self.format,
            few_shot=self.few_shot,
            grader=self.grader,
            budget=asdict(self.budget),
        )

    @contextmanager
    def claim(self, path: Path) -> Iterator[None]:
        """The run's folder, new or to go on with. Raises `PonderosaError` if it was begun with other settings."""
        with claimed(path, SETTINGS, self.model_dump(mode="json"), lambda: self.of(path).model_dump(mode="json")):
            yield


def check(run: SearchRun) -> None:
    """Raises `PonderosaError`, which names what there is, for a search, a setting or a format that there is not."""
    if run.search not in SEARCHES:
        raise PonderosaError(f"there is no search {run.search}: choose one of {', '.join(SEARCHES)}")
    if run.format not in FORMATS:
        raise PonderosaError(f"there is no step format {run.format}: choose one of {', '.join(FORMATS)}")
    search = SEARCHES[run.search]
    names = list(search.settings.__dataclass_fields__)
    if unknown := sorted(set(run.settings) - set(names)):
        raise PonderosaError(f"{run.search} has no setting {', '.join(unknown)}; it has {', '.join(names)}")
    check_needs(run.search, search.needs, lambda need: getattr(run, need))
    if run.judged and run.search == "mutual":
        raise PonderosaError("mutual reasoning judges by what it agrees on itself: leave --judged out")
    if run.outcome_reward is not None and run.search != "mcts_playouts":
        raise PonderosaError("--outcome-reward is for --method mcts_playouts alone: leave it out")
    search.check(typed(search.settings, run.settings, run.search), make_format(run.format))


async def run_search(path: Path, run: SearchRun, found: Sequence[Problem], observer: Observer) -> None:
    """Searches the problems that were `found` into `path`/forest, or goes on with that."""
    if run.judged and (unanswered := [problem.id for problem in found if problem.answer is None]):
        raise PonderosaError(f"problem {unanswered[0]} has no answer, which a search that makes data learns from")
    folders = [path / FOREST / f"tree-{tree}" for tree in range(run.trees)]
    share = -(-run.workers.processes // run.trees)
    work = [
        shard
        for tree, folder in enumerate(folders)
        for shard in spread(run.template(tree), folder, found, run.workers.shard, share)
    ]
    async with WorkerPool(run.workers.processes, path / "logs") as pool:
        await run_shards(pool, work, "search", observer)


def forests(path: Path) -> list[Path]:
    """The forests of the run at `path`, one for each tree of its problems."""
    return sorted((path / FOREST).glob("tree-*"))
