"""Distillation: a student learns from a teacher that knows more, a larger model or one that has evolved.

In each round the teacher solves problems with known answers, by search or by sampling, and the student is trained on
its right solutions (DeepSeek-R1, arXiv 2501.12948, section 2.4), or on the teacher's distributions along them; or the
student solves the problems itself and learns what the teacher would have done (on-policy: GKD, arXiv 2306.13649).
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from ponderosa.core import PonderosaError, split_options
from ponderosa.evolution.recipe import Round
from ponderosa.evolution.results import Results
from ponderosa.evolution.run import RECIPE, Observer, Run, read_json, rounds
from ponderosa.evolution.self_training import SelfTraining
from ponderosa.evolution.settings import known
from ponderosa.evolution.stages import Forest, Stages, checkpoint
from ponderosa.problems import write_problems
from ponderosa.search import SampleSettings
from ponderosa.training import DistillationSettings, FitSettings, OnPolicySettings
from ponderosa.training.distillation import check_teacher

Mode = Literal["trajectories", "distribution", "on-policy"]


class Distillation(SelfTraining):
    """The recipe; `policy` is the student. The `teacher` is a checkpoint, or a run, whose last policy teaches.

    By `mode` the student is trained as `sft` says on the teacher's right trajectories, as `distribution` says on its
    distributions along them, or as `on_policy` says on its distributions along what the student writes. With `sampling`
    the teacher samples solutions, otherwise it searches trees. A round goes on from the student of the round before.
    """

    loop: Literal["distillation"] = "distillation"
    teacher: str
    mode: Mode = "trajectories"
    sampling: Annotated[SampleSettings, known(SampleSettings)] | None = None
    rounds: tuple[Round, ...] = Field((Round(),), min_length=1)
    distribution: DistillationSettings = DistillationSettings()
    on_policy: OnPolicySettings = OnPolicySettings()

    @property
    def given(self) -> tuple[str, ...]:
        return (*super().given, teacher_of(self.teacher))

    @property
    def trainings(self) -> tuple[FitSettings, ...]:
        by_mode = {"trajectories": self.sft, "distribution": self.distribution, "on-policy": self.on_policy}
        return (by_mode[self.mode],)


def teacher_of(name: str) -> str:
    """The checkpoint of a teacher: the last policy of a run, which must have ended. Raises `PonderosaError`."""
    path = Path(name)
    if not (path / RECIPE).exists():
        return checkpoint(name)
    if not (made := rounds(path)):
        raise PonderosaError(f"the run {name} has no policy that could teach: go on with `ponderosa evolve`")
    policy = made[-1] / "policy"
    if not (read_json(path / "results.json") or {}).get("finished"):  # a later policy would take its place half-way
        raise PonderosaError(f"the run {name} has not ended: go on with `ponderosa evolve`, or have {policy} teach")
    return str(policy)


async def evolve(run: Run[Distillation], observer: Observer) -> dict[str, Any]:
    """Runs, or goes on with, the run's rounds; returns what `results.json` holds. Raises `PonderosaError`."""
    recipe = run.recipe
    async with Stages.open(run, observer) as stages:
        results = Results(stages)
        teacher, student = teacher_of(recipe.teacher), stages.base
        if recipe.mode != "trajectories":
            questions = [problem.question for problem in stages.fresh(1)[:100]]
            check_teacher(student, split_options(teacher)[0], questions)  # before it takes the teacher's time
        await results.of_base(student)
        for number in range(1, len(recipe.rounds) + 1):
            forests: list[Forest] = []
            if recipe.mode == "on-policy":
                student = await learn_on_policy(stages, recipe, number, student, teacher)
            else:
                how = recipe.sampling or recipe.search
                forests = await stages.solve(number, stages.fresh(number), [how], teacher)
                await stages.write_trajectories(number, forests, recipe.data)
                student = await learn_from(stages, recipe, number, student, teacher)
            await results.of_round(number, forests, teacher, student)
        return results.finish(student, None)


async def learn_from(stages: Stages, recipe: Distillation, number: int, student: str, teacher: str) -> str:
    """The student after a round on the teacher's trajectories."""
    rows = stages.data("sft", number, recipe.data.history)
    if recipe.mode == "trajectories":
        return await stages.train(number, "policy", start=student, rows=rows, settings=recipe.sft)
    return await stages.train(
        number, "policy", start=student, rows=rows, settings=recipe.distribution, teacher=split_options(teacher)[0]
    )


async def learn_on_policy(stages: Stages, recipe: Distillation, number: int, student: str, teacher: str) -> str:
    """The student after a round on what it wrote itself."""
    problems = stages.run.round(number) / "data" / "problems.jsonl"
    if not problems.exists():
        write_problems(problems, stages.fresh(number))
    return await stages.train(
        number,
        "policy",
        start=student,
        rows=[problems],
        settings=recipe.on_policy,
        teacher=split_options(teacher)[0],
        format=recipe.format,
        execution=asdict(recipe.execution),
    )
