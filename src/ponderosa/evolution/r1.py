"""The recipe of DeepSeek-R1 in its five stages (arXiv 2501.12948, section 2.3), each a round of a run.

1. Cold start: the base learns the layout of long, readable solutions from a few of them.
2. Reasoning: reinforcement learning with rewards by rule, of accuracy, format and consistency of language.
3. Rejection sampling: that policy's solutions which are right and readable, and rows that ask for no reasoning.
4. Fine-tuning: the base, from the start, on both.
5. All scenarios: reinforcement learning with the rules, and with a reward model that prefers helpful and harmless
   answers: the answer alone is what helps, the whole of a solution what may do harm.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from ponderosa.core import PYTHON, PonderosaError, Problem, Tree, find_attribute
from ponderosa.evolution.curation import Readability, preferences
from ponderosa.evolution.grading import open_grader
from ponderosa.evolution.r1_zero import check_stretch, reinforce
from ponderosa.evolution.recipe import Recipe, Round, TrajectorySettings
from ponderosa.evolution.results import Results
from ponderosa.evolution.run import Observer, Run, write_whole
from ponderosa.evolution.settings import known
from ponderosa.evolution.stages import Forest, Stages
from ponderosa.execution import make_executor
from ponderosa.forest import PairRow, SFTRow, Trajectory, sft_rows, trajectories
from ponderosa.problems import load_problems
from ponderosa.search import SampleSettings
from ponderosa.search.concurrent import together
from ponderosa.training import FitSettings, PPMSettings, SFTSettings
from ponderosa.training.grpo import GRPOSettings
from ponderosa.training.rewards import AccuracyReward, FormatReward, LanguageReward, ModelReward, RewardSettings

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
    """Stage 3. Of each problem's samples those are taken that are right, `readable`, and, if there is a `judge`, right
    by its word too. `other` rows, named as those of the cold start, ask for no reasoning.
    """

    stage: Literal["rejection sampling"] = "rejection sampling"
    sampling: Annotated[SampleSettings, known(SampleSettings)] = SampleSettings(n=16, temperature=1.0, max_depth=64)
    data: Annotated[TrajectorySettings, AfterValidator(_of_one_model)] = TrajectorySettings(
        top=4, choice="random", history=False
    )
    readable: Readability = Readability()
    judge: str | None = None
    other: tuple[str, ...] = ()


class FineTuning(Round):
    """Stage 4."""

    stage: Literal["fine-tuning"] = "fine-tuning"
    problems: Literal[0] = 0
    sft: SFTSettings = SFTSettings()


class AllScenarios(Round):
    """Stage 5. The preference model is trained on `pairs` (files of them), by default on what stage 3 would take and
    what it would not; rewards of kind model name it "preference". `general` problems, by name, are asked beside those
    of mathematics; they need have no answers.

    The paper has a model for helpfulness and another for harmlessness, and rewards reasoning by rules alone. Here one
    model is read twice, unless a reward names another `checkpoint`, and all rewards are of all problems.
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
    sampling.readable.reader()  # what stage 3 cannot read by is told before the first
    async with Stages.open(run, observer) as stages:
        results = Results(stages)
        base = stages.base
        await results.of_base(base)

        rows = given_rows(stages, 1, "cold-start", cold.rows)
        policy = await stages.train(1, "policy", start=base, rows=rows, settings=cold.sft)
        await results.of_round(1, [], base, policy)

        policy = await reinforce(stages, 2, policy, reasoning.grpo)
        await results.of_round(2, [], policy, policy)

        forests = await stages.solve(3, stages.fresh(3), [sampling.sampling], policy)
        await curate(stages, sampling, forests)
        rows = [*stages.data("sft", 3), *given_rows(stages, 3, "other", sampling.other)]
        proposer = policy

        policy = await stages.train(4, "policy", start=base, rows=rows, settings=tuning.sft)
        await results.of_round(4, forests, proposer, policy, data=3)

        pairs = scenarios.pairs or stages.data("pairs", 3)
        preference = await stages.train(5, "ppm", start=policy, rows=pairs, settings=scenarios.preference)
        settings = with_preference(scenarios.grpo, preference)
        policy = await reinforce(stages, 5, policy, settings, general_problems(stages, scenarios.general))
        await results.of_round(5, [], policy, policy, preference)
        return results.finish(policy, preference)


def given_rows(stages: Stages, number: int, name: str, sources: Sequence[str]) -> list[Path]:
    """Files of the rows that are named: as they are, or, of a function's rows, written into the round's folder.

    Raises `PonderosaError` for a file or function that there is not.
    """
    files = []
    for i, source in enumerate(sources):
        if not source.startswith(PYTHON):
            files.append(Path(source))
            continue
        file = stages.run.round(number) / "data" / f"{name}-{i}.jsonl"
        if not file.exists():
            give, options = find_attribute(source)
            write_whole(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in give(**options)))
        files.append(file)
    if missing := next((file for file in files if not file.exists()), None):
        raise PonderosaError(f"there are no rows at {missing}: name a file of JSON Lines with prompt and response")
    return files


def general_problems(stages: Stages, names: Sequence[str]) -> list[Problem]:
    """The problems of those names (see `load_problems`) that may be trained on. Raises `PonderosaError`."""
    folder = stages.recipe.problems.data_dir
    return stages.source.trainable(problem for name in names for problem in load_problems(name, folder).problems)


async def curate(stages: Stages, settings: RejectionSampling, forests: Sequence[Forest]) -> None:
    """Writes what stage 3 takes, and pairs of what it would take with what it would not."""
    if all(file.exists() for name in ("sft", "pairs") for file in stages.data(name, 3)):
        return
    problems = {problem.id: problem for forest in forests for problem in forest.problems}
    keep = settings.readable.keeper(problems.values())
    if settings.judge is not None:
        found = [found for forest in forests for tree in forest.trees() for found in trajectories(tree)]
        good = [one for one in found if one.correct and not one.erred and keep(one)]
        keep = await approved(stages, settings.judge, good, problems)
    data = settings.data

    def chosen(trees: Iterable[Tree]) -> list[SFTRow]:
        return sft_rows(trees, stages.format, data.top, data.choice, verified=data.verified, keep=keep)

    def preferred(trees: Iterable[Tree]) -> list[PairRow]:
        return preferences(trees, stages.format, keep)

    told = settings.model_dump(mode="json", include={"data", "readable", "judge"})
    stages.write(3, "sft", SFTRow, chosen, forests, told)
    stages.write(3, "pairs", PairRow, preferred, forests, told)


async def approved(
    stages: Stages, judge: str, candidates: Iterable[Trajectory], problems: Mapping[str, Problem]
) -> Callable[[Trajectory], bool]:
    """Which of the `candidates` a judge, who sees the whole solution beside the reference, finds right too."""
    texts = list(dict.fromkeys((one.problem_id, "".join(one.steps)) for one in candidates))
    async with (
        make_executor(stages.recipe.execution) as executor,
        open_grader(judge, executor, stages.run.path) as grader,
    ):
        verdicts = await together(grader.grade(text, problems[problem]) for problem, text in texts)
    right = {text for text, verdict in zip(texts, verdicts, strict=True) if verdict.correct}
    return lambda one: (one.problem_id, "".join(one.steps)) in right


def with_preference(settings: GRPOSettings, checkpoint: str) -> GRPOSettings:
    """The settings with the preference model's folder where rewards name it."""
    return settings.model_copy(update={"rewards": tuple(_named(entry, checkpoint) for entry in settings.rewards)})


def _named(entry: RewardSettings, checkpoint: str) -> RewardSettings:
    if isinstance(entry, ModelReward) and entry.checkpoint == PREFERENCE:
        return entry.model_copy(update={"checkpoint": checkpoint, "name": entry.label})
    return entry
