"""The normal form of an answer: a cheap key; equal keys mean equivalent answers, other keys mean nothing."""

import re

from ponderosa.grading.number import read_number

LONGEST = 2000
"""Characters; a longer text is no answer, and is only stripped."""

_WRAPPERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))
_TEXT = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox|rm)\s*\{([^{}]*)\}")
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{([^{}]*)\}")
# Spacing and sizing commands, and the currency and degree signs: they do not change a value.
_MUTE = re.compile(
    r"\\(?:left|right|bigl|bigr|big|Bigl|Bigr|Big|displaystyle|limits|quad|qquad)(?![a-zA-Z])|(?<!\\)\\[!,;: ]|~"
    r"|\\\$|\$|\^\s*(?:\\circ(?![a-zA-Z])|\{\s*\\circ\s*\})|°"
)
_SPELLINGS = {
    "\u2212": "-", "\u2013": "-", r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\cfrac": r"\frac", r"\%": "%",
    r"\leq": r"\le", r"\geq": r"\ge", r"\neq": r"\ne",
}  # fmt: skip
_SPELLING = re.compile("|".join(re.escape(old) + ("(?![a-zA-Z])" if old[-1].isalpha() else "") for old in _SPELLINGS))
_GROUPING = re.compile(r"(?<=[\d,])\\[,!](?=\d)")  # 1\,000 and 1,\!000
# A space counts between digits ("1 2" is not 12), between words, and after a command ("\pi r").
_SPACE = re.compile(r"(?<![0-9a-zA-Z])\s+|\s+(?![0-9a-zA-Z])")
_SPACES = re.compile(r"\s+")
_UNIT = re.compile(r"(?<=[\d})%])\s*\\(?:text|mathrm|mbox)\s*\{\s*[a-zA-Z ./]+?\s*(?:\^?[23])?\s*\}(?:\^\{?[23]\}?)?$")
_LETTER = re.compile(r"\(([A-Z])\)")


def normalise(answer: str) -> str:
    """The key of `answer` for votes and caches: a number in lowest terms, else the text without what does not matter.

    `$1{,}000.50$`, `+2001/2` and `\\dfrac{2001}{2}` all become `2001/2`. Takes microseconds and never fails.
    """
    text = tidy(answer)
    number = read_number(text)
    return str(number) if number is not None else text


def tidy(answer: str) -> str:
    """`answer` without wrappers, units in words, spacing and sizing, a leading plus and a trailing full stop."""
    text = answer.strip()
    if len(text) > LONGEST:
        return text
    text = text.rstrip(". \t\n") or text
    for before, after in _WRAPPERS:
        if text.startswith(before) and text.endswith(after) and len(text) > len(before) + len(after):
            text = text[len(before) : -len(after)].strip()
    if "\\" in text:
        text = _GROUPING.sub("", _UNIT.sub("", text))
        text = _BOX.sub(r"\1", _TEXT.sub(r"\1", text))
    text = _SPELLING.sub(lambda match: _SPELLINGS[match.group()], text)
    text = _SPACES.sub(" ", _SPACE.sub("", _MUTE.sub(" ", text).strip()))
    text = text.removeprefix("+").rstrip(".")
    if letter := _LETTER.fullmatch(text):
        return letter.group(1)
    return text
