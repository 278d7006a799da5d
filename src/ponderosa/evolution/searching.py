"""One search over a file of problems, as a run of its own: what makes data sets and answers outside of an evolution."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ponderosa.cluster import Shard, WorkerPool
from ponderosa.cluster.shard import spread
from ponderosa.core import PonderosaError, Problem, make_format
from ponderosa.evolution.evolved import evolved
from ponderosa.evolution.grading import check_format, check_gradable
from ponderosa.evolution.run import FolderSettings, Observer, run_shards
from ponderosa.evolution.settings import known, parse, typed
from ponderosa.execution import ExecutionSettings
from ponderosa.forest import shards
from ponderosa.sapling import base_or
from ponderosa.search import PRESETS, SEARCHES, Budget, check_needs, find_search

SETTINGS = "search.yaml"
FOREST = "forest"


class SearchRun(FolderSettings):
    """What a run of `ponderosa search` depends on. `settings` are those of `search` (see `search.find_search`).

    A `judged` search learns from the known answers: it makes data. One that continues others' goes on from the trees
    of `over`, a forest. `trees` are searched for each problem.
    """

    FILE = SETTINGS
    COMMAND = "search"

    search: str
    settings: dict[str, Any] = Field(default_factory=dict)
    format: str = "rstar"
    few_shot: str = ""
    policy: str
    reward: str | None = None
    discriminator: str | None = None
    outcome_reward: str | None = None
    over: Path | None = None
    grader: str | None = None
    judged: bool = False
    trees: int = Field(1, ge=1)
    seed: int = 0
    budget: Annotated[Budget, known(Budget)] = Budget()
    execution: Annotated[ExecutionSettings, known(ExecutionSettings)] = ExecutionSettings()

    def check(self) -> None:
        """Raises `PonderosaError`, which names what there is, for a search, a setting or a format that there is not."""
        search, format = find_search(self.search), make_format(self.format)
        names = list(search.settings.__dataclass_fields__)
        if unknown := sorted(set(self.settings) - set(names)):
            raise PonderosaError(f"{self.search} has no setting {', '.join(unknown)}; it has {', '.join(names)}")
        check_needs(self.search, search.needs, lambda need: getattr(self, need))
        if self.judged and self.search == "mutual":
            raise PonderosaError("mutual reasoning judges by what it agrees on itself: leave --judged out")
        if self.outcome_reward is not None and self.search != "mcts_playouts":
            raise PonderosaError("--outcome-reward is for --method mcts_playouts alone: leave it out")
        if search.judged and not self.judged:
            raise PonderosaError(f"{self.search} learns from the known answers: add --judged")
        if self.over is not None and not search.continues:
            able = ", ".join(name for name, other in SEARCHES.items() if other.continues)
            raise PonderosaError(f"{self.search} begins anew: leave --over out, or take --method {able}")
        if self.over is not None:
            shards(self.over)
        search.check(typed(search.settings, self.settings, self.search), format)

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
            over=str(self.over or ""),
        )


def search_run(
    policy: str, preset: str | None, search: str | None, settings: Mapping[str, Any], **others: Any
) -> SearchRun:
    """The settings of a search: those of a preset, or of an algorithm (by default `mcts`), and over them the single
    `settings` of the search and the `others` of `SearchRun`. None is what nobody said.

    A run of `evolve` as the policy brings its PPM and the format of its steps. Raises `PonderosaError` for what there
    is not, or cannot be.
    """
    if preset is not None and preset not in PRESETS:
        raise PonderosaError(f"there is no preset {preset}: choose one of {', '.join(PRESETS)}")
    chosen = PRESETS[preset] if preset else None
    if chosen and search not in (None, chosen.search):
        raise PonderosaError(f"the preset {preset} searches by {chosen.search}: leave --method out")
    asked: dict[str, Any] = {"search": search or "mcts"}
    policy = base_or(policy)
    if (made := evolved(policy)) is not None:
        policy = made.policy
        asked |= {"reward": made.ppm, "format": made.recipe.format}
    if chosen:
        asked |= {"search": chosen.search, "format": chosen.format, "judged": chosen.judged}
        settings = asdict(chosen.settings) | dict(settings)
    asked |= {key: value for key, value in others.items() if value is not None}
    if chosen:
        check_needs(f"the preset {preset}", chosen.needs, asked.get)
    run = parse(SearchRun, asked | {"policy": policy, "settings": settings}, "these settings")
    run.check()
    return run


async def run_search(path: Path, run: SearchRun, found: Sequence[Problem], observer: Observer) -> None:
    """Searches the problems that were `found` into `path`/forest, or goes on with that."""
    if run.judged:
        check_gradable(found, run.grader, run.format)
    check_format(found, run.format)
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
