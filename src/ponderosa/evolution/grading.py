"""Who says whether answers are right: the grader of each problem's kind or one that is named, and what they need."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

from ponderosa.cluster.worker import Models
from ponderosa.core import PROGRAM, PROOF, Executor, Grader, Kind, PonderosaError, Problem, close
from ponderosa.grading import MathGrader, ProblemGrader
from ponderosa.models import Asks, Journal, load_grader, split_judge

JOURNAL = "grading.journal"


@asynccontextmanager
async def open_grader(
    name: str | None, executor: Executor, folder: Path | None = None, asks: Asks | None = None
) -> AsyncIterator[Grader]:
    """The grader of that name; None for the one of each problem's kind, whose programs `executor` runs. It ends with
    this. A judge is asked what `asks` says (see `JudgeGrader`), and what it says is kept in a journal in the `folder`
    of a run, so that it is asked once. Raises `PonderosaError`.
    """
    if name is None:
        async with MathGrader() as math:
            yield ProblemGrader(math, executor)
    elif folder is None:
        loaded = load_grader(name, asks=asks)
        try:
            yield loaded
        finally:
            close(loaded)
    else:
        with Journal(folder / JOURNAL) as journal, closing(Models()) as models:
            yield models.grader(name, journal, asks)


FORMAT_OF = {Kind.PROOF: (PROOF, "a proof, all of which is its answer"), Kind.CODE: (PROGRAM, "solved by a program")}
"""By kind the only step format that gives such answers, and what they are."""


def check_format(problems: Iterable[Problem], format: str) -> None:
    """Raises `PonderosaError` for a problem in a step format that gives no answers of its kind."""
    named = format.partition("/")[0]  # what follows a slash is a variant
    for problem in problems:
        wanted, what = FORMAT_OF.get(problem.kind, (named, ""))
        if wanted != named:
            raise PonderosaError(f"problem {problem.id} is {what}: use --format {wanted}")


def check_gradable(problems: Sequence[Problem], grader: str | None, format: str) -> None:
    """Raises `PonderosaError` as `check_format`, and for a problem whose answers that grader cannot check."""
    check_format(problems, format)
    if grader is not None:
        return
    if format == PROOF:
        raise PonderosaError(f"what --format {PROOF} makes can only be judged: name a judge with --grader judge:POLICY")
    lacking = next((problem for problem in problems if not problem.checkable), None)
    if lacking is not None:
        missing = "tests" if lacking.kind is Kind.CODE else "answer to compare with"
        raise PonderosaError(
            f"problem {lacking.id} has no {missing}: give it one, or name a judge with --grader judge:POLICY"
        )


def judged_by(grader: str | None) -> str:
    """What is to be said wherever the word of a judge stands as if it were known; empty for other graders."""
    return "judged by a model, not checked" if grader and split_judge(grader) else ""
