"""The stages that evolutions are made of. Each looks first whether its result is there, so that a run can go on."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ponderosa.cluster import Shard, WorkerPool
from ponderosa.cluster.shard import spread
from ponderosa.core import PonderosaError, Problem, Tree, derive_seed, make_format, split_options
from ponderosa.evolution.agreement import agreeing, claims
from ponderosa.evolution.grading import check_format, check_gradable, judged_by
from ponderosa.evolution.problems import FileProblems, ProblemSource, decontamination_line, problem_source
from ponderosa.evolution.recipe import MutualFilter, Recipe, Role, TrajectorySettings
from ponderosa.evolution.run import Observer, Run, run_shards, show_training, write_json
from ponderosa.evolution.serving import Servers
from ponderosa.forest import SFTRow, read_forest, sft_rows, write_rows
from ponderosa.forest.rows import Row
from ponderosa.models import on_hub
from ponderosa.sapling import base_or
from ponderosa.search import AGREEMENT, AgreementSettings, MCTSSettings, RolloutSettings, SampleSettings
from ponderosa.training import AccelerateLauncher, Launcher, launching
from ponderosa.training.jobs import TrainingSettings, kind_of


@dataclass(frozen=True, slots=True)
class Forest:
    """The trees of a stage: a folder with its problems and shards."""

    path: Path
    problems: tuple[Problem, ...]

    def trees(self) -> Iterator[Tree]:
        """Trees, each with its problem's question, whatever hint there was."""
        if self.problems:
            questions = {problem.id: problem.question for problem in self.problems}
            yield from (replace(tree, question=questions[tree.problem_id]) for tree in read_forest(self.path))

    def unsolved(self) -> list[Problem]:
        """The problems without a right answer in their trees."""
        covered = {tree.problem_id for tree in self.trees() if solved(tree)}
        return [problem for problem in self.problems if problem.id not in covered]


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """A search to be done over `problems` into the folder `path`."""

    path: Path
    problems: Sequence[Problem]
    settings: SampleSettings | MCTSSettings | RolloutSettings | AgreementSettings
    judged: bool = False
    rewarded: bool = True
    index: int = 0
    seed: int = 0
    over: Path | None = None
    """The forest that roll-outs go on from."""
    graded: bool = True
    """Must the recipe's grader be able to check the answers?"""

    @property
    def kind(self) -> str:
        """The name of the search in `search.SEARCHES`, or `AGREEMENT`."""
        kinds = {MCTSSettings: "mcts", RolloutSettings: "rollouts", AgreementSettings: AGREEMENT}
        return kinds.get(type(self.settings), "sample")


Trained = Role | Literal["sft"]
"""The models of a round; `sft` is a policy on the way to the round's."""
ROLES: dict[Trained, str] = {"policy": "policy", "ppm": "PPM", "sft": "SFT"}
"""What to call them."""


class Stages:
    """What a run does, stage by stage, with its workers and its source of problems."""

    def __init__(
        self, run: Run[Any], observer: Observer, pool: WorkerPool, launcher: Launcher | AccelerateLauncher
    ) -> None:
        self.run = run
        self.recipe: Recipe = run.recipe
        self.observer = observer
        self.format = make_format(self.recipe.format)
        self.source: ProblemSource = problem_source(
            self.recipe.problems, self.recipe.seed, self.recipe.evaluation.probe
        )
        if isinstance(self.source, FileProblems):
            self.source.removed.tell(run.path)
        self.base = checkpoint(self.recipe.policy)
        self._given = {checkpoint(name) for name in self.recipe.given}
        self._pool = pool
        self._launcher = launcher
        self._servers = Servers(self.recipe.servers, run.path / "logs", observer)

    @classmethod
    @asynccontextmanager
    async def open(cls, run: Run[Any], observer: Observer) -> AsyncIterator["Stages"]:
        """Stages with workers of their own, which end with it.

        Raises `PonderosaError` for a training that cannot be had with the recipe's launcher.
        """
        workers = run.recipe.workers
        async with (
            WorkerPool(workers.processes, run.path / "logs") as pool,
            launching(workers.training, workers.launcher, run.recipe.trainings) as launcher,
        ):
            stages = cls(run, observer, pool, launcher)
            await pool.start()
            try:
                yield stages
            finally:
                await pool.close()  # a server drains for as long as somebody asks it
                await stages._servers.stop()

    async def search(self, title: str, plans: Sequence[SearchPlan], policy: str, reward: str | None) -> list[Forest]:
        """Carries out the plans, all at once, so that the end of one fills up with the others.

        Raises `PonderosaError` for a problem whose answers cannot be graded.
        """
        recipe = self.recipe
        for plan in plans:
            if plan.graded:
                check_gradable(plan.problems, recipe.grader, recipe.format)
            else:
                check_format(plan.problems, recipe.format)
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
                    grader=recipe.grader,
                    few_shot=recipe.few_shot if policy in self._given else "",
                    format=recipe.format,
                    over=str(plan.over or ""),
                ),
                plan.path,
                plan.problems,
                recipe.workers.shard,
                share,
            )
        ]
        async with self._served(work) as served:
            unit = "problems" if len(plans) == 1 else "searches"
            await run_shards(self._pool, served, title, self.observer, unit)
        return [Forest(plan.path, tuple(plan.problems)) for plan in plans]

    @asynccontextmanager
    async def _served(self, work: Sequence[Shard]) -> AsyncIterator[list[Shard]]:
        """The shards with the names under which servers have their models, if any of them is to be done."""
        waiting = [shard for shard in work if not shard.done]
        policy = next((shard.policy for shard in waiting if shard.policy), None)
        ppm = next((shard.reward for shard in waiting if shard.reward), None)
        async with self._servers.serving({"policy": policy, "ppm": ppm}) as names:
            yield [
                replace(shard, policy=shard.policy and names["policy"], reward=shard.reward and names["ppm"])
                for shard in work
            ]

    async def score(self, forest: Path, out: Path, reward: str) -> Path:
        """Scores the steps of a forest's trees anew, into the folder `out`."""
        work = [
            Shard(None, "score", problems=str(file), out=str(out / file.name), reward=reward, format=self.recipe.format)
            for file in sorted(forest.glob("shard-*.parquet"))
        ]
        async with self._served(work) as served:
            await self._pool.run(served)
        return out

    def fresh(self, number: int) -> list[Problem]:
        """The training problems of a round, none of which an earlier one took as long as there are any."""
        rounds = self.recipe.rounds
        return self.source.train(sum(earlier.problems for earlier in rounds[: number - 1]), rounds[number - 1].problems)

    async def solve(
        self,
        number: int,
        problems: Sequence[Problem],
        tries: Sequence[SampleSettings | MCTSSettings],
        policy: str,
        reward: str | None = None,
    ) -> list[Forest]:
        """The round's searches for training data, one after the other, each of what is still unsolved."""
        forests: list[Forest] = []
        left = list(problems)
        for index, settings in enumerate(tries):
            forests.append(await self.make_trees(number, index, left, settings, policy, reward))
            left = forests[-1].unsolved()
            if not left:
                break
        return forests

    async def make_trees(
        self,
        number: int,
        index: int,
        problems: Sequence[Problem],
        settings: SampleSettings | MCTSSettings,
        policy: str,
        reward: str | None = None,
        hint: str = "",
        graded: bool = True,
    ) -> Forest:
        """The round's trees number `index` of the problems. A `hint`, with the `{answer}` of each, ends their questions
        while they are searched. Where nothing is `graded`, no reward says which answers are right.
        """
        asked = [replace(p, question=p.question + hint.replace("{answer}", p.answer or "")) for p in problems]
        plan = SearchPlan(
            self.run.round(number) / "search" / f"tree-{index}",
            asked,
            settings,
            judged=graded,
            graded=graded,
            index=index,
            seed=derive_seed(self.recipe.seed, "round", number),
        )
        what = ", with hints" if hint else ", ungraded" if not graded else f", retry {index}" if index else ""
        title = f"round {number} search{what}"
        with self.run.timed(number, "search"):
            (forest,) = await self.search(title, [plan], policy, reward)
        return replace(forest, problems=tuple(problems))

    def write(
        self,
        number: int,
        name: str,
        kind: type[Row],
        rows: Callable[[Iterator[Tree]], Iterable[Row]],
        forests: Sequence[Forest],
        settings: Mapping[str, Any],
        judge: str | None = None,
    ) -> None:
        """Writes a data set of the round, what `rows` makes of the forests' trees. `settings` go to its card, and that
        a `judge` other than the recipe's grader said what is right.
        """
        (folder,) = self.data(name, number)
        if folder.exists():
            return
        judged = judged_by(judge or self.recipe.grader)
        source = f"round {number} of {self.recipe.name}" + (f", {judged}" if judged else "")
        trees = (tree for forest in forests for tree in forest.trees())
        note = decontamination_line(self.run.path)
        write_rows(folder, kind, rows(trees), source=source, settings=settings, note=note)

    async def write_trajectories(self, number: int, forests: Sequence[Forest], settings: TrajectorySettings) -> None:
        """Writes the trajectories on which the round's policy is trained."""

        def chosen(trees: Iterable[Tree]) -> list[SFTRow]:
            return sft_rows(trees, self.format, settings.top, settings.choice, verified=settings.verified)

        told: dict[str, Any] = {"top": settings.top, "choice": settings.choice, "verified": settings.verified}
        if settings.mutual is None or self.data("sft", number)[0].exists():
            self.write(number, "sft", SFTRow, chosen, forests, told)
            return
        rows = chosen(tree for forest in forests for tree in forest.trees())
        kept, counts = await self.agreed(number, rows, forests, settings.mutual)
        self.write(number, "sft", SFTRow, lambda _: kept, forests, told | {"mutual": counts})

    async def agreed(
        self, number: int, rows: Sequence[SFTRow], forests: Sequence[Forest], settings: MutualFilter
    ) -> tuple[list[SFTRow], dict[str, Any]]:
        """The trajectories of the round that a second model agrees with (see `agreement`), and the counts.

        Its completions are kept as a forest in the round's folder, the counts beside it.
        """
        trees = (tree for forest in forests for tree in forest.trees())
        asked = claims(rows, {problem.id: problem for forest in forests for problem in forest.problems}, trees)
        plan = SearchPlan(
            self.run.round(number) / "agreement",
            asked,
            settings.completions,
            rewarded=False,
            seed=derive_seed(self.recipe.seed, "agreement", number),
        )
        with self.run.timed(number, "agreement"):
            (forest,) = await self.search(f"round {number} agreement", [plan], checkpoint(settings.policy), None)
        kept, counts = agreeing(rows, asked, forest.trees(), settings.least)
        counts = {"policy": settings.policy, **counts}
        write_json(plan.path.with_suffix(".json"), counts)
        return kept, counts

    def data(self, name: str, number: int, history: bool = False) -> list[Path]:
        """The folders of a round's data set, and with `history` those of all rounds before, the first one first."""
        first = 1 if history else number
        return [self.run.round(n) / "data" / name for n in range(first, number + 1)]

    async def free(self) -> None:
        """Gives back what the models of searches hold of the accelerator."""
        await asyncio.gather(self._servers.stop(), self._pool.free())

    async def train(
        self, number: int, role: Trained, start: str, rows: Sequence[Path], settings: TrainingSettings, **more: Any
    ) -> str:
        """Trains the round's policy or reward model from `start`, as the kind of `settings` says; returns its folder.

        `more` is what such a training needs beside data and settings.
        """
        out = self.run.round(number) / role
        if out.exists():
            return str(out)
        kind = kind_of(settings)
        job = {
            "kind": kind,
            "start": split_options(start)[0],
            "rows": [str(folder) for folder in rows],
            "out": str(out),
            "seed": derive_seed(self.recipe.seed, kind, number) % 2**31,
            "settings": settings.model_dump(mode="json"),
            **more,
        }
        view = self.observer.stage(f"round {number} {ROLES[role]} training", unit="steps")
        with self.run.timed(number, kind):
            await self.free()  # the accelerator is for training now
            await self._launcher.run(job, show_training(view))
        view.finish()
        return str(out)


def checkpoint(name: str) -> str:
    """A policy's checkpoint; "sapling" is the embedded base, as are its siblings. Raises `PonderosaError` if it is not
    there.
    """
    name = base_or(name)
    target, _ = split_options(name)
    if ":" not in target and not (Path(target) / "config.json").exists() and not on_hub(target):
        raise PonderosaError(
            f"there is no checkpoint at {target}: a Hugging Face folder with a config.json, or a name on the Hub that "
            "can be reached, is expected"
        )
    return name


def solved(tree: Tree) -> bool:
    """Does a tree that was searched with a judge hold a right answer?"""
    return any((tree.nodes[end].reward or 0.0) > 0 for end in tree.answered())
