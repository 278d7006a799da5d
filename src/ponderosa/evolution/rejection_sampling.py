"""Fine-tuning on a policy's own right answers, in one round or several.

One round is rejection-sampling fine-tuning (RFT: Yuan et al., arXiv 2308.01825, section 3.3); several, each from the
base model with the samples of the policy before, are ReST-EM (Singh et al., arXiv 2312.06585, algorithm 1).
"""

from typing import Annotated, Any, Literal

from ponderosa.evolution.recipe import Round, TrajectorySettings
from ponderosa.evolution.run import Observer, Run
from ponderosa.evolution.self_training import SelfTraining, self_train
from ponderosa.evolution.settings import known
from ponderosa.search import SampleSettings


class RejectionSampling(SelfTraining):
    """The recipe. Samples as in RFT (100 a problem at temperature 0.7), trajectories at most as in ReST-EM (10)."""

    loop: Literal["rejection-sampling"] = "rejection-sampling"
    sampling: Annotated[SampleSettings, known(SampleSettings)] = SampleSettings(n=100, temperature=0.7)
    rounds: tuple[Round, ...] = (Round(),)
    data: TrajectorySettings = TrajectorySettings(top=10, choice="random", history=False)


async def evolve(run: Run[RejectionSampling], observer: Observer) -> dict[str, Any]:
    """Runs, or goes on with, the run's rounds; returns what `results.json` holds. Raises `PonderosaError`."""
    return await self_train(run, observer, run.recipe.sampling, start="base")
