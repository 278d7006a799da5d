"""The corpora by name: which dialects each mixes, on which problems."""

from typing import NamedTuple

from ponderosa.core.errors import PonderosaError
from ponderosa.core.formats import PROGRAM_STEPS
from ponderosa.core.plain_formats import (
    CLOSED_ANSWER,
    CLOSING_FENCE,
    END_OF_THINK,
    OPENING_FENCE,
    PROGRAM_INSTRUCTION,
    THINK,
    THINK_INSTRUCTION,
)
from ponderosa.sapling.choices import choice
from ponderosa.sapling.dialects import Dialect, code
from ponderosa.sapling.problems import Language, Task
from ponderosa.sapling.programs import write_program
from ponderosa.sapling.thinking import think

CODE, POLYGLOT = "code", "polyglot"


class Source(NamedTuple):
    """Documents of one dialect: how they are written, in which step format and on which problems, and the parts of the
    corpus that they are.
    """

    write: Dialect
    format: str = "rstar"
    task: Task = "math"
    language: Language = "en"
    parts: int = 1


class Corpus(NamedTuple):
    """Dialects by name, and what their tokenizer needs: its size, and texts that are one token each."""

    sources: dict[str, Source]
    vocabulary: int = 1024
    fixed: tuple[str, ...] = ()


_FIXED = (THINK_INSTRUCTION, THINK, END_OF_THINK, CLOSED_ANSWER, PROGRAM_INSTRUCTION, OPENING_FENCE, CLOSING_FENCE)

CORPORA: dict[str, Corpus] = {
    CODE: Corpus({"code": Source(code)}),
    POLYGLOT: Corpus(
        {
            "code": Source(code, parts=5),
            "think": Source(think, "think", language="both", parts=9),
            "choice": Source(choice, task="choice", parts=3),
            "program": Source(write_program, PROGRAM_STEPS, "code", parts=4),
        },
        vocabulary=1792,
        fixed=_FIXED,
    ),
}
"""Every corpus by name."""


def corpus(name: str) -> Corpus:
    """The corpus of that name. Raises `PonderosaError` that names those there are."""
    if name not in CORPORA:
        raise PonderosaError(f"there is no corpus {name}: choose one of {', '.join(CORPORA)}")
    return CORPORA[name]
