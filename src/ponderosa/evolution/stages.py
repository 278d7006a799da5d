"""The stages that evolutions are made of. Each looks first whether its result is there, so that a run can go on."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ponderosa.cluster import Shard, WorkerPool
from ponderosa.cluster.shard import spread
from ponderosa.core import CodeFormat, PonderosaError, Problem, Tree, derive_seed
from ponderosa.evolution.problems import ProblemSource, problem_source
from ponderosa.evolution.recipe import Recipe
from ponderosa.evolution.run import Observer, Run, run_shards
from ponderosa.forest import PairRow, SFTRow, preference_pairs, read_forest, read_rows, sft_rows, write_rows
from ponderosa.search import MCTSSettings, SampleSettings
from ponderosa.training import Launcher, Progress


@dataclass(frozen=True, slots=True)
class Forest:
    """The trees of a stage: a folder with its problems and shards."""

    path: Path
    problems: tuple[Problem, ...]

    def trees(self) -> Iterator[Tree]:
        return read_forest(self.path) if self.problems else iter(())


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """A search to be done over `problems` into the folder `path`."""

    path: Path
    problems: Sequence[Problem]
    settings: SampleSettings | MCTSSettings
    judged: bool = False
    rewarded: bool = True
    index: int = 0
    seed: int = 0

    @property
    def kind(self) -> str:
        """The name of the search in `search.SEARCHES`."""
        return "mcts" if isinstance(self.settings, MCTSSettings) else "sample"


class Stages:
    """What a run does, stage by stage, with its workers and its source of problems."""

    def __init__(self, run: Run, observer: Observer, pool: WorkerPool, launcher: Launcher) -> None:
        self.run = run
        self.recipe: Recipe = run.recipe
        self.observer = observer
        self.format = CodeFormat()
        self.source: ProblemSource = problem_source(
            self.recipe.problems, self.recipe.seed, self.recipe.evaluation.probe
        )
        self.base = checkpoint(self.recipe.policy)
        self.bootstrap = checkpoint(self.recipe.bootstrap or self.recipe.policy)
        self._pool = pool
        self._launcher = launcher

    @classmethod
    @asynccontextmanager
    async def open(cls, run: Run, observer: Observer) -> AsyncIterator["Stages"]:
        """Stages with workers of their own, which end with it."""
        processes = run.recipe.workers.processes
        async with WorkerPool(processes, run.path / "logs") as pool, Launcher(processes) as launcher:
            stages = cls(run, observer, pool, launcher)
            await pool.start()
            yield stages

    async def search(self, title: str, plans: Sequence[SearchPlan], policy: str, reward: str | None) -> list[Forest]:
        """Carries out the plans, all at once, so that the end of one fills up with the others."""
        recipe = self.recipe
        share = -(-recipe.workers.processes // max(1, len(plans)))
        work = [
            shard
            for plan in plans
            for shard in spread(
                Shard(
                    policy,
                    plan.kind,
                    settings=asdict(plan.settings),
                    reward=reward if plan.rewarded else None,
                    judged=plan.judged,
                    seed=plan.seed,
                    index=plan.index,
                    concurrency=recipe.workers.concurrency,
                    execution=asdict(recipe.execution),
                ),
                plan.path,
                plan.problems,
                recipe.workers.shard,
                share,
            )
        ]
        await run_shards(self._pool, work, title, self.observer)
        return [Forest(plan.path, tuple(plan.problems)) for plan in plans]

    async def score(self, number: int, forest: Path, out: Path, reward: str) -> Path:
        """Scores the steps of a forest's trees anew, into the folder `out`."""
        work = [
            Shard(None, "score", problems=str(file), out=str(out / file.name), reward=reward)
            for file in sorted(forest.glob("shard-*.parquet"))
        ]
        with self.run.timed(number, "evaluation"):
            await self._pool.run(work)
        return out

    async def make_trees(self, number: int, policy: str, ppm: str | None) -> list[Forest]:
        """The round's search for training data, and its retries for what is still unsolved."""
        settings = self.recipe.rounds[number - 1]
        start = sum(earlier.problems for earlier in self.recipe.rounds[: number - 1])
        seed = derive_seed(self.recipe.seed, "round", number)
        problems = self.source.train(start, settings.problems)
        tree = replace(
            self.recipe.search,
            rollouts=settings.rollouts,
            candidates=settings.candidates or self.recipe.search.candidates,
        )
        folder = self.run.round(number) / "search"
        forests: list[Forest] = []
        with self.run.timed(number, "search"):
            for index, rollouts in enumerate((settings.rollouts, *settings.retries)):
                plan = SearchPlan(
                    folder / f"tree-{index}",
                    problems,
                    replace(tree, rollouts=rollouts),
                    judged=True,
                    index=index,
                    seed=seed,
                )
                title = f"round {number} search" + (f", retry {index}" if index else "")
                forests += await self.search(title, [plan], policy, ppm)
                unsolved = {tree.problem_id for tree in forests[-1].trees() if not solved(tree)}
                problems = [problem for problem in problems if problem.id in unsolved]
                if not problems:
                    break
        return forests

    def extract(self, number: int, forests: Sequence[Forest]) -> None:
        """Writes the round's data sets: trajectories for the policy, preference pairs for the PPM."""
        data = self.run.round(number) / "data"
        settings = self.recipe.data
        source = f"round {number} of {self.recipe.name}"
        if not (data / "sft").exists():
            rows = sft_rows((tree for forest in forests for tree in forest.trees()), self.format, settings.top)
            write_rows(data / "sft", SFTRow, rows, source=source, settings={"top": settings.top})
        if not (data / "pairs").exists():
            pairs = preference_pairs((t for forest in forests for t in forest.trees()), self.format, settings.pairs)
            write_rows(data / "pairs", PairRow, pairs, source=source, settings=asdict(settings.pairs))

    def rows(self, number: int, name: str, kind: type[Any]) -> list[Any]:
        return read_rows(self.run.round(number) / "data" / name, kind)

    async def train_policy(self, number: int, start: str) -> str:
        """Fine-tunes `start` on the round's trajectories (and those of earlier rounds, if the recipe says so)."""
        return await self._train("sft", number, start, "policy", self.recipe.data.history)

    async def train_ppm(self, number: int, start: str) -> str:
        """Trains the round's preference model from the policy `start`."""
        return await self._train("ppm", number, start, "ppm", self.recipe.data.pair_history)

    async def _train(self, kind: Literal["sft", "ppm"], number: int, start: str, name: str, history: bool) -> str:
        out = self.run.round(number) / name
        if out.exists():
            return str(out)
        data, settings = ("sft", self.recipe.sft) if kind == "sft" else ("pairs", self.recipe.ppm)
        job = {
            "kind": kind,
            "start": start,
            "rows": [str(self.run.round(n) / "data" / data) for n in range(1 if history else number, number + 1)],
            "out": str(out),
            "seed": derive_seed(self.recipe.seed, kind, number) % 2**31,
            "settings": settings.model_dump(mode="json"),
        }
        view = self.observer.stage(f"round {number} {'policy' if kind == 'sft' else 'PPM'} training", unit="steps")

        def update(progress: Progress) -> None:
            view.update(
                done=progress.step,
                total=progress.steps,
                tokens=progress.tokens,
                note=f"loss {progress.loss:.3f}",
            )

        with self.run.timed(number, kind):
            await self._launcher.run(job, update)
        view.finish()
        return str(out)


def checkpoint(name: str) -> str:
    """A policy's checkpoint; "sapling" is the embedded base. Raises `PonderosaError` if it is not there."""
    if name == "sapling":
        from ponderosa.sapling import base_path

        return str(base_path())
    if ":" not in name and not (Path(name) / "config.json").exists():
        raise PonderosaError(f"there is no checkpoint at {name}: a Hugging Face folder with a config.json is expected")
    return name


def solved(tree: Tree) -> bool:
    """Does a tree that was searched with a judge hold a right answer?"""
    return any((tree.nodes[end].reward or 0.0) > 0 for end in tree.answered())
