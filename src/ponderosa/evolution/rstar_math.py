"""rStar-Math's self-evolution (arXiv 2501.04519, section 3.4 and figure 1).

In each round the policy of the round before searches problems with known answers, guided by the round before's PPM once
that is reliable; the best trajectories train the next policy from the base model, and pairs of steps the next PPM.
"""

from typing import Any

from ponderosa.evolution.results import Results
from ponderosa.evolution.run import Observer, Run
from ponderosa.evolution.stages import Stages


async def evolve(run: Run, observer: Observer) -> dict[str, Any]:
    """Runs, or goes on with, the run's rounds; returns what `results.json` holds.

    Raises `PonderosaError`; what was finished by then is kept, and the same call goes on from there.
    """
    async with Stages.open(run, observer) as stages:
        results = Results(stages)
        policy, ppm = stages.base, None
        await results.of_base(policy)
        for number, settings in enumerate(run.recipe.rounds, start=1):
            proposer = stages.bootstrap if number == 1 else policy
            forests = await stages.make_trees(number, proposer, ppm if settings.reward else None)
            stages.extract(number, forests)
            policy = await stages.train_policy(number, start=stages.base)
            ppm = await stages.train_ppm(number, start=policy)
            await results.of_round(number, forests, policy, ppm)
        return results.finish(policy, ppm)
