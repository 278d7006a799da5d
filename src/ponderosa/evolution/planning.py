"""What a run will cost before anything is spent: tokens, GPU-hours, hours, disk and money of each stage.

Pure functions from a recipe and assumptions; `pilot` measures some of these on trees. docs/planning.md derives the
formulas and compares them with the paper's run and with runs of ours.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from ponderosa.core import PonderosaError
from ponderosa.evolution.assumptions import GPUS, Assumptions
from ponderosa.evolution.evaluating import EvalRun
from ponderosa.evolution.recipe import MutualFilter
from ponderosa.evolution.rstar_math import RoundSettings, RStarMath
from ponderosa.search import MCTSSettings
from ponderosa.training.settings import FitSettings

CHARACTERS = 4.0
"""Of a token, in data sets (bytes)."""

FORMULAS = (
    "expansions of a tree = depth x (1 + (rollouts - 1) x fresh)",
    "generated = trees x expansions x candidates x step_tokens; nodes = trees x expansions x candidates x distinct",
    "read = question_tokens + expansions x step_tokens, scored = question_tokens + nodes x step_tokens of a tree",
    "GPU-seconds of generating = 2 bytes x parameters x generated / (batch x bandwidth x busy)",
    "GPU-seconds of reading = 2 x parameters x (read + scored) / (flops x prefill x busy)",
    "GPU-seconds of a training = 6 (with gradient checkpointing 8, with LoRA 2 less, for DPO 2 more) x parameters x "
    "tokens x epochs / (flops x training)",
    "rows = solved problems x data.top x filled; pairs = trees x pairs; with history those of earlier rounds too",
    "agreement = rows x prefixes x samples chains that lack the rest of a trajectory; all rows are taken to be kept",
    "tokens of a DPO pair = 2 x (question_tokens + half of a trajectory)",
    "hours = GPU-hours / gpus, and at least executions / executions_per_s; $ = GPU-hours x price",
    "bytes = nodes x node_bytes; parameters x 2 a checkpoint in bfloat16; 4 a token of a data set",
)
"""What `plan` computes, for a person; docs/planning.md says why."""


@dataclass(frozen=True, slots=True)
class Work:
    """What models and programs do. In tokens: `generated` and `read` (of prompts, what no cache knows) by the policy,
    `scored` by the reward model, `trained` in all epochs. `nodes` of trees, `executions` of programs.
    """

    generated: float = 0.0
    read: float = 0.0
    scored: float = 0.0
    trained: float = 0.0
    nodes: float = 0.0
    executions: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        return Work(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __mul__(self, times: float) -> "Work":
        return Work(*(getattr(self, f.name) * times for f in fields(self)))


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage's work and what it costs; `how` is the work's formula with its numbers. Of an evaluation on its own
    `round` is None.
    """

    round: int | None
    name: str
    work: Work
    how: str
    gpu_hours: float
    hours: float
    gigabytes: float
    dollars: float


Model = Literal["policy", "bootstrap", "second"]
"""Who proposes; the second model is the one that must agree."""

COSTS = ("gpu_hours", "hours", "gigabytes", "dollars")
"""The fields of a stage that are its cost."""


def plan(recipe: RStarMath, rounds: Sequence[Assumptions]) -> list[Stage]:
    """Every stage of the recipe, in order. `rounds[n - 1]` is assumed of round n, the last of all that follow.

    Round 0 is the evaluation of the base. Raises `PonderosaError` for a model whose size nothing says, and for a reward
    model whose data nothing is assumed of.
    """
    if recipe.reward_model != "ppm":
        raise PonderosaError(
            f"a plan knows the data of a PPM, not of {recipe.reward_model}: plan it with --set reward_model=ppm, and "
            "add what its own data cost"
        )
    first = rounds[0]
    stages = list(_evaluation(recipe, first, 0))
    rows = pairs = 0.0
    for number, settings in enumerate(recipe.rounds, start=1):
        a = rounds[min(number, len(rounds)) - 1]
        searched, solved, trees = _searches(recipe, settings, a, number)
        stages += searched
        taken = solved if recipe.data.verified else float(settings.problems)
        made = taken * recipe.data.top * a.filled, trees * a.pairs
        rows = made[0] + (rows if recipe.data.history else 0.0)
        pairs = made[1] + (pairs if recipe.data.pair_history else 0.0)
        gpus = recipe.workers.training
        if recipe.data.mutual:
            stages.append(_agreement(number, recipe.data.mutual, made[0], a, gpus))
        if recipe.update != "dpo":
            row = a.question_tokens + a.depth * a.step_tokens
            stages.append(_fit(number, "SFT", recipe.sft, rows, made[0], row, a, gpus))
        if recipe.update != "sft":
            both = 2 * (a.question_tokens + (a.depth + 1) / 2 * a.step_tokens)
            stages.append(_fit(number, "DPO", recipe.dpo, made[1], 0, both, a, gpus))
        stages.append(_fit(number, "PPM", recipe.ppm, pairs, made[1], a.pair_tokens, a, gpus))
        stages += _evaluation(recipe, a, number)
    return stages


def plan_evaluation(run: EvalRun, problems: int, a: Assumptions) -> list[Stage]:
    """Every search of an evaluation on `problems`, those of dev included; the trees that vote as one stage.

    Raises `PonderosaError` for a method whose cost does not follow from the shape of trees.
    """
    found: dict[str, tuple[Work, str]] = {}
    for name, shard in run.searches().items():
        method = name.rpartition("-")[0]
        label = f"{max(run.budgets)} trees" if method == "trees" else name
        rewarded = shard.reward is not None
        if shard.kind == "mcts":
            settings = MCTSSettings(**shard.settings)
            work, how = _tree(a, settings, settings.rollouts, rewarded)
        elif shard.kind in CHAINS:
            work, how = _chains(a, CHAINS[shard.kind](shard.settings), rewarded)
        else:
            raise PonderosaError(f"there is no estimate for {method}: leave it out, or measure it on a few problems")
        earlier = found[label][0] if label in found else Work()
        found[label] = (earlier + work * problems, how)
    gpus = run.workers.processes
    return [_stage(None, name, work, f"{problems:,} x {how}", a, gpus) for name, (work, how) in found.items()]


CHAINS = {
    "sample": lambda settings: settings["n"],
    "pooled": lambda settings: settings["n"],
    "beam": lambda settings: settings["width"] * settings["candidates"],
    "particles": lambda settings: settings["particles"],
    "revision": lambda settings: settings["attempts"],
    "long_chain": lambda settings: settings["waits"] + 1,
}
"""Searches that cost what so many chains cost, at most."""


def total(stages: Sequence[Stage]) -> dict[str, float]:
    """Sums of what stages cost."""
    return {name: sum(getattr(stage, name) for stage in stages) for name in COSTS} | asdict(
        sum((stage.work for stage in stages), Work())
    )


def expansions(a: Assumptions, rollouts: float) -> float:
    """Nodes whose next steps are drawn, in a tree: all steps of the first rollout, and of each other its fresh ones."""
    return a.depth * (1 + (rollouts - 1) * a.fresh)


def candidates(a: Assumptions, settings: MCTSSettings) -> float:
    """Samples drawn in an expansion, on average: one expansion in `depth` draws answers."""
    at_answer = settings.answer_candidates or settings.candidates
    return settings.candidates + (at_answer - settings.candidates) / a.depth


def _tree(a: Assumptions, settings: MCTSSettings, rollouts: int, rewarded: bool) -> tuple[Work, str]:
    """A problem's tree."""
    expanded, drawn = expansions(a, rollouts), candidates(a, settings)
    nodes = expanded * drawn * a.distinct
    work = Work(
        generated=expanded * drawn * a.step_tokens,
        read=a.question_tokens + expanded * a.step_tokens,
        scored=a.question_tokens + nodes * a.step_tokens if rewarded else 0.0,
        nodes=nodes,
        executions=nodes * a.executions,
    )
    return work, f"{expanded:.1f} expansions x {drawn:.1f} candidates x {a.step_tokens:.0f} tokens"


def _chains(a: Assumptions, count: int, rewarded: bool) -> tuple[Work, str]:
    """Solutions of a problem, each from the beginning to its end."""
    steps = count * a.depth
    work = Work(
        generated=steps * a.step_tokens,
        read=a.question_tokens,
        scored=a.question_tokens + steps * a.step_tokens if rewarded else 0.0,
        nodes=steps,
        executions=steps * a.executions,
    )
    return work, f"{count} chains x {a.depth:.1f} steps x {a.step_tokens:.0f} tokens"


def _searches(
    recipe: RStarMath, settings: RoundSettings, a: Assumptions, number: int
) -> tuple[list[Stage], float, float]:
    """The round's search and its retries; how many problems they solve, and how many trees they make."""
    search = replace(recipe.search, candidates=settings.candidates or recipe.search.candidates)
    stages, solved, trees = [], 0.0, 0.0
    left, share = float(settings.problems), a.solved
    for index, rollouts in enumerate((settings.rollouts, *settings.retries)):
        work, how = _tree(a, search, rollouts, settings.reward and number > 1)
        name = f"retry {index}" if index else "search"
        model: Model = "bootstrap" if number == 1 and recipe.bootstrap is not None else "policy"
        stages.append(
            _stage(number, name, work * left, f"{left:,.0f} x {how}", a, recipe.workers.training, model=model)
        )
        solved, trees = solved + left * share, trees + left
        left, share = left * (1 - share), a.retry_solved
    return stages, solved, trees


def _agreement(number: int, settings: MutualFilter, rows: float, a: Assumptions, gpus: int) -> Stage:
    """What a second model makes of the beginnings of the round's trajectories."""
    asked = settings.completions
    trajectory = a.depth * a.step_tokens
    ends, begun = asked.samples * len(asked.prefixes), sum(asked.prefixes)
    left = asked.samples * (len(asked.prefixes) - begun)  # whole trajectories
    work = Work(
        generated=left * trajectory,
        read=a.question_tokens + begun * trajectory,
        nodes=left * a.depth,
        executions=ends * a.executions,
    )
    how = f"{rows:,.0f} x {ends} ends x {left / max(ends, 1):.2f} of {trajectory:.0f} tokens"
    return _stage(number, "agreement", work * rows, how, a, gpus, model="second")


def _fit(
    number: int, name: str, settings: FitSettings, rows: float, new: float, tokens: float, a: Assumptions, gpus: int
) -> Stage:
    """A training on `rows`, of which the round wrote the `new` ones, of so many `tokens`; its checkpoint.

    With LoRA the frozen weights have no gradients; by DPO the reference model reads all that the policy does.
    """
    epochs = settings.epochs_of(round(rows))
    size = a.size("reward" if name == "PPM" else "policy")
    passes = 6 + 2 * settings.gradient_checkpointing - 2 * bool(settings.lora) + 2 * (name == "DPO")
    seconds = passes * size * rows * tokens * epochs / (a.accelerator.flops * a.training)
    gigabytes = (size * (2 if settings.save_precision == "bfloat16" else 4) + new * tokens * CHARACTERS) / 1e9
    what = "rows" if name == "SFT" else "pairs"
    gpus = a.gpus or gpus
    return Stage(
        number,
        name,
        Work(trained=rows * tokens * epochs),
        f"{rows:,.0f} {what} x {tokens:.0f} tokens x {epochs:.3g} epochs",
        seconds / 3600,
        seconds / 3600 / gpus,
        gigabytes,
        seconds / 3600 * a.accelerator.price,
    )


def _evaluation(recipe: RStarMath, a: Assumptions, number: int) -> list[Stage]:
    """What `evolution.evaluation.search_held_out` asks for."""
    e, search = recipe.evaluation, recipe.search
    last = number == len(recipe.rounds)
    sampled, searched = (e.final, e.final) if last else (e.sampled, e.searched if number else 0)
    dev = e.dev if last else 0
    greedy, _ = _chains(a, 1, rewarded=False)
    samples, _ = _chains(a, e.samples, rewarded=number > 0)
    guided, _ = _tree(a, search, e.rollouts, rewarded=True)
    probed, _ = _tree(a, search, e.probe_rollouts, rewarded=False)
    work = (
        greedy * (e.test + dev)
        + samples * (sampled + dev)
        + guided * (searched + (dev if searched else 0))
        + probed * e.probe
    )
    how = (
        f"{e.test + dev} greedy, {sampled + dev} x {e.samples} samples, "
        f"{searched + (dev if searched else 0)} trees of {e.rollouts} rollouts, {e.probe} of {e.probe_rollouts}"
    )
    return [_stage(number, "evaluation", work, how, a, recipe.workers.training)] if work.generated else []


def _stage(
    number: int | None, name: str, work: Work, how: str, a: Assumptions, gpus: int, *, model: Model = "policy"
) -> Stage:
    """What a search costs: the tokens of the `model` that proposes, those of the reward model, and at least the time of
    its programs.
    """
    gpu, gpus, size = a.accelerator, a.gpus or gpus, a.size(model)
    rate = a.tokens_per_s if model == "policy" else 0.0
    if model == "bootstrap":
        gpu, gpus, rate = GPUS[a.bootstrap_gpu], a.bootstrap_gpus, a.bootstrap_tokens_per_s
    generated = work.generated / rate if rate else 2 * size * work.generated / (gpu.bandwidth * a.batch * a.busy)
    read = 2 * (size * work.read + (a.size("reward") if work.scored else 0.0) * work.scored)
    hours = (generated + read / (gpu.flops * a.prefill * a.busy)) / 3600
    return Stage(
        number,
        name,
        work,
        how,
        hours,
        max(hours / gpus, work.executions / a.executions_per_s / 3600),
        work.nodes * a.node_bytes / 1e9,
        hours * gpu.price,
    )


def to_json(stages: Sequence[Stage]) -> list[dict[str, Any]]:
    """Stages as JSON values, each flat."""
    records = [asdict(stage) for stage in stages]
    return [record | record.pop("work") for record in records]
