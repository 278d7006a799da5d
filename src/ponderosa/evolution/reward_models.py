"""The reward models that a round of rStar-Math may train: its PPM, or what its ablation compares with (section 4.3)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from ponderosa.core import StepFormat, Tree, derive_seed
from ponderosa.evolution.settings import Part, known
from ponderosa.evolution.stages import Forest, SearchPlan, Stages
from ponderosa.forest import (
    PairRow,
    PreferenceSettings,
    ValueRow,
    ValueRowSettings,
    outcome_rows,
    preference_pairs,
    value_rows,
)
from ponderosa.forest.values import Places
from ponderosa.search import RolloutSettings
from ponderosa.training import PPMSettings, ValueSettings

RewardModel = Literal["ppm", "orm", "orm-pairs", "prm-q", "prm-rollouts"]
"""A PPM learns from pairs of steps. An ORM learns from outcomes: whether each solution is right (Cobbe et al.), or, as
"orm-pairs", from pairs of whole solutions alone. A PRM learns step values: Q values of the trees, or the share of right
ends of roll-outs that are made for it."""


class ValueModelSettings(Part):
    """An ORM or a PRM: where an ORM's `outcomes` are learned, how a PRM's step values are read from trees (`rows`), the
    roll-outs that a "prm-rollouts" needs, and the `training`.
    """

    outcomes: Places = "every_step"
    rows: Annotated[ValueRowSettings, known(ValueRowSettings)] = ValueRowSettings()
    rollouts: Annotated[RolloutSettings, known(RolloutSettings)] = RolloutSettings()
    training: ValueSettings = ValueSettings()


class RewardModelChoice(Part):
    """Which reward model, and the settings of each."""

    kind: RewardModel = "ppm"
    pairs: Annotated[PreferenceSettings, known(PreferenceSettings)] = PreferenceSettings()
    ppm: PPMSettings = PPMSettings()
    values: ValueModelSettings = Field(default_factory=ValueModelSettings)

    @property
    def training(self) -> PPMSettings | ValueSettings:
        """The settings of its training."""
        return self.ppm if self.kind in ("ppm", "orm-pairs") else self.values.training


class _Data(NamedTuple):
    name: str
    kind: type[Any]
    rows: Callable[[Iterable[Tree]], list[Any]]
    settings: dict[str, Any]


async def train_reward_model(
    stages: Stages,
    number: int,
    settings: RewardModelChoice,
    forests: Sequence[Forest],
    *,
    proposer: str,
    start: str,
    history: bool,
) -> str:
    """Trains the round's reward model from the policy `start` on what the `forests`, searched by `proposer`, hold; with
    `history` also on the data of earlier rounds. Returns its folder, which is called `ppm` whatever it is.
    """
    data = _data(settings, stages.format)
    if settings.kind == "prm-rollouts":
        forests = await _rolled_out(stages, number, settings.values.rollouts, forests, proposer)
    _write(stages, number, data, forests)
    rows: list[Path] = stages.data(data.name, number, history)
    return await stages.train(number, "ppm", start=start, rows=rows, settings=settings.training)


def write_pairs(stages: Stages, number: int, settings: PreferenceSettings, forests: Sequence[Forest]) -> None:
    """Writes the round's preference pairs, which a PPM learns from, and DPO."""
    _write(stages, number, _pairs(settings, stages.format), forests)


def _write(stages: Stages, number: int, data: _Data, forests: Sequence[Forest]) -> None:
    stages.write(number, data.name, data.kind, data.rows, forests, data.settings)


def _pairs(settings: PreferenceSettings, format: StepFormat) -> _Data:
    return _Data("pairs", PairRow, lambda trees: preference_pairs(trees, format, settings), asdict(settings))


def _data(settings: RewardModelChoice, format: StepFormat) -> _Data:
    """The data set that a kind of reward model learns from."""
    pairs, of_values, at = settings.pairs, settings.values.rows, settings.values.outcomes
    if settings.kind == "prm-rollouts":  # a step of fewer roll-outs was only passed through
        of_values = replace(of_values, min_visits=max(of_values.min_visits, settings.values.rollouts.completions))

    def whole(trees: Iterable[Tree]) -> list[PairRow]:
        return [row for row in preference_pairs(trees, format, pairs) if row.scope == "trajectory"]

    kinds: dict[RewardModel, _Data] = {
        "ppm": _pairs(pairs, format),
        "orm-pairs": _Data("trajectory-pairs", PairRow, whole, asdict(pairs) | {"scope": "trajectory"}),
        "orm": _Data("values", ValueRow, lambda trees: outcome_rows(trees, format, at), {"outcomes": at}),
        "prm-q": _Data("values", ValueRow, lambda trees: value_rows(trees, format, of_values), asdict(of_values)),
        "prm-rollouts": _Data(
            "values", ValueRow, lambda trees: value_rows(trees, format, of_values), asdict(of_values)
        ),
    }
    return kinds[settings.kind]


async def _rolled_out(
    stages: Stages, number: int, settings: RolloutSettings, forests: Sequence[Forest], policy: str
) -> list[Forest]:
    """Roll-outs from the solutions of each forest."""
    seed = derive_seed(stages.recipe.seed, "rollouts", number)
    plans = [
        SearchPlan(
            stages.run.round(number) / "rollouts" / forest.path.name,
            forest.problems,
            settings,
            judged=True,
            rewarded=False,
            index=index,
            seed=seed,
            over=forest.path,
        )
        for index, forest in enumerate(forests)
    ]
    with stages.run.timed(number, "rollouts"):
        return await stages.search(f"round {number} roll-outs", plans, policy, None)
