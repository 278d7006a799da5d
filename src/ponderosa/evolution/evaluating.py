"""`ponderosa eval`: methods on the same problems and models, at several budgets."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from ponderosa.cluster import Shard, WorkerPool
from ponderosa.cluster.shard import spread
from ponderosa.core import Outcome, PonderosaError, Problem, Tree, make_format
from ponderosa.evaluation.accounting import Sizes, account
from ponderosa.evaluation.answers import Problems, chosen_answers, graded_samples, voted_answers
from ponderosa.evaluation.choices import AGGREGATED, best_aggregations, best_reading
from ponderosa.evaluation.curves import Cost, Point, against, by_aggregation, cost_of, sample_points
from ponderosa.evaluation.verdicts import Verdicts
from ponderosa.evolution.grading import check_gradable, open_grader
from ponderosa.evolution.run import FolderSettings, Observer, run_shards
from ponderosa.evolution.settings import known
from ponderosa.execution import ExecutionSettings, make_executor
from ponderosa.forest import read_forest
from ponderosa.search import (
    METHODS,
    Aggregation,
    BeamSettings,
    LongChainSettings,
    MCTSSettings,
    MutualSettings,
    ParticleSettings,
    PlayoutSettings,
    RevisionSettings,
    SampleSettings,
    SearchSettings,
    check_needs,
    find_method,
    find_search,
    first_rollouts,
)

SETTINGS = "eval.yaml"
SAMPLES = "samples"
PARTS: dict[str, type[Any]] = {
    "sample": SampleSettings,
    "mcts": MCTSSettings,
    "beam": BeamSettings,
    "particles": ParticleSettings,
    "playouts": PlayoutSettings,
    "mutual": MutualSettings,
    "revision": RevisionSettings,
    "long_chain": LongChainSettings,
}
"""The settings of searches that an evaluation has, by name."""


class EvalRun(FolderSettings):
    """What an evaluation depends on. `methods` are names (see `search.find_method`). A budget is a number of samples,
    of beams times candidates, of particles, rollouts, attempts, ends of one chain, or of trees (`trees`: MCTS as `mcts`
    says, and the vote of so many).

    With `dev` problems, how step values are aggregated, where `aggregation` does not say, and how a tree's answer is
    read is chosen on them.
    """

    FILE = SETTINGS
    COMMAND = "eval"

    policy: str
    reward: str | None = None
    discriminator: str | None = None
    outcome_reward: str | None = None
    methods: tuple[str, ...]
    budgets: tuple[int, ...] = (1, 2, 4, 8, 16)
    format: str = "rstar"
    few_shot: str = ""
    grader: str | None = None
    seed: int = 0
    aggregation: Aggregation | None = None
    """How answers are chosen by their steps' values; the searches that use values have settings of their own for it."""
    batch: int = 2
    """Samples that adaptive votes draw at a time."""
    sample: Annotated[SampleSettings, known(SampleSettings)] = SampleSettings(temperature=0.7)
    mcts: Annotated[MCTSSettings, known(MCTSSettings)] = MCTSSettings()
    beam: Annotated[BeamSettings, known(BeamSettings)] = BeamSettings()
    particles: Annotated[ParticleSettings, known(ParticleSettings)] = ParticleSettings()
    playouts: Annotated[PlayoutSettings, known(PlayoutSettings)] = PlayoutSettings()
    mutual: Annotated[MutualSettings, known(MutualSettings)] = MutualSettings()
    revision: Annotated[RevisionSettings, known(RevisionSettings)] = RevisionSettings()
    long_chain: Annotated[LongChainSettings, known(LongChainSettings)] = LongChainSettings()
    execution: Annotated[ExecutionSettings, known(ExecutionSettings)] = ExecutionSettings()

    def check(self) -> None:
        """Raises `PonderosaError` for a method or format that there is not, and for what methods lack."""
        if not self.methods or not self.budgets or min(self.budgets) < 1:
            raise PonderosaError("name at least one method, and budgets of at least 1")
        for method in self.methods:
            found = find_method(method)
            check_needs(method, found.needs, lambda need: getattr(self, need))
            if method not in METHODS and (found.samples or found.trees):
                raise PonderosaError(f"{method}: only methods of the house share samples or vote between trees")
        if self.outcome_reward is not None and "playouts" not in self.methods:
            raise PonderosaError("--outcome-reward is for playouts alone: add the method, or leave it out")
        format = make_format(self.format)
        for name in self.methods:
            found = find_method(name)
            asked: Sequence[int | None] = (1,) if name == "greedy" else (None,) if found.trees else self.budgets
            made = [settings for budget in asked if (settings := found.settings(self.settings, budget)) is not None]
            if not made:
                raise PonderosaError(f"no budget is large enough for {name}: name a larger one with --budgets")
            for settings in made:
                find_search(found.search).check(settings, format)

    @property
    def settings(self) -> SearchSettings:
        """The settings of all searches."""
        return SearchSettings(**{name: getattr(self, name) for name in PARTS}, batch=self.batch)

    def searches(self) -> dict[str, Shard]:
        """The searches to be made, by folder. Methods that only read samples share theirs, of the largest budget."""
        settings = self.settings
        largest = max(self.budgets)
        made: dict[str, Shard] = {}
        if sharing := [method for method in map(find_method, self.methods) if method.samples]:
            needs = {need for method in sharing for need in method.needs}
            made[SAMPLES] = self._shard(sharing[0].search, sharing[0].settings(settings, largest), needs)
        for name in self.methods:
            method = find_method(name)
            if method.trees:
                shard = self._shard(method.search, method.settings(settings, None), method.needs)
                made |= {f"{name}-{tree}": replace(shard, index=tree) for tree in range(largest)}
            elif not method.samples:
                budgets = (1,) if name == "greedy" else (largest,) if method.nested(settings) else self.budgets
                for budget in budgets:
                    if (at := method.settings(settings, budget)) is not None:
                        made[f"{name}-{budget}"] = self._shard(method.search, at, method.needs)
        return made

    def _shard(self, search: str, settings: Any, needs: Collection[str]) -> Shard:
        return Shard(
            self.policy,
            search,
            settings=asdict(settings),
            reward=self.reward if "reward" in needs or search == "revision" else None,
            discriminator=self.discriminator if "discriminator" in needs else None,
            outcome_reward=self.outcome_reward if search == "mcts_playouts" else None,
            seed=self.seed,
            concurrency=self.workers.concurrency,
            execution=asdict(self.execution),
            format=self.format,
            few_shot=self.few_shot,
            grader=self.grader,
        )


class Measured(NamedTuple):
    """The ids of the `problems`, in the order of all rates; the methods at their budgets; best-of-N and the weighted
    vote at each, by how step values are aggregated; and how the answers were graded (`Verdicts.summary`).
    """

    problems: list[str]
    points: list[Point]
    by_aggregation: list[dict[str, Any]]
    grading: dict[str, Any]


async def evaluate(
    path: Path,
    run: EvalRun,
    problems: Sequence[Problem],
    dev: Sequence[Problem],
    observer: Observer,
    workers: WorkerPool | None = None,
) -> Measured:
    """Makes the searches that are missing and measures all, with `workers` of the caller's where there are some.

    Raises `PonderosaError` for a problem whose answers cannot be graded.
    """
    check_gradable((*problems, *dev), run.grader, run.format)
    splits = {"test": problems, "dev": dev}
    searches = run.searches()
    groups = [(split, name) for split, chosen in splits.items() if chosen for name in searches]
    share = -(-run.workers.processes // len(groups))
    work = [
        shard
        for split, name in groups
        for shard in spread(searches[name], path / split / name, splits[split], run.workers.shard, share)
    ]
    async with nullcontext(workers) if workers else WorkerPool(run.workers.processes, path / "logs") as pool:
        await run_shards(pool, work, "evaluation", observer, "searches")
    _check_served(path / split / name for split, name in groups)
    async with make_executor(run.execution) as executor, open_grader(run.grader, executor, path) as grader:
        by_id = {split: {problem.id: problem for problem in chosen} for split, chosen in splits.items()}
        return await _Measuring(path, run, by_id, Verdicts(grader)).all()


def _check_served(forests: Iterable[Path]) -> None:
    """Raises `PonderosaError` where a backend refused every problem: that nothing is right would be no result."""
    refused = ""
    for tree in chain.from_iterable(map(read_forest, forests)):
        if tree.outcome is not Outcome.BACKEND_FAILED:
            return
        refused = refused or tree.nodes[0].error
    raise PonderosaError(f"every problem was refused: {refused}; mend that, and choose another --out")


@dataclass(frozen=True, slots=True)
class _Measuring:
    """What the searches of the evaluation at `path` are worth."""

    path: Path
    run: EvalRun
    by_id: Mapping[str, Problems]
    """The problems of each split, "test" and "dev", by their ids; dev may have none."""
    grader: Verdicts

    async def all(self) -> Measured:
        points: list[Point] = []
        rewards: list[dict[str, Any]] = []
        for name, shard in self.run.searches().items():
            if name == SAMPLES:
                found, rewards = await self._samples(rewarded=shard.reward is not None)
                points += found
            elif not find_method(name.rpartition("-")[0]).trees:
                points += await self._search(name)
        if "trees" in self.run.methods:
            points += await self._trees()
        return Measured(list(self.by_id["test"]), points, rewards, self.grader.summary())

    def _forest(self, split: str, name: str) -> list[Tree]:
        """The trees of a search in the order of the split's problems."""
        places = {id: place for place, id in enumerate(self.by_id[split])}
        return sorted(read_forest(self.path / split / name), key=lambda t: places[t.problem_id]) if places else []

    async def _samples(self, *, rewarded: bool) -> tuple[list[Point], list[dict[str, Any]]]:
        """The methods that share samples, and what each aggregation of step values is worth."""
        run, trees = self.run, self._forest("test", SAMPLES)
        samples = await graded_samples(trees, self.by_id["test"], self.grader)
        on_dev = await graded_samples(self._forest("dev", SAMPLES), self.by_id["dev"], self.grader)
        choices = best_aggregations(on_dev, max(run.budgets)) if rewarded and on_dev else {}
        if run.aggregation is not None:
            choices = dict.fromkeys(AGGREGATED, run.aggregation)
        made = sample_points(samples, cost_of(trees), run.budgets, choices, rewarded)
        points = [point for point in made if point.method in (*run.methods, "pass")]
        return points, by_aggregation(samples, run.budgets) if rewarded else []

    async def _search(self, name: str) -> list[Point]:
        """A method at the budget of its search, or at all budgets where that holds the smaller ones."""
        name_of, _, largest = name.rpartition("-")
        method = find_method(name_of)
        nested = method.nested(self.run.settings)
        searched = {split: self._forest(split, name) for split in ("test", "dev")}
        points = []
        for budget in self.run.budgets if nested else (int(largest),):
            trees = searched
            if nested:
                trees = {split: [first_rollouts(tree, budget) for tree in found] for split, found in searched.items()}
            on_dev = trees["dev"], self.by_id["dev"]
            rule, how = await best_reading(method, *on_dev, self.grader, self.run.aggregation)
            accuracy = await chosen_answers(trees["test"], self.by_id["test"], self.grader, rule, how)
            choice = f"{rule}, {how}" if rule in AGGREGATED else rule if len(method.rules) > 1 else ""
            points.append(Point(name_of, budget, accuracy, cost_of(trees["test"]), choice))
        return points

    async def _trees(self) -> list[Point]:
        """Votes of several trees; those of a smaller budget are the first of the larger one's, which are as good."""
        count = max(self.run.budgets)
        found = {split: [self._forest(split, f"trees-{i}") for i in range(count)] for split in ("test", "dev")}
        points = []
        for budget in self.run.budgets:
            groups = {split: list(zip(*trees[:budget], strict=True)) for split, trees in found.items()}
            vote: Literal["majority", "weighted"] = "weighted"
            if groups["dev"]:
                majority = await voted_answers(groups["dev"], self.by_id["dev"], self.grader, "majority")
                weighted = await voted_answers(groups["dev"], self.by_id["dev"], self.grader, "weighted")
                vote = "majority" if majority.estimate.value > weighted.estimate.value else "weighted"
            accuracy = await voted_answers(groups["test"], self.by_id["test"], self.grader, vote)
            costs = [cost_of(trees) for trees in found["test"][:budget]]
            cost = replace(sum(costs, Cost()), prompt=costs[0].prompt)
            points.append(Point("trees", budget, accuracy, cost, vote))
        return points


def results(path: Path, run: EvalRun, measured: Measured, sizes: Sizes) -> dict[str, Any]:
    """The evaluation at `path` as JSON values: its points, paired with majority votes of like tokens, and what each
    search of the test problems cost.
    """
    compared = against(measured.points)
    return {
        "settings": run.model_dump(mode="json"),
        "parameters": asdict(sizes),
        "problems": measured.problems,
        "grading": measured.grading,
        "points": [
            point.to_json(sizes)
            | {
                "against_majority": asdict(compared[point.method, point.budget])
                if (point.method, point.budget) in compared
                else None
            }
            for point in measured.points
        ],
        "by_aggregation": measured.by_aggregation,
        "searches": {name: account(read_forest(path / "test" / name), sizes) for name in run.searches()},
    }
