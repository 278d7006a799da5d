"""A question's words, however it is written down: for telling that two questions are the same.

Upper case, white space, punctuation, brackets and the many spellings of LaTeX make no difference; numbers and operators
do. A formula is one word, so that a run of words is a run of what people say rather than of what they calculate.
"""

import re
import unicodedata

_SYNONYMS = {
    r"\displaystyle": "",
    r"\dfrac": r"\frac",
    r"\tfrac": r"\frac",
    r"\cfrac": r"\frac",
    r"\cdot": "*",
    r"\times": "*",
    r"\ast": "*",
    r"\div": "/",
    r"\leq": "<=",
    r"\leqslant": "<=",
    r"\le": "<=",
    r"\geq": ">=",
    r"\geqslant": ">=",
    r"\ge": ">=",
    r"\neq": "!=",
    r"\ne": "!=",
    r"\lt": "<",
    r"\gt": ">",
    r"\rightarrow": r"\to",
    r"\ldots": "",
    r"\dots": "",
    r"\cdots": "",
    r"\quad": " ",
    r"\qquad": " ",
    r"\begin": " ",
    r"\end": " ",
    r"\text": " ",
    r"\textbf": " ",
    r"\textit": " ",
    r"\mathrm": " ",
    r"\mathbf": " ",
    r"\mathbb": " ",
    r"\mathcal": " ",
    r"\operatorname": " ",
    r"\mbox": " ",
}
"""LaTeX commands that mean the same, or nothing to who reads."""

# ruff: noqa: RUF001
_CHARACTERS = str.maketrans(
    {
        "×": "*",
        "·": "*",
        "⋅": "*",
        "÷": "/",
        "−": "-",
        "–": "-",
        "—": " ",
        "≤": "<=",
        "≥": ">=",
        "≠": "!=",
        "π": r"\pi ",
        "√": r"\sqrt ",
        "∞": r"\infty ",
        "°": r"\circ ",
        "‘": None,
        "’": None,
        "'": None,
        '"': None,
        "“": None,
        "”": None,
        "`": None,
        "$": None,
        "~": " ",
    }
)

_COMMAND = re.compile(r"\\[a-zA-Z]+")
_SIZED = re.compile(r"(?:(?<=\b[a-zA-Z])\s*)?\\(?:left|right)(?![a-zA-Z])\s*|\\!|\{,\}")
_SPACING = re.compile(r"\\[,;:> ]|\\\\|\\[()\[\]]")
_FRACTION = re.compile(r"\\frac\s*(?:\{([^{}]*)\}|(\w))\s*(?:\{([^{}]*)\}|(\w))")
_GROUP = re.compile(r"(?<!\\frac)(?<!\})\{([^{}]*)\}")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_BRACKETS = re.compile(r"[(\[{]\s*|\s*[)\]}]|[|\\]")
_COMMA = re.compile(r"(?<=[\d)\]}])\s*,\s*(?=[-+(\[{\d\\])")
"""Within a point, a set or a list of numbers, which are one word each."""
_AROUND = re.compile(r"\s*([+\-*/^=<>!_%;]+)\s*")
_POINT = re.compile(r"(?<!\d)\.|\.(?!\d)")
_PUNCTUATION = re.compile(r"[,:?#&@]|(?<![\d)])(?<!\b[a-zA-Z])!(?!=)")
"""Not the exclamation marks of factorials."""


def words(question: str) -> list[str]:
    """The words of a question in the one spelling that all spellings of it share."""
    text = question
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    text = text.translate(_CHARACTERS)
    if "\\" in text:
        text = _COMMAND.sub(_meaning, _SPACING.sub(" ", _SIZED.sub("", text)))
        while "\\frac" in text and (flat := _FRACTION.sub(r"\1\2/\3\4 ", _GROUP.sub(r"\1", text))) != text:
            text = flat
    text = _COMMA.sub(";", _THOUSANDS.sub("", text.replace(";", " ")))
    text = _PUNCTUATION.sub(" ", _POINT.sub(" ", text))
    return _AROUND.sub(r"\1", _BRACKETS.sub("", text)).lower().split()


def _meaning(command: re.Match[str]) -> str:
    return _SYNONYMS.get(command[0], command[0])
