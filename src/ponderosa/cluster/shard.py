"""A shard of a stage: its problems, the search, and where the forest goes. Plain values, which cross processes."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ponderosa.core import Kind, PonderosaError, Problem
from ponderosa.forest.parquet import atomic
from ponderosa.problems import read_problems, write_problems

SOLUTION = "solution"
"""Where in a problem's `meta` the solution stands about which a second model is asked."""
SHOWN = "shown"
"""Where the solved problems stand that a policy is shown which writes new ones: pairs of question and answer."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Lines [start, stop) of the problem file `problems`, searched into `out` (Parquet).

    `kind` names a search (see `search.find_search`), and `settings` are its settings. Of kind "score" nothing is
    searched: the trees in the forest file `problems` get their steps scored anew. Of kind "agreement" the policy is a
    second model that is asked about solutions: the problems' answers are theirs, and `SOLUTION` their texts; of
    kind "writing" it writes new problems from those `SHOWN`. `judged` searches learn from the known answers (data are
    made); others never see them. A search that continues others' goes on from the trees of `over`, a forest, where that
    has one of the problem. `index` is the tree's number among several of one problem.
    The journal lies beside `out` until that is written.
    """

    policy: str | None
    kind: str
    problems: str = ""
    start: int = 0
    stop: int = 0
    out: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    reward: str | None = None
    discriminator: str | None = None
    outcome_reward: str | None = None
    judged: bool = False
    seed: int = 0
    index: int = 0
    concurrency: int = 256
    execution: dict[str, Any] = field(default_factory=dict)
    """`ExecutionSettings` as JSON; empty for the defaults."""
    format: str = "rstar"
    few_shot: str = ""
    grader: str | None = None
    """As `models.load_grader` takes it; None for that of each problem's kind."""
    budget: dict[str, Any] = field(default_factory=dict)
    over: str = ""

    @property
    def journal(self) -> Path:
        return Path(self.out).with_suffix(".journal")

    @property
    def done(self) -> bool:
        return Path(self.out).exists()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class ShardProgress:
    """Counts so far: problems ended, and solved where a judge knows; tokens (replayed ones too) and executions.

    `note` is what a person should know meanwhile, e.g. that a server is waited for.
    """

    done: int = 0
    solved: int = 0
    tokens: int = 0
    executions: int = 0
    note: str = ""

    def __add__(self, other: "ShardProgress") -> "ShardProgress":
        return ShardProgress(
            self.done + other.done,
            self.solved + other.solved,
            self.tokens + other.tokens,
            self.executions + other.executions,
            self.note or other.note,
        )


def spread(template: Shard, folder: Path, problems: Sequence[Problem], size: int, share: int = 1) -> list[Shard]:
    """The shards, of at most `size` problems, that search `problems` as `template` says, into `folder`.

    There are as many for each of the `share` processes that they fall to; a folder that was begun keeps the shards that
    it was begun with. Their trees are in the problems' order.

    Raises `PonderosaError` if the folder was begun with other problems.
    """
    if not problems:
        return []
    listed, split = folder / "problems.jsonl", folder / "shards.json"
    if not listed.exists():
        write_problems(listed, problems)
    elif [_asked(problem) for problem in read_problems(listed)] != [_asked(problem) for problem in problems]:
        raise PonderosaError(f"{folder} was begun with other problems: choose another --out")
    if not split.exists():
        with atomic(split) as part:
            part.write_text(json.dumps(shards(len(problems), size, share)), encoding="utf-8")
    ranges: list[tuple[int, int]] = json.loads(split.read_text(encoding="utf-8"))
    return [
        replace(template, problems=str(listed), start=start, stop=stop, out=str(folder / f"shard-{number:05}.parquet"))
        for number, (start, stop) in enumerate(ranges)
    ]


def _asked(problem: Problem) -> tuple[str, str, str | None, Kind]:
    return problem.id, problem.question, problem.answer, problem.kind


def shards(count: int, size: int, share: int = 1) -> Sequence[tuple[int, int]]:
    """[start, stop) ranges of at most `size` that cover `count` lines, as even as they can be; their number is a
    multiple of `share` where there are that many lines.
    """
    parts = max(1, min(count, share * -(-count // (size * share))))
    return [(count * i // parts, count * (i + 1) // parts) for i in range(parts)]
