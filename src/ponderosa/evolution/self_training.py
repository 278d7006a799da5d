"""What all loops share in which a policy is trained on right solutions, and the plainest of them whole."""

from typing import Any, Literal, TypeVar

from ponderosa.evolution.recipe import Recipe, TrajectorySettings
from ponderosa.evolution.results import Results
from ponderosa.evolution.run import Observer, Run
from ponderosa.evolution.stages import Stages
from ponderosa.search import MCTSSettings, SampleSettings
from ponderosa.training import FitSettings, SFTSettings


class SelfTraining(Recipe):
    """A recipe that takes trajectories as `data` says, and trains on them as `sft` says."""

    data: TrajectorySettings = TrajectorySettings(history=False)
    sft: SFTSettings = SFTSettings()

    @property
    def given(self) -> tuple[str, ...]:
        second = self.data.mutual
        return (*super().given, *([second.policy] if second else []))

    @property
    def trainings(self) -> tuple[FitSettings, ...]:
        return (self.sft,)


R = TypeVar("R", bound=SelfTraining)


async def self_train(
    run: Run[R], observer: Observer, how: SampleSettings | MCTSSettings, start: Literal["base", "previous"]
) -> dict[str, Any]:
    """Runs, or goes on with, rounds of solving problems and SFT on what was right, from the base or from the policy
    before; returns what `results.json` holds. Raises `PonderosaError`.
    """
    recipe = run.recipe
    async with Stages.open(run, observer) as stages:
        results = Results(stages)
        policy = stages.base
        await results.of_base(policy)
        for number in range(1, len(recipe.rounds) + 1):
            solver = policy
            forests = await stages.solve(number, stages.fresh(number), [how], solver)
            await stages.write_trajectories(number, forests, recipe.data)
            rows = stages.data("sft", number, recipe.data.history)
            origin = stages.base if start == "base" else solver
            policy = await stages.train(number, "policy", start=origin, rows=rows, settings=recipe.sft)
            await results.of_round(number, forests, solver, policy)
        return results.finish(policy, None)
