"""Reinforcement learning of a policy from rewards of whole solutions, by GRPO (DeepSeekMath, arXiv 2402.03300, section
4.1), as DeepSeek-R1-Zero was trained from its base model by rules alone (arXiv 2501.12948, section 2.2).
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ponderosa.core import PonderosaError, Problem, make_format
from ponderosa.problems import read_problems
from ponderosa.training.checkpoint import identify, making, staging
from ponderosa.training.rewards import AccuracyReward, FormatReward, RewardSettings
from ponderosa.training.rows import split
from ponderosa.training.settings import Evaluation, HeldOutSettings, OnProgress


class RolloutSettings(BaseModel):
    """How rollouts are drawn, at most `max_tokens` tokens between two executions.

    A rollout ends as a chain of a search does: with its answer, after `max_depth` steps, or after so many
    `code_errors` in a row, which the policy sees.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = Field(1.0, gt=0)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    max_tokens: int = Field(2048, ge=1)
    max_depth: int = Field(64, ge=1)
    code_errors: int = Field(1, ge=1)


class GenerationSettings(BaseModel):
    """What generates. `transformers`: this package's engine, in the training process and on the very weights that are
    trained, at most `max_rows` rollouts at a time, with prompts shared; it alone can run code on the way.

    `vllm`: TRL's, whose weights are set anew before each generation. `mode` "colocate" shares the trainer's GPUs, of
    whose memory it has the share `gpu_memory_utilization` on `tensor_parallel_size` of them, and, with `sleep`, gives
    it back while the model learns; "server" asks a `vllm serve` at `server_url`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: Literal["transformers", "vllm"] = "transformers"
    max_rows: int = Field(512, ge=1)
    mode: Literal["colocate", "server"] = "colocate"
    server_url: str = ""
    gpu_memory_utilization: float = Field(0.3, gt=0, le=1)
    tensor_parallel_size: int = Field(1, ge=1)
    sleep: bool = False


class GRPOSettings(HeldOutSettings):
    """How to train by GRPO. `group`, `batch_size`, `beta` and the temperature are by default DeepSeek-R1-Zero's; rate,
    loss and clipping are what open reproductions with small models use.

    A step draws `group` rollouts for each of `batch_size / group` problems (R1-Zero: 16 for each of 32), and so
    `batch_size` counts rollouts. Rollouts that with their prompt exceed `max_length` tokens are cut there. `epochs`
    count passes over the problems. With `updates` that many steps share one generation of as many batches; each rollout
    is learned from `iterations` times.

    A rollout's advantage is its reward less its group's mean, divided by what `scale_rewards` says: the standard
    deviation of its group, of the batch, or nothing (Dr. GRPO, arXiv 2503.20783). `loss` says how tokens are weighed,
    by TRL's names: "grpo" every rollout alike, "dapo" every token of the batch alike (arXiv 2503.14476), "dr_grpo" by a
    constant length. Probability ratios are clipped to 1 - `clip` and 1 + `clip_high` (by default `clip`); with "cispo"
    `clip_high` is the largest weight itself, and must be said (TRL recommends 5). `beta` weighs the divergence from the
    checkpoint that training started from. With `mask_cut` rollouts that a limit cut off teach nothing (DAPO's overlong
    filtering).

    The sum of `rewards` is what is learned from. Of problems that are `held_out`, minus the mean reward of a rollout of
    each is the loss that they are judged by, and the share that is right the accuracy. `trl` may name any other field
    of TRL's `GRPOConfig`.

    A checkpoint is saved in 32 bits: steps this small are lost in 16, and a next training goes on from it.
    """

    epochs: float = Field(1, gt=0)
    batch_size: int = Field(512, ge=2)
    group: int = Field(16, ge=2)
    updates: int = Field(1, ge=1)
    iterations: int = Field(1, ge=1)
    learning_rate: float = Field(1e-6, gt=0)
    schedule: Literal["linear", "cosine", "constant"] = "constant"
    weight_decay: float = Field(0.0, ge=0)
    save_precision: Literal["float32", "bfloat16"] = "float32"
    loss: Literal["grpo", "dapo", "dr_grpo", "bnpo", "cispo", "sapo", "luspo", "vespo"] = "dapo"
    scale_rewards: Literal["group", "batch", "none"] = "group"
    importance: Literal["token", "sequence"] = "token"
    clip: float = Field(0.2, gt=0)
    clip_high: float | None = Field(None, gt=0)
    beta: float = Field(0.001, ge=0)
    mask_cut: bool = False
    rewards: tuple[RewardSettings, ...] = (AccuracyReward(), FormatReward())
    rollout: RolloutSettings = RolloutSettings()
    generation: GenerationSettings = GenerationSettings()
    trl: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _groups_are_whole(self) -> "GRPOSettings":
        if self.batch_size % self.group:
            raise ValueError(f"`batch_size` {self.batch_size} is no multiple of `group` {self.group}")
        return self

    @model_validator(mode="after")
    def _largest_weight_is_said(self) -> "GRPOSettings":
        if self.loss == "cispo" and self.clip_high is None:
            raise ValueError("with `loss: cispo`, `clip_high` is the largest weight of a token: say it, as 5.0")
        return self

    @model_validator(mode="after")
    def _rewards_have_names(self) -> "GRPOSettings":
        labels = [entry.label for entry in self.rewards]
        if not labels:
            raise ValueError("`rewards` names none: there is nothing to learn from")
        if len(set(labels)) < len(labels):
            raise ValueError("two `rewards` have one name: give each its own `name`")
        return self

    def unshardable(self, *, weights: bool = True) -> str | None:
        if weights and self.generation.engine == "transformers":
            return "parts of weights cannot generate in the process that trains: set `generation.engine: vllm`"
        return super().unshardable(weights=weights)

    @property
    def steps_together(self) -> int:
        return self.updates * self.iterations

    @property
    def problems_per_step(self) -> int:
        return self.batch_size // self.group

    def steps_over(self, problems: int) -> int:
        """The steps over so many problems that keep to both limits."""
        steps = max(1, int(self.epochs * problems * self.iterations / self.problems_per_step))
        return min(steps, self.max_steps) if self.max_steps else steps


@dataclass(frozen=True, slots=True)
class Task:
    """What a policy is to learn: solutions in a `format`, graded and run as a search's are.

    `grader` is as `models.load_grader` takes it, None for that of each problem's kind; `execution` are
    `ExecutionSettings` as JSON, empty for the defaults.
    """

    format: str = "rstar"
    few_shot: str = ""
    grader: str | None = None
    execution: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GRPOReport:
    """What came of a training by GRPO. Rewards are means over the first and the last tenth of the steps.

    Problems were left out that were `unanswered`, `repeated` (they ask what another asks) or `too_long`. `tokens` went
    through the model, every iteration anew, of the `generated_tokens` and all that stood between them. Shares:
    `zero_variance` of the groups whose rollouts are all worth the same, and teach nothing; `cut` of the rollouts that a
    limit cut off. Numbers of rollouts: `failed` where the executor did, or the prompt was refused; `unmarked` where a
    reward could not be told; `respelled` where the policy went on from the same text in other tokens. `troubles` counts
    why. `warnings` say what to do. `kept` is the evaluation of the weights that were kept, if any were made.
    """

    problems: int
    held_out: int
    unanswered: int
    repeated: int
    too_long: int
    steps: int
    rollouts: int
    generated_tokens: int
    tokens: int
    tokens_per_s: float
    seconds: float
    executions: int
    reward_start: float
    reward_end: float
    rewards_end: dict[str, float]
    length_start: float
    length_end: float
    zero_variance: float
    cut: float
    failed: int
    unmarked: int
    respelled: int
    troubles: dict[str, int]
    warnings: tuple[str, ...]
    kept: Evaluation | None
    evaluations: tuple[Evaluation, ...]


def train_grpo(
    start: str | Path,
    problems: Path | Sequence[Path] | Sequence[Problem],
    out: Path,
    settings: GRPOSettings,
    seed: int,
    on_progress: OnProgress | None = None,
    task: Task = Task(),
) -> GRPOReport:
    """Trains the causal language model `start` on its own solutions to `problems`, into the folder `out`.

    Beside the checkpoint lie its `metrics.jsonl`, a record a step. Processes, and errors, are as in `train_sft`; a
    training that was stopped goes on from its last saved state when it is asked for again.
    """
    from ponderosa.training import environment, fitted, fitting
    from ponderosa.training.group_trainer import RECORDS, GroupTrainer, grpo_config
    from ponderosa.training.rollout_source import RolloutSource
    from ponderosa.training.step_records import StepRecords

    tokenizer = environment.load_tokenizer(start)
    environment.check_policy(start)
    chosen = choose(problems_of(problems), settings, task, tokenizer)
    stops = make_format(task.format).chain_stops
    every = chosen.problems | chosen.held_out
    what = [asdict(task), *map(plain, every.values())]
    going_on = identify("grpo", start, what, settings.identity, seed)
    with (
        environment.training_environment(settings, start),
        staging(out, main=environment.is_main(), going_on=going_on) as stage,
        RolloutSource(settings, task, list(every.values()), seed) as rollouts,
    ):
        args = grpo_config(settings, chosen, stops, seed, stage.scratch)
        fitting.wait_for_all(args)
        state = stage.saved_state()
        trainer = GroupTrainer(
            model=str(start),
            args=args,
            train_dataset=fitted.dataset(prompt=list(chosen.problems)),
            processing_class=tokenizer,
            settings=settings,
            rollouts=rollouts,
            held_out=list(chosen.held_out),
        )
        records = StepRecords(stage.scratch / RECORDS, rollouts, state, on_progress, main=environment.is_main())
        trainer.add_callback(records)
        fitting.fit(trainer, None)
        report = GRPOReport(
            problems=len(chosen.problems),
            held_out=len(chosen.held_out),
            unanswered=chosen.unanswered,
            repeated=chosen.repeated,
            too_long=chosen.too_long,
            **records.summary(),
            kept=trainer.kept,
            evaluations=tuple(trainer.evaluations),
        )
        fitting.save(trainer, settings, tokenizer, stage.checkpoint)
        if environment.is_main():
            shutil.copy(stage.scratch / RECORDS, stage.checkpoint)  # a kill before the end needs them yet
            stage.publish(making("grpo", start, problems, settings, seed, report, task=asdict(task)))
    return report


def plain(problem: Problem) -> dict[str, Any]:
    """The problem as plain JSON values."""
    return {
        "id": problem.id,
        "question": problem.question,
        "answer": problem.answer,
        "meta": dict(problem.meta),
        "kind": problem.kind,
    }


def problems_of(given: Path | Sequence[Path] | Sequence[Problem]) -> list[Problem]:
    """The problems given, in memory or in files."""
    found: list[Problem] = []
    for one in [given] if isinstance(given, str | Path) else given:
        found += [one] if isinstance(one, Problem) else read_problems(Path(one))
    return found


@dataclass(frozen=True, slots=True)
class Chosen:
    """The problems that are learned from, and those that are only judged by, by their prompts; and how many are
    neither.
    """

    problems: dict[str, Problem]
    held_out: dict[str, Problem]
    unanswered: int
    repeated: int
    too_long: int


def choose(problems: Sequence[Problem], settings: GRPOSettings, task: Task, tokenizer: Any) -> Chosen:
    """Leaves out what nothing can be learned from. Raises `PonderosaError` if fewer are left than a step takes."""
    from ponderosa.training.encoding import encode_prompts

    if not problems:
        raise PonderosaError("there are no problems to learn from: name a problem file with at least one")
    format = make_format(task.format, task.few_shot)
    kinds = {entry.kind for entry in settings.rewards}
    # Where a model or a function of one's own has a say too, what has no answer can still be done well.
    by_answers = task.grader is None and "accuracy" in kinds and not kinds & {"model", "own"}
    answered = [problem for problem in problems if problem.checkable or not by_answers]
    if not answered:
        raise PonderosaError(
            f"none of {len(problems)} problems has an answer: give them answers, name a judge as grader, or leave the "
            "accuracy reward out"
        )
    by_prompt: dict[str, Problem] = {}
    for problem in answered:
        by_prompt.setdefault(format.render(problem.question).text, problem)
    lengths = {prompt: len(ids) for prompt, ids in encode_prompts(tokenizer, by_prompt).items()}
    kept = {prompt: problem for prompt, problem in by_prompt.items() if lengths[prompt] < settings.max_length}
    wanted = settings.problems_per_step * settings.updates
    train, held_out = split(list(kept), settings.held_out, str)
    if len(train) < wanted:
        long = len(by_prompt) - len(kept)
        left_out = f", of which {len(held_out)} are held out" if held_out else ""
        left_out += f", and {long} exceed `max_length` {settings.max_length}" if long else ""
        raise PonderosaError(
            f"a step takes {wanted} problems, but there are {len(kept)} different ones{left_out}: give more, or lower "
            "`batch_size`"
        )
    learned, judged = ({prompt: kept[prompt] for prompt in side} for side in (train, held_out))
    return Chosen(
        learned, judged, len(problems) - len(answered), len(answered) - len(by_prompt), len(by_prompt) - len(kept)
    )
