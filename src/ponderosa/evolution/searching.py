"""One search over a file of problems, as a run of its own: what makes data sets and answers outside of an evolution."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ponderosa.cluster import Shard, ShardProgress, WorkerPool
from ponderosa.cluster.shard import read_problems, shards, write_problems
from ponderosa.core import FORMATS, PonderosaError
from ponderosa.evolution.recipe import Part, WorkerSettings, known, parse
from ponderosa.evolution.run import Observer, claimed, snapshot
from ponderosa.execution import ExecutionSettings
from ponderosa.search import SEARCHES, Budget

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
    _, kind = SEARCHES[run.search]
    names = list(kind.__dataclass_fields__)
    if unknown := sorted(set(run.settings) - set(names)):
        raise PonderosaError(f"{run.search} has no setting {', '.join(unknown)}; it has {', '.join(names)}")


async def run_search(path: Path, run: SearchRun, problems: Path, observer: Observer) -> ShardProgress:
    """Searches the problems of a file into `path`/forest, or goes on with that."""
    found = list(read_problems(problems))
    if not found:
        raise PonderosaError(f"{problems} holds no problems")
    if run.judged and (unanswered := [problem.id for problem in found if problem.answer is None]):
        raise PonderosaError(f"problem {unanswered[0]} has no answer, which a search that makes data learns from")
    copy = path / "problems.jsonl"
    if not copy.exists():
        write_problems(copy, found)
    elif [p.id for p in read_problems(copy)] != [p.id for p in found]:
        raise PonderosaError(f"{path} was begun with other problems: choose another --out")
    work = [
        Shard(
            problems=str(copy),
            start=start,
            stop=stop,
            out=str(path / FOREST / f"tree-{tree}-shard-{number:05}.parquet"),
            policy=run.policy,
            kind=run.search,
            settings=run.settings,
            reward=run.reward,
            judged=run.judged,
            seed=run.seed,
            index=tree,
            concurrency=run.workers.concurrency,
            execution=asdict(run.execution),
            format=run.format,
            few_shot=run.few_shot,
            grader=run.grader,
            budget=asdict(run.budget),
        )
        for tree in range(run.trees)
        for number, (start, stop) in enumerate(shards(len(found), run.workers.shard))
    ]
    waiting = [shard for shard in work if not shard.done]
    done = sum(shard.stop - shard.start for shard in work) - sum(shard.stop - shard.start for shard in waiting)
    total = len(found) * run.trees
    if not waiting:
        return ShardProgress(done=total)
    view = observer.stage("search", total, done=done)

    def update(progress: ShardProgress) -> None:
        view.update(
            done=done + progress.done,
            solved=progress.solved if run.judged else None,
            tokens=progress.tokens,
            executions=progress.executions,
        )

    async with WorkerPool(min(run.workers.processes, len(waiting)), path / "logs") as pool:
        progress = await pool.run(waiting, update)
    view.finish()
    return progress
