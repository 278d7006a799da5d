"""New problems from solved ones, with the answers on which independent trajectories agree.

A policy writes them (`search.writing`), what is no news or stands in what is measured on is left out, and each that
remains is solved several times over. No answer is known: it is kept if enough of the trajectories come to it, which is
self-consistency (arXiv 2203.11171) as a label, as in "Large Language Models Can Self-Improve" (arXiv 2210.11610). What
most trajectories get wrong in the same way is kept with a wrong answer; `benchmarks/synthesis.py` measures how often.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from ponderosa.cluster import Shard, WorkerPool
from ponderosa.cluster.shard import SHOWN, spread
from ponderosa.core import Grader, Kind, Outcome, PonderosaError, Problem, Tree, derive_seed
from ponderosa.evolution.grading import open_grader
from ponderosa.evolution.run import FolderSettings, Observer, run_shards, write_json
from ponderosa.evolution.searching import SearchRun
from ponderosa.evolution.settings import Part, known
from ponderosa.execution import make_executor
from ponderosa.forest import read_forest
from ponderosa.problems import Benchmarks, ContaminationSettings, Decontamination, decontaminated, write_problems
from ponderosa.problems.spelling import words
from ponderosa.search import ANSWER_RULES, WRITING, WritingSettings, merge_answers

SETTINGS = "synthesis.yaml"
PROBLEMS = "problems.jsonl"
REPORT = "report.json"
_ROUNDING = 1e-9


class KeepSettings(Part):
    """Which new problems are kept: those with an answer that at least the share `agreement` of all trajectories gives,
    the ones without an answer included, and at least `margin` more than give the next one.

    Where the share is `too_easy` or more the problem teaches nothing and is left out; by default none is too easy.
    """

    agreement: float = Field(0.6, gt=0, le=1)
    margin: float = Field(0.2, ge=0, le=1)
    too_easy: float | None = Field(None, gt=0)


class SynthesisRun(FolderSettings):
    """What a synthesis depends on. `writer` writes, shown so many `shown` solved problems, and `solving` is the search
    that answers: its samples are the trajectories, or, of other searches, its trees.
    """

    FILE = SETTINGS
    COMMAND = "problems synthesize"

    writer: str
    writing: Annotated[WritingSettings, known(WritingSettings)] = WritingSettings()
    shown: int = Field(3, ge=1)
    solving: SearchRun
    keep: KeepSettings = KeepSettings()
    contamination: Annotated[ContaminationSettings, known(ContaminationSettings)] = ContaminationSettings()
    seed: int = 0

    @model_validator(mode="after")
    def _is_independent(self) -> "SynthesisRun":
        if self.solving.judged:
            raise ValueError("nobody knows the answers of new problems: `solving` cannot be judged")
        self.solving.check()
        return self


@dataclass(frozen=True, slots=True)
class Votes:
    """What independent trajectories say of a problem: how many there were, and by answer how many came to it."""

    trajectories: int
    counts: Mapping[str, int]

    @property
    def ranked(self) -> list[tuple[str, float]]:
        """Answers and their shares of all trajectories, the most frequent first."""
        return [(answer, count / max(1, self.trajectories)) for answer, count in Counter(self.counts).most_common()]

    def verdict(self, settings: KeepSettings) -> str:
        """`kept`, or why not: `no_answer`, `disagreement`, `near_tie` or `too_easy`."""
        ranked = self.ranked
        if not ranked:
            return "no_answer"
        share = ranked[0][1]
        next_one = ranked[1][1] if len(ranked) > 1 else 0.0
        if share < settings.agreement - _ROUNDING:
            return "disagreement"
        if share - next_one < settings.margin - _ROUNDING:
            return "near_tie"
        if settings.too_easy is not None and share >= settings.too_easy - _ROUNDING:
            return "too_easy"
        return "kept"


async def synthesize(
    path: Path,
    run: SynthesisRun,
    solved: Sequence[Problem],
    against: Mapping[str, Sequence[Problem]],
    observer: Observer,
) -> dict[str, Any]:
    """Writes new problems like those `solved` to `path`/problems.jsonl, or goes on with that; returns the report, which
    is kept beside it. `against` are problems, by name, in which none of the new ones may stand.

    Raises `PonderosaError`; the same call goes on from what is finished.
    """
    usable = [problem for problem in solved if problem.kind is Kind.MATH and problem.answer is not None]
    if not usable:
        raise PonderosaError("new problems are written from solved ones whose answers are values: there is none")
    with run.claim(path):
        async with WorkerPool(run.workers.processes, path / "logs") as pool:
            folder = path / "proposals"
            await run_shards(pool, _writing(run, usable, folder), "writing", observer)
            proposals = list(_proposals(folder))
            found = Decontamination()
            fresh, counts = _fresh(proposals, usable, against, run.contamination, found)
            if not fresh:
                raise PonderosaError(f"none of {counts['written']} proposals is a new problem: see {folder}")
            folders = [path / "solutions" / f"tree-{tree}" for tree in range(run.solving.trees)]
            work = [
                shard
                for tree, folder in enumerate(folders)
                for shard in spread(run.solving.template(tree), folder, fresh, run.workers.shard, run.workers.processes)
            ]
            await run_shards(pool, work, "solving", observer)
        votes = await votes_of(folders, {problem.id: problem for problem in fresh}, run.solving.grader, path)
    verdicts = {problem.id: votes[problem.id].verdict(run.keep) for problem in fresh}
    kept = [_kept(problem, votes[problem.id]) for problem in fresh if verdicts[problem.id] == "kept"]
    write_problems(path / PROBLEMS, kept)
    report = {
        "proposals": len(proposals),
        **counts,
        **{why: count for why, count in sorted(Counter(verdicts.values()).items()) if why != "kept"},
        "kept": len(kept),
        "agreement": _histogram(votes.values()),
        "contamination": found.counts(),
        "trajectories": sum(one.trajectories for one in votes.values()),
        "tokens": {"writing": _tokens([path / "proposals"]), "solving": _tokens(folders)},
    }
    write_json(path / REPORT, report)
    return report


def _writing(run: SynthesisRun, solved: Sequence[Problem], folder: Path) -> list[Shard]:
    """The shards that ask for new problems, each solved one with others that are shown beside it."""
    template = Shard(
        run.writer,
        WRITING,
        settings=asdict(run.writing),
        seed=run.seed,
        concurrency=run.workers.concurrency,
        format=run.solving.format,
        few_shot=run.solving.few_shot,
    )
    asked = []
    for problem in solved:
        rng = random.Random(derive_seed(run.seed, "shown", problem.id))
        others = [other for other in rng.sample(solved, min(run.shown, len(solved))) if other is not problem]
        shown = [(one.question, one.answer) for one in [*others[: run.shown - 1], problem]]
        asked.append(Problem(problem.id, problem.question, problem.answer, {SHOWN: shown}))
    return spread(template, folder, asked, run.workers.shard, run.workers.processes)


def _proposals(folder: Path) -> Iterator[tuple[str, str | None]]:
    """The solved problem that each proposal was made from, and its question; None where none was written."""
    for tree in read_forest(folder):
        for end in tree.rollouts:
            yield tree.problem_id, tree.nodes[end].answer


def _fresh(
    proposals: Sequence[tuple[str, str | None]],
    solved: Sequence[Problem],
    against: Mapping[str, Sequence[Problem]],
    contamination: ContaminationSettings,
    found: Decontamination,
) -> tuple[list[Problem], dict[str, int]]:
    """The proposals that are news, in order, and how many were written, were there already, and stand in `against`."""
    seen = {" ".join(words(problem.question)) for problem in solved}
    fresh = []
    written = [(source, question) for source, question in proposals if question]
    for source, question in written:
        spelled = " ".join(words(question))
        if spelled not in seen:
            seen.add(spelled)
            name = blake2b(spelled.encode(), digest_size=8).hexdigest()
            fresh.append(Problem(f"new-{name}", question, meta={"from": source}))
    kept = list(decontaminated(fresh, [Benchmarks(against, contamination)], found))
    counts = {
        "written": len(written),
        "duplicates": len(written) - len(fresh),
        "contaminated": len(found.matches),
        "solved": len(kept),
    }
    return kept, counts


async def votes_of(
    folders: Sequence[Path], problems: Mapping[str, Problem], grader: str | None, run: Path
) -> dict[str, Votes]:
    """By problem what its trajectories say; answers that are the same value count as one."""
    found: dict[str, list[Tree]] = {}
    for folder in folders:
        for tree in read_forest(folder):
            found.setdefault(tree.problem_id, []).append(tree)
    async with make_executor() as executor, open_grader(grader, executor, run) as opened:
        return {id: await _vote(trees, problems[id], opened) for id, trees in found.items()}


async def _vote(trees: Sequence[Tree], problem: Problem, grader: Grader) -> Votes:
    equivalent = partial(grader.equivalent, problem=problem)
    if trees[0].method == "sample":
        ends = [(tree.nodes[end].outcome, tree.nodes[end].answer) for tree in trees for end in tree.rollouts]
        answers = [answer for outcome, answer in ends if outcome is Outcome.ANSWERED and answer]
        trajectories = len(ends)
    else:  # what a tree's rollouts find depends on one another: each tree has one voice
        voices = [await ANSWER_RULES["majority"](tree, equivalent) for tree in trees]
        answers, trajectories = [voice.answer for voice in voices if voice is not None], len(trees)
    return Votes(trajectories, Counter(await merge_answers(answers, equivalent)))


def _kept(problem: Problem, votes: Votes) -> Problem:
    answer, share = votes.ranked[0]
    meta = {**problem.meta, "agreement": round(share, 4), "trajectories": votes.trajectories}
    return Problem(problem.id, problem.question, answer, meta)


def _histogram(votes: Iterable[Votes]) -> dict[str, int]:
    """How many problems have their most frequent answer from what share of the trajectories, in tenths."""
    shares = [one.ranked[0][1] if one.ranked else 0.0 for one in votes]
    return dict(sorted(Counter(f"{int(share * 10 + 1e-9) / 10:.1f}" for share in shares).items()))


def _tokens(folders: Sequence[Path]) -> int:
    return sum(tree.usage.generated_tokens for folder in folders for tree in read_forest(folder))
