"""What a rollout is worth: rules (DeepSeek-R1, arXiv 2501.12948, section 2.2.2), reward models, and a user's own.

Each reward is a number for a rollout, or None where no verdict was possible; such a rollout teaches nothing.
"""

import inspect
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ponderosa.core import (
    PYTHON,
    TAGS,
    BackendError,
    Ended,
    Graded,
    Grader,
    PonderosaError,
    Problem,
    Reward,
    Scored,
    StepFormat,
    Tags,
    answer_alone,
    find_attribute,
)
from ponderosa.search.concurrent import together
from ponderosa.training.languages import check_languages, language_share
from ponderosa.training.rollouts import Rollout

Mark = Callable[[Sequence[Rollout]], Awaitable[list[float | None]]]
"""What gives rollouts their rewards of one kind."""


class _Entry(BaseModel):
    """One reward of several, which are summed by `weight`. `name` is what it is called in the records."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weight: float = 1.0
    name: str = ""

    @property
    def label(self) -> str:
        kind: str = getattr(self, "kind")  # noqa: B009 - every entry has one, of its own type
        return self.name or kind


class AccuracyReward(_Entry):
    """1 for a right answer, 0 for a wrong one, none, and any to a problem that has nothing to check answers by."""

    kind: Literal["accuracy"] = "accuracy"


class FormatReward(_Entry):
    """1 where the tags of the step format (`core.TAGS`) stand in their order, each once; else 0."""

    kind: Literal["format"] = "format"


class LanguageReward(_Entry):
    """The share of the words of the reasoning that are of the problem's language, its `meta["language"]` or `language`
    (see `languages.language_share`), told from the others `among` which it is sought, by default from all.

    `share` is a function of one's own, `python:module:attribute`, called with the text and the language.
    """

    kind: Literal["language"] = "language"
    language: str = "en"
    among: tuple[str, ...] = ()
    share: str = ""


class LengthReward(_Entry):
    """DAPO's soft punishment of long answers (arXiv 2503.14476, equation 13): 0 up to `limit - margin` tokens that the
    policy wrote, -1 from `limit` on and where it was cut off, linear between.
    """

    kind: Literal["length"] = "length"
    limit: int = Field(ge=1)
    margin: int = Field(ge=1)


class ModelReward(_Entry):
    """The value in [-1, 1] that a reward model (see `models.load_reward`) gives the `answer` alone, with the question
    (see `core.answer_alone`), or the `whole` solution: helpfulness and harmlessness in DeepSeek-R1, section 2.3.4.

    Where there is nothing to read, no answer or no text at all, it is -1, so that nothing is better said than unsaid.
    """

    kind: Literal["model"] = "model"
    checkpoint: str
    reads: Literal["answer", "whole"] = "whole"

    @property
    def label(self) -> str:
        return self.name or f"model-{self.reads}"


class OwnReward(_Entry):
    """A function of one's own, `python:module:attribute`, which gives rollouts a number each, or None. It may be a
    coroutine. Options after `?` are passed by name.
    """

    kind: Literal["own"] = "own"
    function: str

    @property
    def label(self) -> str:
        return self.name or self.function.removeprefix(PYTHON).partition("?")[0].rpartition(":")[2]


RewardSettings = Annotated[
    AccuracyReward | FormatReward | LanguageReward | LengthReward | ModelReward | OwnReward,
    Field(discriminator="kind"),
]


@dataclass
class Means:
    """What rewards are reckoned with: the names of formats and models are resolved when a reward first needs them.

    `troubles` counts why there was no verdict.
    """

    format_name: str
    format: StepFormat
    grader: Grader
    load_reward: Callable[[str, StepFormat], Reward]
    by_reference: bool = True
    """Does the grader need something to check answers by? A judge does not."""
    troubles: dict[str, int] = field(default_factory=dict)

    def judges(self, problem: Problem) -> bool:
        """Can answers to the problem be graded?"""
        return problem.checkable or not self.by_reference

    def trouble(self, what: str) -> None:
        """Counts one more."""
        self.troubles[what] = self.troubles.get(what, 0) + 1

    @property
    def tags(self) -> Tags:
        """Raises `PonderosaError` for a format that has none."""
        if self.format_name not in TAGS:
            raise PonderosaError(
                f"the step format {self.format_name} has no tags: leave the format reward out, or choose one of "
                f"{', '.join(TAGS)}"
            )
        return TAGS[self.format_name]


def make_marks(settings: Sequence[RewardSettings], means: Means) -> dict[str, Mark]:
    """The rewards by their labels, in order. Raises `PonderosaError` for one that cannot be reckoned."""
    return {entry.label: _MAKERS[entry.kind](entry, means) for entry in settings}


def check_rewards(settings: Iterable[RewardSettings]) -> None:
    """Raises `PonderosaError` for functions that there are not, and for languages that cannot be told."""
    for entry in settings:
        if isinstance(entry, OwnReward):
            _function(entry)
        elif isinstance(entry, LanguageReward):
            _share(entry)


async def mark(rollouts: Sequence[Rollout], marks: Mapping[str, Mark]) -> list[dict[str, float | None]]:
    """All rewards of each rollout. Where one is missing all are: the rest of a sum would pass for the whole."""
    sound = [rollout for rollout in rollouts if not rollout.failed]
    columns = {label: await one(sound) for label, one in marks.items()}
    rows = iter(
        [
            dict.fromkeys(marks)
            if any(column[i] is None for column in columns.values())
            else {label: column[i] for label, column in columns.items()}
            for i in range(len(sound))
        ]
    )
    return [dict.fromkeys(marks) if rollout.failed else next(rows) for rollout in rollouts]


_NO_FAULT = (Graded.TOO_LONG,)
"""Where the grader gave no verdict because of what the answer is: it is wrong."""


def _accuracy(_: AccuracyReward, means: Means) -> Mark:
    async def mark_all(rollouts: Sequence[Rollout]) -> list[float | None]:
        return await together(_graded(rollout, means) for rollout in rollouts)

    return mark_all


async def _graded(rollout: Rollout, means: Means) -> float | None:
    if rollout.answer is None or rollout.outcome != "answered" or not means.judges(rollout.problem):
        return 0.0
    try:
        verdict = await means.grader.grade(rollout.answer, rollout.problem)
    except BackendError:
        means.trouble("grader failed")
        return None
    if verdict.status is Graded.OK or verdict.status in _NO_FAULT:
        return float(verdict.correct)
    means.trouble(f"grader: {verdict.status}")
    return None


def _format(_: FormatReward, means: Means) -> Mark:
    tags = means.tags

    async def mark_all(rollouts: Sequence[Rollout]) -> list[float | None]:
        return [float(tags.hold(rollout.text)) for rollout in rollouts]

    return mark_all


def _share(entry: LanguageReward) -> tuple[Any, dict[str, Any]]:
    if entry.share:
        return find_attribute(entry.share)
    check_languages((entry.language, *entry.among))
    return language_share, {"among": entry.among}


def _language(entry: LanguageReward, means: Means) -> Mark:
    share, options = _share(entry)
    tags = TAGS.get(means.format_name)

    async def mark_all(rollouts: Sequence[Rollout]) -> list[float | None]:
        texts = [tags.parts(rollout.text)[0] if tags else rollout.text for rollout in rollouts]
        spoken = [str(rollout.problem.meta.get("language", entry.language)) for rollout in rollouts]
        return [float(share(text, own, **options)) for text, own in zip(texts, spoken, strict=True)]

    return mark_all


def _length(entry: LengthReward, _: Means) -> Mark:
    async def mark_all(rollouts: Sequence[Rollout]) -> list[float | None]:
        return [soft_punishment(rollout, entry.limit, entry.margin) for rollout in rollouts]

    return mark_all


def soft_punishment(rollout: Rollout, limit: int, margin: int) -> float:
    """See `LengthReward`."""
    if rollout.turns and rollout.turns[-1].completion.ended is Ended.LENGTH:
        return -1.0
    return -min(1.0, max(0.0, (rollout.tokens - (limit - margin)) / margin))


def _model(entry: ModelReward, means: Means) -> Mark:
    model = means.load_reward(entry.checkpoint, means.format)

    def read(rollout: Rollout) -> tuple[str, ...]:
        if entry.reads == "whole":
            return rollout.steps if rollout.text.strip() else ()
        alone = answer_alone(means.format_name, rollout.steps, rollout.answer)
        return () if alone is None else (alone,)

    async def mark_all(rollouts: Sequence[Rollout]) -> list[float | None]:
        paths = [(one.problem.question, read(one)) for one in rollouts]
        said = [path for path in paths if path[1]]
        try:
            scored = iter(await model.score(said, last_only=True) if said else [])
        except BackendError as error:
            means.trouble(f"reward model failed: {error}")
            return [None] * len(rollouts)
        values = [_value(next(scored)) if steps else _NOTHING_SAID for _, steps in paths]
        if wrong := sum(value is not None and not math.isfinite(value) for value in values):
            raise PonderosaError(f"the reward model {entry.checkpoint} gave {wrong} values that are no numbers")
        return values

    return mark_all


_NOTHING_SAID = -1.0
"""The lowest value. A reward model's word on the bare question would be one on what it has never learned."""


def _value(scored: Scored) -> float | None:
    return None if scored.unread else scored.values[-1]


def _function(entry: OwnReward) -> tuple[Any, dict[str, Any]]:
    function, options = find_attribute(entry.function)
    if not callable(function):
        raise PonderosaError(f"{entry.function} is no function: a reward of your own takes rollouts and gives numbers")
    return function, options


def _own(entry: OwnReward, _: Means) -> Mark:
    function, options = _function(entry)

    async def mark_all(rollouts: Sequence[Rollout]) -> list[float | None]:
        try:
            given: Any = function(rollouts, **options)
            given = await given if inspect.isawaitable(given) else given
        except Exception as error:  # whatever a user's code may raise
            raise PonderosaError(f"the reward {entry.function} failed with {error!r}") from error
        if len(given) != len(rollouts):
            raise PonderosaError(f"the reward {entry.function} gave {len(given)} numbers for {len(rollouts)} rollouts")
        values = [None if one is None else float(one) for one in given]
        if wrong := [value for value in values if value is not None and not math.isfinite(value)]:
            raise PonderosaError(f"the reward {entry.function} gave {wrong[0]}: a number is wanted, or None")
        return values

    return mark_all


_MAKERS: dict[str, Callable[[Any, Means], Mark]] = {
    "accuracy": _accuracy,
    "format": _format,
    "language": _language,
    "length": _length,
    "model": _model,
    "own": _own,
}
