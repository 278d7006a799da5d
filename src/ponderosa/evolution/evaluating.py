"""`ponderosa eval`: methods on the same problems and models, at several budgets."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from ponderosa.cluster import Shard, WorkerPool
from ponderosa.cluster.shard import spread
from ponderosa.core import FORMATS, Grader, PonderosaError, Problem, Tree
from ponderosa.evaluation import metrics
from ponderosa.evaluation.accounting import Sizes, account
from ponderosa.evaluation.answers import Problems, chosen_answers, graded_samples, voted_answers
from ponderosa.evaluation.curves import Cost, Point, against, cost_of, sample_points
from ponderosa.evaluation.metrics import Sampled
from ponderosa.evolution.recipe import Part, WorkerSettings, known, parse
from ponderosa.evolution.run import Observer, claimed, run_shards, snapshot
from ponderosa.execution import ExecutionSettings
from ponderosa.forest import read_forest
from ponderosa.grading import MathGrader
from ponderosa.models import load_grader
from ponderosa.search import AGGREGATIONS, BeamSettings, MCTSSettings, PlayoutSettings, SampleSettings

SETTINGS = "eval.yaml"
SAMPLED = ("majority", "best_of_n", "weighted")
SEARCHED = ("beam", "dvts", "playouts", "mcts", "trees")
METHODS = ("greedy", *SAMPLED, "adaptive", *SEARCHED)
REWARDED = ("best_of_n", "weighted", *SEARCHED)
TREE_RULES: dict[str, tuple[str, ...]] = {
    "adaptive": ("majority",),
    "beam": ("best_of_n", "weighted", "majority"),
    "dvts": ("best_of_n", "weighted", "majority"),
    "playouts": ("weighted", "majority", "best_of_n"),
    "mcts": ("best_terminal", "weighted", "majority"),
}
"""How the answers of a method's trees may be read; the first where there are no dev problems to choose on."""


class EvalRun(Part):
    """What an evaluation depends on. A budget is a number of samples, of beams times candidates, of rollouts, or of
    trees (`trees`: MCTS as `mcts` says, and the vote of so many).

    `adaptive` is a majority vote that stops drawing samples of a problem once its answer is settled. With `dev`
    problems, how step values are aggregated and how a tree's answer is read is chosen on them.
    """

    policy: str
    reward: str | None = None
    methods: tuple[str, ...] = METHODS
    budgets: tuple[int, ...] = (1, 2, 4, 8, 16)
    format: str = "rstar"
    few_shot: str = ""
    grader: str | None = None
    seed: int = 0
    batch: int = 2
    """Samples that `adaptive` draws at a time."""
    sample: Annotated[SampleSettings, known(SampleSettings)] = SampleSettings(temperature=0.7)
    mcts: Annotated[MCTSSettings, known(MCTSSettings)] = MCTSSettings()
    beam: Annotated[BeamSettings, known(BeamSettings)] = BeamSettings()
    playouts: Annotated[PlayoutSettings, known(PlayoutSettings)] = PlayoutSettings()
    execution: Annotated[ExecutionSettings, known(ExecutionSettings)] = ExecutionSettings()
    workers: WorkerSettings = Field(default_factory=WorkerSettings)

    @classmethod
    def of(cls, path: Path) -> "EvalRun":
        """The settings of the run at `path`. Raises `PonderosaError` if there is none."""
        return parse(cls, snapshot(path, SETTINGS, "eval"), str(path / SETTINGS))

    @contextmanager
    def claim(self, path: Path) -> Iterator[None]:
        """The run's folder, new or to go on with. Raises `PonderosaError` if it was begun with other settings."""
        with claimed(path, SETTINGS, self.model_dump(mode="json"), lambda: self.of(path).model_dump(mode="json")):
            yield

    def check(self) -> None:
        """Raises `PonderosaError` for a method or format that there is not, and for what methods lack."""
        if unknown := [method for method in self.methods if method not in METHODS]:
            raise PonderosaError(f"there is no method {unknown[0]}: choose of {', '.join(METHODS)}")
        if not self.methods or not self.budgets or min(self.budgets) < 1:
            raise PonderosaError("name at least one method, and budgets of at least 1")
        if self.reward is None and (lacking := [method for method in self.methods if method in REWARDED]):
            raise PonderosaError(f"{lacking[0]} needs a reward model: name one with --reward, or leave the method out")
        if self.format not in FORMATS:
            raise PonderosaError(f"there is no step format {self.format}: choose one of {', '.join(FORMATS)}")

    def searches(self) -> dict[str, Shard]:
        """The searches to be made, by folder. Methods that only read samples share theirs, of the largest budget."""
        made = {}
        if "greedy" in self.methods:
            made["greedy"] = self._shard(
                "sample", replace(self.sample, n=1, temperature=0.0, temperatures=()), rewarded=False
            )
        if any(method in SAMPLED for method in self.methods):
            rewarded = any(method in ("best_of_n", "weighted") for method in self.methods)
            made["samples"] = self._shard("sample", replace(self.sample, n=max(self.budgets)), rewarded=rewarded)
        for budget in self.budgets:
            width = budget // self.beam.candidates
            if "mcts" in self.methods:
                made[f"mcts-{budget}"] = self._shard("mcts", replace(self.mcts, rollouts=budget))
            if "adaptive" in self.methods:
                made[f"adaptive-{budget}"] = self._shard(
                    "sample", replace(self.sample, n=budget, batch=self.batch), rewarded=False
                )
            if "playouts" in self.methods:
                made[f"playouts-{budget}"] = self._shard("mcts_playouts", replace(self.playouts, rollouts=budget))
            if width and "beam" in self.methods:
                made[f"beam-{budget}"] = self._shard("beam", replace(self.beam, width=width, subtrees=1))
            if width and "dvts" in self.methods:
                made[f"dvts-{budget}"] = self._shard("beam", replace(self.beam, width=width, subtrees=width))
        if "trees" in self.methods:
            for tree in range(max(self.budgets)):
                made[f"trees-{tree}"] = replace(self._shard("mcts", self.mcts), index=tree)
        return made

    def _shard(self, search: str, settings: Any, *, rewarded: bool = True) -> Shard:
        return Shard(
            self.policy,
            search,
            settings=asdict(settings),
            reward=self.reward if rewarded else None,
            seed=self.seed,
            concurrency=self.workers.concurrency,
            execution=asdict(self.execution),
            format=self.format,
            few_shot=self.few_shot,
            grader=self.grader,
        )


async def evaluate(
    path: Path, run: EvalRun, problems: Sequence[Problem], dev: Sequence[Problem], observer: Observer
) -> list[Point]:
    """Makes the searches that are missing and measures all. Raises `PonderosaError` for a problem without an answer."""
    for problem in (*problems, *dev):
        if problem.answer is None:
            raise PonderosaError(f"problem {problem.id} has no answer to compare with")
    searches = run.searches()
    splits = {"test": problems, "dev": dev}
    work = [
        shard
        for split, chosen in splits.items()
        for name, template in searches.items()
        for shard in spread(template, path / split / name, chosen, run.workers.shard)
    ]
    async with WorkerPool(run.workers.processes, path / "logs") as pool:
        await run_shards(pool, work, "evaluation", observer)
    by_id = {split: {problem.id: problem for problem in chosen} for split, chosen in splits.items()}

    def trees(split: str, name: str) -> list[Tree]:
        return list(read_forest(path / split / name)) if splits[split] else []

    points: list[Point] = []
    async with _grader(run.grader) as grader:
        for name, search in searches.items():
            method, _, budget = name.partition("-")
            if method == "trees":
                continue
            found, on_dev = trees("test", name), trees("dev", name)
            cost = cost_of(found)
            if method in TREE_RULES:
                rule = await _best_rule(TREE_RULES[method], on_dev, by_id["dev"], grader)
                accuracy = await chosen_answers(found, by_id["test"], grader, rule)
                points.append(Point(method, int(budget), accuracy, cost, rule))
                continue
            samples = await graded_samples(found, by_id["test"], grader)
            if method == "greedy":
                points.append(Point(method, 1, metrics.greedy(samples), cost))
                continue
            rewarded = search.reward is not None
            dev_samples = await graded_samples(on_dev, by_id["dev"], grader)
            choices = _best_aggregations(dev_samples, max(run.budgets)) if rewarded and on_dev else {}
            made = sample_points(samples, cost, run.budgets, choices, rewarded)
            points += [point for point in made if point.method in (*run.methods, "pass")]
        if "trees" in run.methods:
            points += await _of_trees(run, trees, by_id, grader)
    return points


async def _of_trees(
    run: EvalRun, trees: Callable[[str, str], list[Tree]], by_id: Mapping[str, Problems], grader: Grader
) -> list[Point]:
    """Votes of several trees; those of a smaller budget are the first of the larger one's, which are as good as any."""
    count = max(run.budgets)
    found = {split: [trees(split, f"trees-{i}") for i in range(count)] for split in ("test", "dev")}

    def groups(split: str, k: int) -> list[list[Tree]]:
        return [list(group) for group in zip(*found[split][:k], strict=True)]

    points = []
    for budget in run.budgets:
        vote: Literal["majority", "weighted"] = "weighted"
        if on_dev := groups("dev", budget):
            majority = await voted_answers(on_dev, by_id["dev"], grader, "majority")
            weighted = await voted_answers(on_dev, by_id["dev"], grader, "weighted")
            vote = "majority" if majority.estimate.value > weighted.estimate.value else "weighted"
        accuracy = await voted_answers(groups("test", budget), by_id["test"], grader, vote)
        costs = [cost_of(trees) for trees in found["test"][:budget]]
        cost = Cost(*(sum(getattr(c, name) for c in costs) for name in ("generated", "prompt", "rewarded")))
        points.append(Point("trees", budget, accuracy, cost, vote))
    return points


@asynccontextmanager
async def _grader(spec: str | None) -> AsyncIterator[Grader]:
    if spec is None:
        async with MathGrader() as grader:
            yield grader
    else:
        yield load_grader(spec)


async def _best_rule(rules: Sequence[str], on_dev: Sequence[Tree], problems: Problems, grader: Grader) -> str:
    """The rule that reads the most right answers from dev trees; the first without any."""
    if not on_dev:
        return rules[0]
    rates = {rule: (await chosen_answers(on_dev, problems, grader, rule)).estimate.value for rule in rules}
    return max(rates, key=lambda rule: rates[rule])


def _best_aggregations(on_dev: Sequence[Sampled], k: int) -> dict[str, str]:
    """How step values are best aggregated for best-of-N and for the weighted vote."""
    best = {}
    for name, metric in (("best_of_n", metrics.best_of), ("weighted", metrics.weighted_vote)):
        rates = {how: metric(on_dev, k, how).estimate.value for how in AGGREGATIONS}
        best[name] = max(rates, key=lambda how: rates[how])
    return best


def results(path: Path, run: EvalRun, points: Sequence[Point], sizes: Sizes) -> dict[str, Any]:
    """The evaluation at `path` as JSON values: its points, paired with majority votes of like tokens, and what each
    search of the test problems cost.
    """
    compared = against(points)
    return {
        "settings": run.model_dump(mode="json"),
        "parameters": asdict(sizes),
        "points": [
            point.to_json(sizes)
            | {
                "against_majority": asdict(compared[point.method, point.budget])
                if (point.method, point.budget) in compared
                else None
            }
            for point in points
        ],
        "searches": {name: account(read_forest(path / "test" / name), sizes) for name in run.searches()},
    }
