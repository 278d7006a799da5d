"""Expert iteration (Anthony et al., arXiv 1705.08439, algorithm 1): the expert that the policy learns from is a search.

Each round the policy, strengthened by search, solves problems; it is then trained to give at once what the search
found, going on from where it is. There is no preference model: what guides the search are known answers alone.
"""

from typing import Any, Literal

from ponderosa.evolution.recipe import Round
from ponderosa.evolution.run import Observer, Run
from ponderosa.evolution.self_training import SelfTraining, self_train


class ExpertIteration(SelfTraining):
    """The recipe; `search` is the expert."""

    loop: Literal["expert-iteration"] = "expert-iteration"
    rounds: tuple[Round, ...] = (Round(),) * 4


async def evolve(run: Run[ExpertIteration], observer: Observer) -> dict[str, Any]:
    """Runs, or goes on with, the run's rounds; returns what `results.json` holds. Raises `PonderosaError`."""
    return await self_train(run, observer, run.recipe.search, start="previous")
