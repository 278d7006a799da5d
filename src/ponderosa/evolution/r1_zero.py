"""R1-Zero (DeepSeek-R1, arXiv 2501.12948, section 2.2): reinforcement learning from the base model, by rules alone.

No solution is shown to the policy, and nobody's preferences: it samples, right answers in the right format are
rewarded, and GRPO makes what was rewarded likelier. A round is a stretch of that training, with an evaluation at its
end; the next goes on from there, and its divergence is measured from there (the paper replaces its reference every 400
steps).
"""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from pydantic import Field, model_validator

from ponderosa.core import TAGS, Problem
from ponderosa.evolution.grading import check_gradable
from ponderosa.evolution.recipe import Recipe, Round
from ponderosa.evolution.results import Results
from ponderosa.evolution.run import Observer, Run
from ponderosa.evolution.settings import merged, parse
from ponderosa.evolution.stages import Stages
from ponderosa.problems import write_problems
from ponderosa.training import FitSettings, GRPOSettings
from ponderosa.training.languages import check_languages


class Stretch(Round):
    """One round: `grpo` has what differs from the recipe's settings (the paper, too, has longer answers later on)."""

    grpo: dict[str, Any] = Field(default_factory=dict)


class R1Zero(Recipe):
    """The recipe. `rounds` say how many problems each stretch takes, `grpo.batch_size / grpo.group` of them a step.

    Where the step format runs code, so do the rollouts. `grpo.rollout` says how long and deep they go.
    """

    loop: Literal["r1-zero"] = "r1-zero"
    rounds: tuple[Stretch, ...] = (Stretch(problems=12_800),) * 4
    grpo: GRPOSettings = GRPOSettings()

    @model_validator(mode="after")
    def _the_base_is_shown_nothing(self) -> "R1Zero":
        if self.few_shot:
            raise ValueError("r1-zero learns from the bare question: leave `few_shot` out, or train on examples first")
        return self

    @model_validator(mode="after")
    def _rounds_hold_a_step(self) -> "R1Zero":
        for number, settings in enumerate(self.rounds, start=1):
            check_stretch(number, settings.problems, self.format, self.settings_of(number))
        return self

    @property
    def trainings(self) -> tuple[FitSettings, ...]:
        return tuple(self.settings_of(number) for number in range(1, len(self.rounds) + 1))

    def settings_of(self, number: int) -> GRPOSettings:
        """The settings of a round. Raises `PonderosaError` for those that there are not."""
        changed = merged(self.grpo.model_dump(), self.rounds[number - 1].grpo)
        return parse(GRPOSettings, changed, f"`grpo` of round {number}")


def check_stretch(number: int, problems: int, format: str, settings: GRPOSettings) -> None:
    """Raises ValueError if so many problems of a round are fewer than a step of its training takes, or if tags are
    rewarded that the step format does not have.
    """
    learned = problems - math.ceil(settings.held_out * problems)
    if learned < (wanted := settings.problems_per_step * settings.updates):
        held_out = ", beside those that are held out" if settings.held_out else ""
        raise ValueError(
            f"a step takes {wanted} problems: give round {number} as many{held_out}, or lower `batch_size`"
        )

    if format not in TAGS and any(reward.kind == "format" for reward in settings.rewards):
        raise ValueError(
            f"the step format {format} has no tags to reward: choose one of {', '.join(TAGS)}, or leave the kind "
            "`format` out of `rewards`"
        )


async def evolve(run: Run[R1Zero], observer: Observer) -> dict[str, Any]:
    """Runs, or goes on with, the run's rounds; returns what `results.json` holds. Raises `PonderosaError`."""
    async with Stages.open(run, observer) as stages:
        results = Results(stages)
        policy = stages.base
        await results.of_base(policy)
        for number in range(1, len(run.recipe.rounds) + 1):
            learner = policy
            policy = await reinforce(stages, number, learner, run.recipe.settings_of(number))
            await results.of_round(number, [], learner, policy)
        return results.finish(policy, None)


async def reinforce(
    stages: Stages, number: int, start: str, settings: GRPOSettings, others: Sequence[Problem] = ()
) -> str:
    """The round's reinforcement learning, on problems of its own and on `others`, which need have no answer. Returns
    the checkpoint. Raises `PonderosaError`.
    """
    recipe = stages.recipe
    problems = stages.fresh(number)
    check_gradable(problems, recipe.grader, recipe.format)
    if any(reward.kind == "language" and not reward.share for reward in settings.rewards):
        check_languages(str(known) for one in (*problems, *others) if (known := one.meta.get("language")))
    listed = stages.run.round(number) / "problems.jsonl"
    if not listed.exists():
        write_problems(listed, [*problems, *others])
    return await stages.train(
        number,
        "policy",
        start=start,
        rows=[listed],
        settings=settings,
        format=recipe.format,
        grader=recipe.grader,
        execution=asdict(recipe.execution),
    )
