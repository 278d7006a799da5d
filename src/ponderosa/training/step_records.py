"""A record for each step of a training by reinforcement, on disk as it goes, and what they come to."""

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ponderosa.forest.parquet import atomic
from ponderosa.training.settings import OnProgress, Progress

if TYPE_CHECKING:
    from ponderosa.training.rollout_source import RolloutSource

Record = dict[str, Any]
_STILL = 10
"""Steps in a row without a group that teaches anything, after which something is said."""


class StepRecords(TrainerCallback):
    """Writes the records to `path` and reports progress. Where a training goes on from `state`, its records do.

    Figures of a record: `reward` and `rewards` (its kinds), means over the rollouts; `length`, the mean number of
    tokens that the policy wrote; `zero_variance`, `cut`: see `GRPOReport`; `kl` in nats a token, `entropy` likewise;
    counts of the step's rollouts.
    """

    def __init__(
        self, path: Path, rollouts: "RolloutSource", state: Path | None, on_progress: OnProgress | None, *, main: bool
    ) -> None:
        self._path = path
        self._rollouts = rollouts
        self._on_progress = on_progress if main else None
        self._main = main
        self.records = _until(path, state) if state is not None else []
        self._earlier = len(self.records)
        self._last = time.monotonic()
        if main:
            with atomic(path) as part:
                part.write_text("".join(_line(record) for record in self.records), encoding="utf-8")

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._last = time.monotonic()

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        logs = kwargs["logs"]
        if "loss" not in logs:
            return
        now = time.monotonic()
        record = self._record(state.global_step, logs, now - self._last)
        self._last = now
        self.records.append(record)
        if self._main:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_line(record))
        if self._on_progress:
            self._on_progress(self._progress(state))

    def _record(self, step: int, logs: dict[str, Any], seconds: float) -> Record:
        counts = self._rollouts.take_counts()
        drawn = counts["rollouts"]
        return {
            "step": step,
            "loss": logs["loss"],
            "reward": logs.get("reward"),
            "rewards": {label: logs.get(f"rewards/{label}/mean") for label in self._rollouts.labels},
            "zero_variance": logs.get("frac_reward_zero_std"),
            "kl": logs.get("kl"),
            "entropy": logs.get("entropy"),
            "clipped": logs.get("clip_ratio/region_mean"),
            "gradient": logs.get("grad_norm"),
            "learning_rate": logs.get("learning_rate"),
            "length": counts["generated"] / drawn if drawn else None,
            "cut": counts["cut"] / drawn if drawn else None,
            "seconds": seconds,
            "counts": dict(counts),
        }

    def _progress(self, state: TrainerState) -> Progress:
        here = self.records[self._earlier :]
        elapsed = sum(record["seconds"] for record in here)
        last = self.records[-1]
        figures = {label: value for label, value in last["rewards"].items() if value is not None}
        named = ("reward", "kl", "length", "zero_variance", "entropy", "cut")
        figures |= {name: last[name] for name in named if last[name] is not None}
        drawn = next(record for record in reversed(self.records) if record["length"] is not None)
        note = f"reward {drawn['reward'] or 0.0:.3f}, {drawn['length']:.0f} tokens"
        return Progress(
            step=state.global_step,
            steps=state.max_steps,
            loss=last["loss"],
            tokens=_total(self.records, "tokens"),
            tokens_per_s=_total(here, "tokens") / max(elapsed, 1e-9),
            seconds_left=elapsed / len(here) * (state.max_steps - state.global_step),
            note=", ".join([note, *warnings(self.records)]),
            figures=figures,
        )

    def summary(self) -> dict[str, Any]:
        """The fields of `GRPOReport` that are about steps."""
        records = self.records
        tenth = max(1, len(records) // 10)
        seconds = sum(record["seconds"] for record in records)
        rollouts = _total(records, "rollouts")
        return {
            "steps": records[-1]["step"],
            "rollouts": rollouts,
            "generated_tokens": _total(records, "generated"),
            "tokens": _total(records, "tokens"),
            "tokens_per_s": _total(records, "tokens") / max(seconds, 1e-9),
            "seconds": seconds,
            "executions": _total(records, "executions"),
            "reward_start": _mean([record["reward"] for record in records[:tenth]]),
            "reward_end": _mean([record["reward"] for record in records[-tenth:]]),
            "rewards_end": {
                label: _mean([record["rewards"][label] for record in records[-tenth:]])
                for label in records[-1]["rewards"]
            },
            "length_start": _mean([record["length"] for record in records[:tenth]]),
            "length_end": _mean([record["length"] for record in records[-tenth:]]),
            "zero_variance": _mean([record["zero_variance"] for record in records]),
            "cut": _total(records, "cut") / max(1, rollouts),
            "failed": _total(records, "failed"),
            "unmarked": _total(records, "unmarked"),
            "respelled": _total(records, "respelled"),
            "troubles": dict(troubles(sum((Counter(record["counts"]) for record in records), Counter()))),
            "warnings": tuple(warnings(records)),
        }


TROUBLE = "trouble/"
"""With it begin the counts of why there was no verdict."""


def troubles(counts: Mapping[str, int]) -> Counter[str]:
    """Of what is counted of rollouts why there was no verdict, and how often."""
    return Counter({name.removeprefix(TROUBLE): n for name, n in counts.items() if name.startswith(TROUBLE)})


def warnings(records: Sequence[Record]) -> list[str]:
    """What a person should know of a training that goes nowhere."""
    last = [record for record in records if record["zero_variance"] is not None][-_STILL:]
    still = [record for record in last if record["zero_variance"] == 1]
    if len(still) < _STILL and len(still) < len(records):
        return []
    reward = _mean([record["reward"] for record in still])
    return [
        f"in the last {len(still)} steps all rollouts of every problem were worth the same (reward {reward:.2f}), and "
        "nothing was learned: give problems that are neither too hard nor too easy, or raise `group` or "
        "`rollout.temperature`"
    ]


def _until(path: Path, state: Path) -> list[Record]:
    """The records up to the step at which `state` was saved."""
    step = json.loads((state / "trainer_state.json").read_text(encoding="utf-8"))["global_step"]
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    records = []
    for line in lines:
        try:
            records.append(json.loads(line))
        except ValueError:  # the last, cut off by a kill
            break
    return [record for record in records if record["step"] <= step]


def _line(record: Record) -> str:
    return json.dumps(record) + "\n"


def _total(records: Sequence[Record], count: str) -> int:
    return sum(record["counts"].get(count, 0) for record in records)


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0
