"""Multiple choice, in the shapes of the well-known data sets."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ponderosa.core import PonderosaError, derive_seed

COLUMNS = ("choices", "options", "endings")
"""Where choices stand: of CommonsenseQA, ARC, OpenBookQA and MMLU; of MMLU-Pro; of HellaSwag."""
ANSWERS = ("answerKey", "answer", "label", "answer_idx", "gold")

MOST = 26
"""Choices that have a letter."""


class Choices(NamedTuple):
    """The texts, and what the data set calls them; none where it calls them by their places."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]


def find_choices(row: Mapping[str, Any], named: str | None, place: str) -> Choices | None:
    """The choices of a row, in the column `named` or a usual one; None if it has none."""
    try:
        found = next((choices for name in ([named] if named else COLUMNS) if (choices := _read(row.get(name)))), None)
    except (TypeError, ValueError) as error:
        raise PonderosaError(f"{place}: the choices cannot be read: {error}") from error
    if named and found is None:
        raise PonderosaError(f"{place}: the column {named} holds no choices; a list of texts is expected")
    if found is not None and len(found.texts) > MOST:
        raise PonderosaError(f"{place}: {len(found.texts)} choices; at most {MOST} have a letter")
    return found or _gpqa(row)


def _read(value: Any) -> Choices | None:
    if isinstance(value, Mapping) and "text" in value:
        value = [
            {"text": text, "label": label}
            for text, label in zip(value["text"], value.get("label") or value["text"], strict=True)
        ]
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) < 2:
        return None
    if all(isinstance(one, Mapping) and "text" in one for one in value):
        return Choices(tuple(str(one["text"]) for one in value), tuple(str(one.get("label", "")) for one in value))
    return Choices(tuple(map(str, value)), ())


def _gpqa(row: Mapping[str, Any]) -> Choices | None:
    """GPQA has the right answer in a column of its own: the choices are put in an order that the question decides."""
    names = ["Correct Answer", *(f"Incorrect Answer {number}" for number in (1, 2, 3))]
    if not all(name in row for name in names):
        return None
    texts = [str(row[name]).strip() for name in names]
    order = list(range(len(names)))
    random.Random(derive_seed(str(row.get("Question")))).shuffle(order)
    labels = ["right" if i == 0 else f"wrong {i}" for i in order]
    return Choices(tuple(texts[i] for i in order), tuple(labels))


def answer_letter(row: Mapping[str, Any], choices: Choices, named: str | None, place: str) -> str | None:
    """The letter of the right choice, from its label, its place (from 0) or its text; None if the row does not say.

    Raises `PonderosaError` if it says what is no choice.
    """
    value = next((row[name] for name in ([named] if named else ANSWERS) if row.get(name) not in (None, "")), None)
    if value is None:
        return letter(choices.labels.index("right")) if "right" in choices.labels else None
    text = str(value).strip()
    letters = [letter(i) for i in range(len(choices.texts))]
    for known in (choices.labels, letters, choices.texts, [str(i) for i in range(len(letters))]):
        if text in known:
            return letters[list(known).index(text)]
    raise PonderosaError(f"{place}: the answer {text[:40]!r} is none of the choices {', '.join(letters)}")


def letter(place: int) -> str:
    """A for the first choice, B for the second."""
    return chr(ord("A") + place)


def listed(question: str, choices: Sequence[str]) -> str:
    """The question with its choices, a line each: (A) ..."""
    return "\n".join([question.rstrip(), *(f"({letter(i)}) {text}" for i, text in enumerate(choices))])
