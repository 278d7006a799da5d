"""The recipe of DeepSeek-R1 in its five stages (arXiv 2501.12948, section 2.3), each a round of a run.

1. Cold start: the base learns the layout of long, readable solutions from a few of them.
2. Reasoning: reinforcement learning with rewards by rule, of accuracy, format and consistency of language.
3. Rejection sampling: that policy's solutions which are right and readable, and rows that ask for no reasoning.
4. Fine-tuning: the base, from the start, on both.
5. All scenarios: reinforcement learning with the rules, and with a reward model that prefers helpful and harmless
   answers: the answer alone is what helps, the whole of a solution what may do harm.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from ponderosa.core import PYTHON, PonderosaError, Problem, Tree, find_attribute
from ponderosa.evolution.approval import Approvals, approvals, check_judge
from ponderosa.evolution.curation import Keep, Readability, preferences
from ponderosa.evolution.r1_zero import check_stretch, reinforce
from ponderosa.evolution.recipe import Recipe, Round, TrajectorySettings
from ponderosa.evolution.results import Results
from ponderosa.evolution.run import Observer, Run, write_whole
from ponderosa.evolution.settings import known
from ponderosa.evolution.stages import Forest, Stages
from ponderosa.forest import PairRow, SFTRow, sft_rows
from ponderosa.problems import load_problems
from ponderosa.search import SampleSettings
from ponderosa.training import FitSettings, PPMSettings, SFTSettings
from ponderosa.training.grpo import GRPOSettings
from ponderosa.training.rewards import (
    AccuracyReward,
    FormatReward,
    LanguageReward,
    ModelReward,
    RewardSettings,
    check_rewards,
)
from ponderosa.training.rows import read_rows

PREFERENCE = "preference"
"""How rewards name the model that stage 5 trains."""


def _of_one_model(data: TrajectorySettings) -> TrajectorySettings:
    if data.mutual is not None:
        raise ValueError("stage 3 asks no second model: leave `mutual` out, or name a `judge`")
    return data


class ColdStart(Round):
    """Stage 1. `rows` are files of JSON Lines with prompt and response, or functions `python:module:attribute?count=N`
    that give such rows.
    """

    stage: Literal["cold start"] = "cold start"
    problems: Literal[0] = 0
    rows: tuple[str, ...] = Field(min_length=1)
    sft: SFTSettings = SFTSettings()


class Reasoning(Round):
    """Stage 2."""

    stage: Literal["reasoning"] = "reasoning"
    grpo: GRPOSettings = GRPOSettings(rewards=(AccuracyReward(), FormatReward(), LanguageReward()))


class RejectionSampling(Round):
    """Stage 3. Of each problem's samples those are taken that are right, `readable`, and, if there is a `judge`,
    correct, readable and in one language by its word too (see `approval`). `open` problems, by name, are those whose
    answers no rule can compare: the judge alone says which are right. `other` rows, named as those of the cold start,
    ask for no reasoning.
    """

    stage: Literal["rejection sampling"] = "rejection sampling"
    sampling: Annotated[SampleSettings, known(SampleSettings)] = SampleSettings(n=16, temperature=1.0, max_depth=64)
    data: Annotated[TrajectorySettings, AfterValidator(_of_one_model)] = TrajectorySettings(
        top=4, choice="random", history=False
    )
    readable: Readability = Readability()
    judge: str | None = None
    open: tuple[str, ...] = ()
    other: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _somebody_judges_what_is_open(self) -> "RejectionSampling":
        if self.open and self.judge is None:
            raise ValueError("no rule says which answers to `open` problems are right: name a `judge`")
        return self


class FineTuning(Round):
    """Stage 4."""

    stage: Literal["fine-tuning"] = "fine-tuning"
    problems: Literal[0] = 0
    sft: SFTSettings = SFTSettings()


class AllScenarios(Round):
    """Stage 5. The preference model is trained on `pairs` (files of them), by default on what stage 3 would take and
    what it would not; rewards of kind model name it "preference". `general` problems, by name, are asked beside those
    of mathematics; they need have no answers.

    The paper has a model for helpfulness and another for harmlessness, rewards reasoning by rules alone, and has
    general problems and models' rewards in the last 400 of 1,700 steps only. Here one model is read twice, unless a
    reward names another `checkpoint`, and all rewards are of all problems, from the first step.
    """

    stage: Literal["all scenarios"] = "all scenarios"
    general: tuple[str, ...] = ()
    pairs: tuple[Path, ...] = ()
    preference: PPMSettings = PPMSettings()
    grpo: GRPOSettings = GRPOSettings(
        rewards=(
            AccuracyReward(),
            FormatReward(),
            LanguageReward(),
            ModelReward(name="helpfulness", checkpoint=PREFERENCE, reads="answer"),
            ModelReward(name="harmlessness", checkpoint=PREFERENCE, reads="whole"),
        )
    )


class R1(Recipe):
    """The recipe: `rounds` are the five stages."""

    loop: Literal["r1"] = "r1"
    format: str = "think/paragraphs"
    rounds: tuple[ColdStart, Reasoning, RejectionSampling, FineTuning, AllScenarios]

    @property
    def trainings(self) -> tuple[FitSettings, ...]:
        cold, reasoning, _, tuning, scenarios = self.rounds
        return cold.sft, reasoning.grpo, tuning.sft, scenarios.preference, scenarios.grpo

    @model_validator(mode="after")
    def _rounds_hold_a_step(self) -> "R1":
        _, reasoning, _, _, scenarios = self.rounds
        check_stretch(2, reasoning.problems, self.format, reasoning.grpo)
        if not scenarios.general:
            check_stretch(5, scenarios.problems, self.format, scenarios.grpo)
        return self


async def evolve(run: Run[R1], observer: Observer) -> dict[str, Any]:
    """Runs, or goes on with, the five stages; returns what `results.json` holds. Raises `PonderosaError`."""
    cold, reasoning, sampling, tuning, scenarios = run.recipe.rounds
    async with Stages.open(run, observer) as stages:
        given = check_given(stages)
        results = Results(stages)
        base = stages.base
        await results.of_base(base)

        policy = await stages.train(1, "policy", start=base, rows=given.cold, settings=cold.sft)
        await results.of_round(1, [], base, policy)

        policy = await reinforce(stages, 2, policy, reasoning.grpo)
        await results.of_round(2, [], policy, policy)

        forests = await stages.solve(3, stages.fresh(3), [sampling.sampling], policy)
        ungraded = []
        if given.open:
            ungraded = [await stages.make_trees(3, 1, given.open, sampling.sampling, policy, graded=False)]
        await curate(stages, sampling, [*forests, *ungraded])
        rows = [*stages.data("sft", 3), *given.other]
        proposer = policy

        policy = await stages.train(4, "policy", start=base, rows=rows, settings=tuning.sft)
        await results.of_round(4, forests, proposer, policy, data=3, told=ungraded)

        pairs = scenarios.pairs or stages.data("pairs", 3)
        preference = await stages.train(5, "ppm", start=policy, rows=pairs, settings=scenarios.preference)
        settings = with_preference(scenarios.grpo, preference)
        policy = await reinforce(stages, 5, policy, settings, given.general)
        await results.of_round(5, [], policy, policy, preference)
        return results.finish(policy, preference)


@dataclass(frozen=True, slots=True)
class Given:
    """What a run's stages need beside its problems: files of rows, and problems by name."""

    cold: list[Path]
    other: list[Path]
    open: list[Problem]
    general: list[Problem]


def check_given(stages: Stages) -> Given:
    """All that the recipe names, looked up before the first stage, since the last ones come hours later.

    Raises `PonderosaError` for files, functions, problems, languages and a judge that there are not.
    """
    cold, reasoning, sampling, _, scenarios = stages.run.recipe.rounds
    check_rewards((*reasoning.grpo.rewards, *scenarios.grpo.rewards))
    if sampling.judge is not None:
        check_judge(sampling.judge)
    for file in scenarios.pairs:
        if not file.exists():
            raise PonderosaError(f"there are no pairs at {file}: name files or folders of preference pairs")
    given = Given(
        given_rows(stages, 1, "cold-start", cold.rows),
        given_rows(stages, 3, "other", sampling.other),
        named_problems(stages, sampling.open),
        named_problems(stages, scenarios.general),
    )
    sampling.readable.keeper(given.open)
    return given


def given_rows(stages: Stages, number: int, name: str, sources: Sequence[str]) -> list[Path]:
    """Files of the rows that are named, without those that ask what is held out: as they are, or, of a function's rows
    and where some are left out, written into the round's folder.

    Raises `PonderosaError` for a file or function that there is not, and for what are no rows.
    """
    files = []
    for i, source in enumerate(sources):
        own = stages.run.round(number) / "data" / f"{name}-{i}.jsonl"
        if source.startswith(PYTHON):
            file = own
            if not file.exists():
                give, options = find_attribute(source)
                _write_rows(file, give(**options))
        else:
            file = Path(source)
        if not file.exists():
            raise PonderosaError(f"there are no rows at {file}: name a file of JSON Lines with prompt and response")
        rows = read_rows(file, SFTRow, {"prompt": str, "response": str})
        if len(kept := _trainable(stages, rows)) < len(rows):
            _write_rows(file := own, kept)
        files.append(file)
    return files


def _trainable(stages: Stages, rows: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """The rows whose questions are not held out. A prompt that is not in the run's format counts as a question."""
    before, _, after = stages.format.render("\0").text.partition("\0")
    questions = [row["prompt"].removeprefix(before).removesuffix(after) for row in rows]
    kept = stages.source.trainable(Problem(str(i), question) for i, question in enumerate(questions))
    return [rows[int(problem.id)] for problem in kept]


def _write_rows(file: Path, rows: Iterable[Mapping[str, str]]) -> None:
    write_whole(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def named_problems(stages: Stages, names: Sequence[str]) -> list[Problem]:
    """The problems of those names (see `load_problems`) that may be trained on. Raises `PonderosaError`.

    Their ids begin with the name: files count their problems, so that the run's own may have the same ids.
    """
    folder = stages.recipe.problems.data_dir
    return stages.source.trainable(
        replace(problem, id=f"{name}:{problem.id}") for name in names for problem in load_problems(name, folder)
    )


async def curate(stages: Stages, settings: RejectionSampling, forests: Sequence[Forest]) -> None:
    """Writes what stage 3 takes, and pairs of what it would take with what it would not. A solution without the judge's
    word is in neither.
    """
    if all(file.exists() for name in ("sft", "pairs") for file in stages.data(name, 3)):
        return
    readable = settings.readable.keeper(problem for forest in forests for problem in forest.problems)
    approved: Approvals | None = None
    if settings.judge is not None:
        approved = await approvals(stages, 3, settings.judge, forests, readable)
    data = settings.data
    keep: Keep = approved.keep if approved else readable
    told = settings.model_dump(mode="json", include={"data", "readable"}) | {
        "judge": approved.summary if approved else None
    }

    def graded(trees: Iterable[Tree]) -> Iterable[Tree]:
        return map(approved.graded, trees) if approved else trees

    def chosen(trees: Iterable[Tree]) -> list[SFTRow]:
        return sft_rows(graded(trees), stages.format, data.top, data.choice, verified=data.verified, keep=keep)

    def preferred(trees: Iterable[Tree]) -> list[PairRow]:
        return preferences(graded(trees), stages.recipe.format, keep)

    judge = settings.judge if approved and approved.summary["by_the_judge_alone"] else None
    stages.write(3, "sft", SFTRow, chosen, forests, told, judge)
    stages.write(3, "pairs", PairRow, preferred, forests, told, judge)


def with_preference(settings: GRPOSettings, checkpoint: str) -> GRPOSettings:
    """The settings with the preference model's folder where rewards name it."""
    return settings.model_copy(update={"rewards": tuple(_named(entry, checkpoint) for entry in settings.rewards)})


def _named(entry: RewardSettings, checkpoint: str) -> RewardSettings:
    if isinstance(entry, ModelReward) and entry.checkpoint == PREFERENCE:
        return entry.model_copy(update={"checkpoint": checkpoint, "name": entry.label})
    return entry
