"""STaR, with rationalization (Zelikman et al., arXiv 2203.14465, algorithm 1).

Each iteration the policy reasons about problems. Right answers train. Those that it got wrong are given once more, with
the answer as a hint, and what is right then trains too, as if there had been no hint. Training starts from the base
model every time, so that nothing is learned from what was over-fitted before.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from ponderosa.evolution.recipe import Round, TrajectorySettings
from ponderosa.evolution.results import Results
from ponderosa.evolution.run import Observer, Run
from ponderosa.evolution.self_training import SelfTraining
from ponderosa.evolution.settings import known
from ponderosa.evolution.stages import Stages
from ponderosa.search import SampleSettings
from ponderosa.training import SFTSettings


class STaR(SelfTraining):
    """The recipe. The defaults are the paper's: one greedy rationale a problem, 40 training steps at first and a fifth
    more each iteration, at a rate of 1e-6, in batches of 8 sequences of some ten rationales each, 80 here. Its code
    warms up for 100 steps, and shows its base examples (`few_shot`).

    `hint` comes after the question of a problem that was got wrong, with its `{answer}`; none: no rationalization. What
    has no answer to be told, as where tests or a judge say what is right, is not given again.
    """

    loop: Literal["star"] = "star"
    sampling: Annotated[SampleSettings, known(SampleSettings)] = SampleSettings()
    hint: str | None = " (The answer is {answer}.)"
    rounds: tuple[Round, ...] = (Round(problems=10_000),) * 5
    data: TrajectorySettings = TrajectorySettings(top=1, history=False)
    sft: SFTSettings = SFTSettings(
        max_steps=40,
        epochs=100,
        batch_size=80,
        learning_rate=1e-6,
        schedule="constant",
        weight_decay=0,
        save_precision="float32",  # in 16 bits most of so few small steps would be rounded away
    )
    growth: float = Field(1.2, gt=0)
    """By what `sft.max_steps` grows from one iteration to the next."""

    @field_validator("hint")
    @classmethod
    def _hint_has_the_answer(cls, hint: str | None) -> str | None:
        if hint is not None and "{answer}" not in hint:
            raise ValueError("a hint names the {answer}: put it in, or set `hint: null` for no rationalization")
        return hint


async def evolve(run: Run[STaR], observer: Observer) -> dict[str, Any]:
    """Runs, or goes on with, the run's iterations; returns what `results.json` holds. Raises `PonderosaError`."""
    recipe = run.recipe
    async with Stages.open(run, observer) as stages:
        results = Results(stages)
        policy = stages.base
        await results.of_base(policy)
        for number in range(1, len(recipe.rounds) + 1):
            reasoner = policy
            forests = [await stages.make_trees(number, 0, stages.fresh(number), recipe.sampling, reasoner)]
            wrong = [problem for problem in forests[0].unsolved() if problem.answer is not None]
            if recipe.hint and wrong:
                forests.append(await stages.make_trees(number, 1, wrong, recipe.sampling, reasoner, hint=recipe.hint))
            await stages.write_trajectories(number, forests, recipe.data)
            rows = stages.data("sft", number, recipe.data.history)
            policy = await stages.train(
                number, "policy", start=stages.base, rows=rows, settings=grown(recipe.sft, recipe.growth, number)
            )
            await results.of_round(number, forests[:1], reasoner, policy, told=forests[1:])
        return results.finish(policy, None)


def grown(settings: SFTSettings, growth: float, number: int) -> SFTSettings:
    """The settings of iteration `number`, the first having those of the recipe."""
    return settings.model_copy(update={"max_steps": round(settings.max_steps * growth ** (number - 1))})
