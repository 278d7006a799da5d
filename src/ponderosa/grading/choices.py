"""`ChoiceGrader`: which of the listed choices does an answer name?"""

import re
from collections.abc import Sequence

from ponderosa.core import Graded, Problem, Verdict
from ponderosa.grading.extraction import extract_answer
from ponderosa.grading.normal_form import normalise, tidy

_LETTER = re.compile(r"(?:(?:option|choice|answer)\s*)?[(\[]?([A-Za-z])[)\]]?[.:]?", re.IGNORECASE)
_LABELLED = re.compile(r"(?:(?:option|choice)\s*)?(?:[(\[]([A-Za-z])[)\]]|([A-Z])\s*[.:)])[.:]?\s*(\S.*)", re.DOTALL)
_NAMED = re.compile(
    r"\b(?:(?:answer|option|choice|is|choose|pick|select|so|therefore|thus|hence)|it's)\b[:,]?\s*(?:for sure\s+)?"
    r"[(\[]?(?-i:([A-Z]))[)\]]?(?![\w'])(?:(?<![AI])|(?! [a-z]))",
    re.IGNORECASE,
)
"""A letter in a sentence; "a" and "I" are words, too."""


class ChoiceGrader:
    """A `Grader` for the letter of a choice, in any usual writing, or its text (`meta["choices"]`)."""

    async def grade(self, answer: str, problem: Problem) -> Verdict:
        """Does `answer` name the choice that the reference names?"""
        if problem.answer is None:
            return Verdict(False, Graded.NO_REFERENCE, "the problem has no reference answer")
        choices = _choices(problem)
        right = read_choice(problem.answer, choices)
        if right is None:
            return Verdict(False, Graded.ERROR, f"the reference {problem.answer[:80]!r} is none of the choices")
        return Verdict(read_choice(answer, choices) == right)

    async def equivalent(self, a: str, b: str, problem: Problem) -> bool:
        """Do two answers name the same choice, or are they the same text?"""
        one, two = (read_choice(text, _choices(problem)) or _key(text) for text in (a, b))
        return one == two


def read_choice(text: str, choices: Sequence[str]) -> str | None:
    """The letter of the choice that `text` names: "(B)", "B.", "the answer is B", or by its words; else
    the last that a sentence says ("I think it's B"); None if none.

    Without `choices` any letter will do.
    """
    found = tidy(extract_answer(text))
    letters = [chr(ord("A") + place) for place in range(len(choices) or 26)]
    keys = [_key(choice) for choice in choices]
    if match := _LETTER.fullmatch(found):
        letter = match[1].upper()
        return letter if letter in letters and (match[1].isupper() or _key(found) not in keys) else _named(found, keys)
    if (whole := _named(found, keys)) is not None:
        return whole
    if match := _LABELLED.fullmatch(found):
        letter = (match[1] or match[2]).upper()
        words = _named(match[3], keys)
        return letter if letter in letters and words in (None, letter) else None
    said = [letter for letter in _NAMED.findall(text) if letter in letters]
    return said[-1] if said else None


def _named(text: str, keys: Sequence[str]) -> str | None:
    """The letter of the one choice with this text."""
    key = _key(text)
    return chr(ord("A") + keys.index(key)) if keys.count(key) == 1 else None


def _key(text: str) -> str:
    return normalise(text).casefold()


def _choices(problem: Problem) -> Sequence[str]:
    return [str(choice) for choice in problem.meta.get("choices", ())]
