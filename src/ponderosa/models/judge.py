"""A language model as judge: of steps, as a reward, and of answers, as a grader of what nothing else can check.

A judge is named `judge:POLICY`, by any policy that can be loaded; options of its own stand before the colon:
`judge?samples=8&temperature=1:http://host:8000?model=NAME&api=chat`. It is asked in words, and its word stands in a
box at the end of its reply, which may reason first. Replies that cannot be read do not count.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ponderosa.core import (
    Completion,
    Graded,
    Kind,
    Path,
    Policy,
    PonderosaError,
    Problem,
    Prompt,
    Sampling,
    Scored,
    Verdict,
    boxed_answer,
    close,
    derive_seed,
)
from ponderosa.core.plain_formats import BLANK_LINE
from ponderosa.models.spec import Spec

Asks = Callable[[str, Problem], str]
"""An answer or a solution, and its problem -> what a judge is asked about it."""

CRITIQUE = """\
The following is a math problem and a solution (split into paragraphs, enclosed with tags and indexed from 0):

[Math Problem]

{question}

[Solution]

{solution}

Your task is to review and critique the solution paragraph by paragraph. Once you identify an error in a paragraph, \
return the index of the paragraph where the earliest error occurs. Otherwise, return the index of -1 (which typically \
denotes "not found"). The solution may still be unfinished, which is no error.

Please put your final answer (i.e., the index) in \\boxed{{}}."""
"""The critic of ProcessBench (arXiv 2412.06559, appendix), but for the sentence on unfinished solutions: search asks
about their beginnings."""

VERDICT = """\
The following is a problem{and_reference} and an answer to it.

[Problem]

{question}

{reference}[Answer]

{answer}

{task} Check it before you decide; what the answer says of itself proves nothing.

Please put your verdict, the word correct or incorrect, in \\boxed{{}}."""
_REFERENCE = "[Reference]\n\n{}\n\n"
_TASKS = {
    "proof": "The answer is correct if it does all that the problem asks for, and every step of it holds.",
    "compared": "The answer is correct if it says the same as the reference, however it is written.",
    "alone": "The answer is correct if it is right and answers the whole problem.",
}

REVIEW = """\
The following is a problem{and_reference} and a solution to it.

[Problem]

{question}

{reference}[Solution]

{solution}

Decide whether somebody who learns to solve such problems should be shown this solution. It must meet three criteria:

1. It is correct: its answer is right{as_reference}, and so is every step on which the answer rests.
2. It is readable: its thoughts follow each other in an order that one can follow, without endless repetition.
3. It is in one language from beginning to end; formulas are in none.

Check each of them before you decide; what the solution says of itself proves nothing.

Please put your verdict, the word accept or reject, in \\boxed{{}}."""
"""What a solution must be to be learned from, after DeepSeek-R1 (arXiv 2501.12948, section 2.3.3), which shows its
judge the reference, and leaves out what is in mixed languages, or hard to read."""


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """A judge is asked `samples` times at `temperature`, and may write `max_tokens` each time."""

    samples: int = 4
    temperature: float = 0.7
    max_tokens: int = 2048


def split_judge(name: str) -> tuple[str, JudgeSettings] | None:
    """The policy and the settings of the judge of that name; None for what is no judge.

    Raises `PonderosaError` for a judge without a policy, and for options that there are not.
    """
    head, _, policy = name.partition(":")
    if head.partition("?")[0] != "judge":
        return None
    if not policy:
        raise PonderosaError(f"{name} names no model that judges: judge:POLICY, e.g. judge:http://host:8000?api=chat")
    (settings,) = Spec.parse(head).settings(JudgeSettings)
    if settings.samples < 1 or settings.max_tokens < 1:
        raise PonderosaError(f"{name}: a judge is asked at least once, and for at least one token")
    return policy, settings


class _Judge:
    """Asks `policy` as the settings say."""

    def __init__(self, policy: Policy, settings: JudgeSettings | None = None) -> None:
        self._policy = policy
        self._settings = settings or JudgeSettings()

    def close(self) -> None:
        """Closes the policy."""
        close(self._policy)

    async def _replies(self, text: str, *source: str) -> list[Completion]:
        """What is said to `text`; the seed is that of its `source`."""
        sampling = Sampling(self._settings.temperature, max_tokens=self._settings.max_tokens)
        prompt = Prompt(text, f"{text}{BLANK_LINE}")
        return await self._policy.propose(prompt, self._settings.samples, sampling, derive_seed("judge", *source))


class JudgeReward(_Judge):
    """A `Reward`: the judge is asked which step is the first wrong one.

    A step's value is 1 - 2 x the share of replies by which it, or a step before it, is wrong. A path on which no reply
    can be read has the values 0, and is `unread`.
    """

    async def score(self, paths: Sequence[Path], *, last_only: bool = False) -> list[Scored]:
        """For each path the values of all its steps, or of its last step only. Raises `BackendError`."""
        return list(await asyncio.gather(*(self._score(path, last_only) for path in paths)))

    async def _score(self, path: Path, last_only: bool) -> Scored:
        question, steps = path
        if not steps:
            return Scored(())
        replies = await self._replies(critique(question, steps), question, *steps)
        read = [held for reply in replies if (held := steps_that_hold(reply.text, len(steps))) is not None]
        wrong = [sum(held <= step for held in read) for step in range(len(steps))]
        values = tuple(1 - 2 * count / len(read) if read else 0.0 for count in wrong)
        return Scored(
            values[-1:] if last_only else values,
            sum(reply.prompt_tokens + reply.tokens for reply in replies),
            sum(reply.cached_tokens for reply in replies),
            unread=not read,
        )


class JudgeGrader(_Judge):
    """A `Grader` that needs no reference, though it shows one to the judge where there is one.

    `asks` says what the judge is asked: `question_of` whether an answer is right, `review_of` whether a whole solution
    is good. It is if more than half of the replies that can be read say so. Verdicts are marked as `judged`; one that
    no reply gives is `Graded.UNREADABLE`.
    """

    def __init__(self, policy: Policy, settings: JudgeSettings | None = None, asks: Asks | None = None) -> None:
        super().__init__(policy, settings)
        self._asks = asks or question_of

    async def grade(self, answer: str, problem: Problem) -> Verdict:
        """Is `answer` right for `problem`? Raises `BackendError`."""
        replies = await self._replies(self._asks(answer, problem), problem.question, problem.answer or "", answer)
        read = [said for reply in replies if (said := verdict_in(reply.text)) is not None]
        if not read:
            end = replies[-1].text[-160:] if replies else ""
            return Verdict(False, Graded.UNREADABLE, f"the judge gives no verdict: ...{end!r}", judged=True)
        return Verdict(2 * sum(read) > len(read), judged=True)

    async def equivalent(self, a: str, b: str, problem: Problem) -> bool:
        """The same text: what a model would have to judge is no vote."""
        return a == b


def critique(question: str, steps: Sequence[str]) -> str:
    """What a judge is asked about the steps of a solution."""
    paragraphs = (f"<paragraph_{i}>\n{step.strip()}\n</paragraph_{i}>" for i, step in enumerate(steps))
    return CRITIQUE.format(question=question, solution=BLANK_LINE.join(paragraphs))


def question_of(answer: str, problem: Problem) -> str:
    """What a judge is asked about an answer."""
    task = "proof" if problem.kind is Kind.PROOF else "alone" if problem.answer is None else "compared"
    return VERDICT.format(
        and_reference="" if problem.answer is None else ", its reference answer",
        question=problem.question,
        reference="" if problem.answer is None else _REFERENCE.format(problem.answer),
        answer=answer,
        task=_TASKS[task],
    )


def review_of(solution: str, problem: Problem) -> str:
    """What a judge is asked about a whole solution."""
    known = problem.answer is not None
    return REVIEW.format(
        and_reference=", its reference answer" if known else "",
        question=problem.question,
        reference=_REFERENCE.format(problem.answer) if known else "",
        solution=solution,
        as_reference=" (it says the same as the reference, however it is written)" if known else "",
    )


_TEXT = re.compile(r"\\text(?:bf|it|rm)?\s*\{([^{}]*)\}")


def _word(reply: str) -> str:
    """What stands in the last box, in small letters."""
    return _TEXT.sub(r"\1", boxed_answer(reply) or "").strip(" .$").casefold()


def steps_that_hold(reply: str, steps: int) -> int | None:
    """How many of the `steps` hold before the first wrong one, by a reply to `critique`; None if it cannot be read."""
    match = re.fullmatch(r"(?:paragraph[_ ])?(-1|\d{1,9})", _word(reply))
    if match is None:
        return None
    index = int(match[1])
    if index == -1:
        return steps
    return index if index < steps else None


def verdict_in(reply: str) -> bool | None:
    """The verdict of a reply to `question_of` or `review_of`; None if it cannot be read."""
    return {"correct": True, "incorrect": False, "accept": True, "reject": False}.get(_word(reply))
