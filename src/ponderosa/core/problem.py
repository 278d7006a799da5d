"""A problem: a question, and an answer if one is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What an answer is, and so how it is graded."""

    MATH = "math"
    """A number, an expression, a text: equivalent to the reference. A number may be off by the share of it that
    `meta["tolerance"]` says.
    """
    CHOICE = "choice"
    """The letter of one of the choices that the question lists; `meta["choices"]` has their texts."""
    CODE = "code"
    """A program that passes the tests in `meta["tests"]`, a list of two kinds of records:

    `{"stdin", "stdout"}`: what the program, run from its start, reads, and what it must print. `{"given", "calls",
    "code"}`: Python with assertions, which calls functions of the program by the names `calls`; the Python of `given`
    stands before both.
    """
    PROOF = "proof"
    """A text that can only be judged, by a model."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A question with its reference answer.

    `id` is unique within a data set and names the problem in every record; `answer` is None where none is known.
    `meta` holds what its grader needs (see `Kind`) and what a world knows beyond the question (level, intermediate
    values); search never sees it.
    """

    id: str
    question: str
    answer: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    kind: Kind = Kind.MATH

    @property
    def checkable(self) -> bool:
        """Is there anything to check an answer by: tests for a program, a reference for everything else?"""
        return bool(self.meta.get("tests")) if self.kind is Kind.CODE else self.answer is not None
