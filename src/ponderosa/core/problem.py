"""A problem: a question, and an answer if one is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """A question with its reference answer.

    `id` is unique within a data set and names the problem in every record; `answer` is None where none is known.
    `meta` holds what a world knows beyond the question (level, kinds, intermediate values); search never sees it.
    """

    id: str
    question: str
    answer: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
