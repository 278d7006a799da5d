"""Distillation of a policy from the distributions of another: on its trajectories, or on what the student writes.

The student learns to give every token the probability that the teacher gives it (arXiv 1503.02531), by the generalised
Jensen-Shannon divergence of GKD (arXiv 2306.13649). Off policy the texts are given, e.g. verified trajectories of the
teacher; plain training on those, without the distributions, is `train_sft`. On policy the student writes them, so that
it learns what the teacher would do where the student gets to.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ponderosa.core import PonderosaError, Problem, make_format
from ponderosa.forest import SFTRow
from ponderosa.training.checkpoint import identify, making, staging, stamped
from ponderosa.training.encoding import encode_prompts, encode_rows
from ponderosa.training.grpo import RolloutSettings, Task, plain, problems_of
from ponderosa.training.rows import Rows, read_rows, split
from ponderosa.training.settings import Evaluation, FitReport, HeldOutSettings, OnProgress

if TYPE_CHECKING:
    from ponderosa.training.distillation_trainer import Texts


class DistillationSettings(HeldOutSettings):
    """How to learn the teacher's distributions, those over the whole vocabulary.

    `beta` is GKD's: 0 is the forward divergence KL(teacher | student), which covers all that the teacher might write, 1
    the reverse one, which keeps to what it would, and between them are the generalised Jensen-Shannon divergences. Both
    models' logits are divided by `softness` first. `batch_size` counts trajectories. What fills no batch is left out of
    an epoch, other trajectories of each; where there are fewer than a batch holds, some stand in it more than once. All
    trajectories of a prompt are held out together, and the divergence there is what selects.
    """

    select_by: Literal["loss"] = "loss"
    beta: float = Field(0.0, ge=0, le=1)
    softness: float = Field(1.0, gt=0)


class OnPolicySettings(DistillationSettings):
    """How to learn the teacher's distributions where the student gets to by itself, at most `max_rows` texts at a time.

    Each step the student solves `batch_size` problems once, as `rollout` says, so that `epochs` count passes over the
    problems, but for what fills no batch. Held-out problems it solves once an evaluation, each time by the same seed.
    """

    epochs: float = Field(1, gt=0)
    beta: float = Field(1.0, ge=0, le=1)
    rollout: RolloutSettings = RolloutSettings()
    max_rows: int = Field(512, ge=1)

    def unshardable(self, *, weights: bool = True) -> str | None:
        if weights:
            return "parts of weights cannot generate in the process that trains: leave them whole in every process"
        return super().unshardable(weights=weights)


@dataclass(frozen=True, kw_only=True, slots=True)
class DistillationReport(FitReport):
    """What came of a distillation. Losses are nats a token.

    `tokens` are those that the student was trained on, prompts included, and so those that the teacher read. `rows` are
    texts, of which those without a response were left out as `empty`, or, on policy, problems; then the student wrote
    `generated_tokens` itself, with so many `executions`; what it wrote for those `held_out` is not counted. `kept` is
    the evaluation of the weights that were kept, if any were made.
    """

    rows: int
    held_out: int
    too_long: int
    empty: int = 0
    generated_tokens: int = 0
    executions: int = 0
    kept: Evaluation | None
    evaluations: tuple[Evaluation, ...]


def train_distillation(
    student: str | Path,
    teacher: str | Path,
    rows: Rows,
    out: Path,
    settings: DistillationSettings,
    seed: int,
    on_progress: OnProgress | None = None,
) -> DistillationReport:
    """Trains the causal language model `student` to write `rows` as `teacher` would, into the folder `out`.

    A row has `prompt` and `response`; what the policy writes of it is compared, its end of text included, the
    executor's output is not. Both models have the same tokenizer and vocabulary. Processes and errors are as in
    `train_sft`.
    """
    from ponderosa.training import environment
    from ponderosa.training.distillation_trainer import GivenTexts

    data = read_rows(rows, SFTRow, {"prompt": str, "response": str})
    if not data:
        raise PonderosaError("there are no trajectories to distil: no problem was solved; search more")
    tokenizer = environment.load_tokenizer(student)
    check_teacher(student, teacher, [row["prompt"] + row["response"] for row in data[:100]])
    learned, judged = (
        encode_rows(tokenizer, some, settings.max_length)
        for some in split(data, settings.held_out, itemgetter("prompt"))
    )
    empty, too_long = learned.empty + judged.empty, learned.too_long + judged.too_long
    if not learned.kept:
        raise PonderosaError(
            f"there is no trajectory to distil: of {len(data)}, {empty} have no response and "
            f"{too_long} exceed `max_length` {settings.max_length}; raise it, or give other rows"
        )
    return _teach(
        student,
        teacher,
        out,
        settings,
        seed,
        on_progress,
        tokenizer=tokenizer,
        texts=GivenTexts([*learned.kept, *judged.kept]),
        held_out=len(judged.kept),
        too_long=too_long,
        empty=empty,
        going_on=identify("distillation", student, [*stamped(teacher), *data], settings.identity, seed),
        record=partial(making, "distillation", student, rows, settings, seed, teacher=str(teacher)),
    )


def train_on_policy(
    student: str | Path,
    teacher: str | Path,
    problems: Path | Sequence[Path] | Sequence[Problem],
    out: Path,
    settings: OnPolicySettings,
    seed: int,
    on_progress: OnProgress | None = None,
    task: Task | None = None,
) -> DistillationReport:
    """Trains the causal language model `student` to write as `teacher` would where it gets to itself, into the folder
    `out`: on-policy distillation.

    Each step the student solves problems anew, as a search's chains do, with their programs run; right or wrong, what
    it wrote is what is compared. No answer is asked for. Processes and errors are as in `train_sft`.
    """
    from ponderosa.training import environment
    from ponderosa.training.distillation_trainer import OwnTexts

    task = task or Task()
    given = problems_of(problems)
    if not given:
        raise PonderosaError("there are no problems to learn on: name a problem file with at least one")
    tokenizer = environment.load_tokenizer(student)
    format = make_format(task.format, task.few_shot)
    prompts = [format.render(problem.question).text for problem in given]
    check_teacher(student, teacher, prompts[:100])
    encoded = encode_prompts(tokenizer, prompts)
    kept = [one for one, prompt in zip(given, prompts, strict=True) if len(encoded[prompt]) < settings.max_length]
    if not kept:
        raise PonderosaError(f"all {len(given)} problems exceed `max_length` {settings.max_length}: raise it")
    train, held_out = split(kept, settings.held_out, attrgetter("question"))
    what = [*stamped(teacher), asdict(task), *map(plain, kept)]
    with OwnTexts([*train, *held_out], settings, task, tokenizer, seed) as texts:
        return _teach(
            student,
            teacher,
            out,
            settings,
            seed,
            on_progress,
            tokenizer=tokenizer,
            texts=texts,
            held_out=len(held_out),
            too_long=len(given) - len(kept),
            going_on=identify("on-policy", student, what, settings.identity, seed),
            record=partial(
                making, "on-policy", student, problems, settings, seed, teacher=str(teacher), task=asdict(task)
            ),
        )


def _teach(
    student: str | Path,
    teacher: str | Path,
    out: Path,
    settings: DistillationSettings,
    seed: int,
    on_progress: OnProgress | None,
    *,
    tokenizer: Any,
    texts: "Texts",
    held_out: int,
    too_long: int,
    empty: int = 0,
    going_on: str,
    record: Callable[[DistillationReport], dict[str, Any]],
) -> DistillationReport:
    """The last `held_out` of the `texts` are only judged by. `going_on` is what the training is (see `identify`), and
    `record` makes its record of its report.
    """
    from ponderosa.training import environment, fitting
    from ponderosa.training.distillation_trainer import TeachingTrainer, teaching_config

    with (
        environment.training_environment(settings, teacher),  # what cannot be loaded may be either
        environment.training_environment(settings, student),
        staging(out, main=environment.is_main(), going_on=going_on) as stage,
    ):
        trainer = TeachingTrainer(
            model=str(student),
            teacher_model=str(teacher),
            args=teaching_config(settings, seed, stage.scratch, texts=len(texts) - held_out, evaluate=bool(held_out)),
            texts=texts,
            held_out=held_out,
            processing_class=tokenizer,
            settings=settings,
        )
        fit = fitting.fit(trainer, on_progress)
        report = DistillationReport(
            rows=len(texts) - held_out,
            held_out=held_out,
            too_long=too_long,
            empty=empty,
            **fit.figures,
            generated_tokens=trainer.counts["generated_tokens"],
            executions=trainer.counts["executions"],
            kept=trainer.kept,
            evaluations=tuple(trainer.evaluations),
        )
        fitting.save(trainer, settings, tokenizer, stage.checkpoint)
        if environment.is_main():
            stage.publish(record(report))
    return report


def check_teacher(student: str | Path, teacher: str | Path, texts: Sequence[str]) -> None:
    """Raises `PonderosaError` unless the teacher's tokens are the student's, and mean the same `texts`."""
    from ponderosa.training import environment

    tokenizer, other = environment.load_tokenizer(student), environment.load_tokenizer(teacher)
    for model in (student, teacher):
        environment.check_policy(model)
    same = other.get_vocab() == tokenizer.get_vocab() and other.eos_token_id == tokenizer.eos_token_id
    if not same or other(list(texts))["input_ids"] != tokenizer(list(texts))["input_ids"]:
        raise PonderosaError(
            f"the teacher {teacher} has another tokenizer than {student}: their distributions cannot be compared; "
            "choose a teacher of the same family, or train on its trajectories alone"
        )
    sizes = [environment.vocabulary_of(model) for model in (student, teacher)]
    if sizes[0] != sizes[1]:
        raise PonderosaError(
            f"the teacher {teacher} has a vocabulary of {sizes[1]} and {student} one of {sizes[0]}: their "
            "distributions cannot be compared; choose a teacher of the same family, or train on its trajectories alone"
        )
