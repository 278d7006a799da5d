"""rStar-Math's self-evolution (arXiv 2501.04519, section 3.4 and figure 1).

In each round the policy of the round before searches problems with known answers, guided by the round before's PPM once
that is reliable; the best trajectories train the next policy from the base model, and pairs of steps the next PPM.
"""

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field

from ponderosa.evolution.recipe import Round, TrajectorySettings
from ponderosa.evolution.results import Results
from ponderosa.evolution.reward_models import (
    RewardModel,
    RewardModelChoice,
    ValueModelSettings,
    train_reward_model,
    write_pairs,
)
from ponderosa.evolution.run import Observer, Run
from ponderosa.evolution.self_training import SelfTraining
from ponderosa.evolution.settings import known
from ponderosa.evolution.stages import Forest, Stages, checkpoint
from ponderosa.forest import PreferenceSettings
from ponderosa.training import DPOSettings, FitSettings, PPMSettings


class RoundSettings(Round):
    """One round. `reward` says whether the PPM of the round before guides the search.

    `retries` gives problems that are still unsolved a further tree with new seeds and that many rollouts, one after the
    other (the paper's round 4: 64, then 128).
    """

    rollouts: int = Field(16, ge=1)
    candidates: int | None = Field(None, ge=1)
    reward: bool = False
    retries: tuple[int, ...] = ()


class DataSettings(TrajectorySettings):
    """What is taken from the forest: trajectories, and pairs of steps (see `PreferenceSettings`). With `pair_history`
    the reward model is trained on the data of all rounds so far.
    """

    pair_history: bool = True
    pairs: Annotated[PreferenceSettings, known(PreferenceSettings)] = PreferenceSettings()


class RStarMath(SelfTraining):
    """The recipe. The defaults are the paper's, but that the data of earlier rounds train too (`data.history` and
    `data.pair_history`): it does not say whether they do.
    """

    loop: Literal["rstar-math"] = "rstar-math"
    bootstrap: str | None = None
    """Who proposes in round 1 (a large model in the paper); the policy's own base if not given."""
    rounds: tuple[RoundSettings, ...] = (
        RoundSettings(rollouts=8),
        RoundSettings(rollouts=16),
        RoundSettings(rollouts=16, reward=True),
        RoundSettings(rollouts=16, reward=True, retries=(64, 128)),
    )
    start: Literal["base", "previous"] = "base"
    """What each round's policy is trained from: the base, as in the paper, or the policy of the round before."""
    data: DataSettings = DataSettings()
    update: Literal["sft", "dpo", "sft+dpo"] = "sft"
    """What makes a round's policy: SFT on its trajectories; DPO on its pairs, from the policy before; or SFT, then DPO
    from that policy."""
    dpo: DPOSettings = DPOSettings()
    reward_model: RewardModel = "ppm"
    """What is trained in the PPM's place; `values` are the settings of the others, but of "orm-pairs"."""
    ppm: PPMSettings = PPMSettings()
    values: ValueModelSettings = ValueModelSettings()

    @property
    def given(self) -> tuple[str, ...]:
        return (*super().given, self.bootstrap or self.policy)

    @property
    def trainings(self) -> tuple[FitSettings, ...]:
        of_policy = {"sft": (self.sft,), "dpo": (self.dpo,), "sft+dpo": (self.sft, self.dpo)}
        return (*of_policy[self.update], self.rewards.training)

    @property
    def rewards(self) -> RewardModelChoice:
        """The reward model of the rounds."""
        return RewardModelChoice(kind=self.reward_model, pairs=self.data.pairs, ppm=self.ppm, values=self.values)


async def evolve(run: Run[RStarMath], observer: Observer) -> dict[str, Any]:
    """Runs, or goes on with, the run's rounds; returns what `results.json` holds.

    Raises `PonderosaError`; what was finished by then is kept, and the same call goes on from there.
    """
    recipe = run.recipe
    async with Stages.open(run, observer) as stages:
        results = Results(stages, recipe.data.pairs)
        policy, ppm = stages.base, None
        bootstrap = checkpoint(recipe.bootstrap or recipe.policy)
        await results.of_base(policy)
        for number, settings in enumerate(recipe.rounds, start=1):
            proposer = bootstrap if number == 1 else policy
            forests = await make_trees(stages, recipe, number, proposer, ppm if settings.reward else None)
            await extract(stages, recipe, number, forests)
            policy = await train_policy(stages, recipe, number, policy)
            ppm = await train_reward_model(
                stages,
                number,
                recipe.rewards,
                forests,
                proposer=proposer,
                start=policy,
                history=recipe.data.pair_history,
            )
            await results.of_round(number, forests, proposer, policy, ppm)
        return results.finish(policy, ppm)


async def make_trees(stages: Stages, recipe: RStarMath, number: int, policy: str, ppm: str | None) -> list[Forest]:
    """The round's search for training data, and its retries for what is still unsolved."""
    settings = recipe.rounds[number - 1]
    tree = replace(recipe.search, candidates=settings.candidates or recipe.search.candidates)
    tries = [replace(tree, rollouts=rollouts) for rollouts in (settings.rollouts, *settings.retries)]
    return await stages.solve(number, stages.fresh(number), tries, policy, ppm)


async def train_policy(stages: Stages, recipe: RStarMath, number: int, before: str) -> str:
    """The round's policy: of its trajectories, of its pairs, or of both, one after the other."""
    pairs = stages.data("pairs", number)  # of the round alone: they compare what the policy before would write
    if recipe.update == "dpo":
        return await stages.train(number, "policy", start=before, rows=pairs, settings=recipe.dpo)
    start = stages.base if recipe.start == "base" else before
    rows = stages.data("sft", number, recipe.data.history)
    if recipe.update == "sft":
        return await stages.train(number, "policy", start=start, rows=rows, settings=recipe.sft)
    tuned = await stages.train(number, "sft", start=start, rows=rows, settings=recipe.sft)
    return await stages.train(number, "policy", start=tuned, rows=pairs, settings=recipe.dpo)


async def extract(stages: Stages, recipe: RStarMath, number: int, forests: list[Forest]) -> None:
    """Writes the round's data sets: trajectories and preference pairs."""
    await stages.write_trajectories(number, forests, recipe.data)
    write_pairs(stages, number, recipe.data.pairs, forests)
