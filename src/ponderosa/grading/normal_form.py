"""The normal form of an answer: a cheap key; equal keys mean equivalent answers, other keys mean nothing."""

import re

from ponderosa.grading.number import read_number

LONGEST = 2000
"""Characters; a longer text is no answer, and is only stripped."""

_WRAPPERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))
_FONT = re.compile(
    r"\\(?:mathbf|mathit|mathsf|mathcal|bf|it)\s*\{([^{}]*)\}|\\mathrm\s*\{([ied])\}|\\math(?:bf|it|rm)\s+(?=[a-zA-Z])"
)
_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mbox|rm)\s*\{([^{}]*)\}")
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{([^{}]*)\}")
# Spacing and sizing commands, and currency signs: they do not change a value.
_MUTE = re.compile(
    r"\\(?:left|right|bigl|bigr|big|Bigl|Bigr|Big|displaystyle|limits)(?![a-zA-Z])|\\q?quad|(?<!\\)\\[!,;: ]"
    r"|~|\\\$|\$|[€£]"
)
_DEGREE = re.compile(r"\^\s*(?:\\circ(?![a-zA-Z])|\{\s*\\circ\s*\})")
_ANGLES = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
"""Functions in which a degree is not the same as a one."""
_SPELLINGS = {
    "\u2212": "-", "\u2013": "-", r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\cfrac": r"\frac", r"\%": "%",
    r"\leq": r"\le", r"\geq": r"\ge", r"\neq": r"\ne", r"\varnothing": r"\emptyset", r"\lg": r"\log_{10}",
    r"\langle": "(", r"\rangle": ")", "**": "^", r"\{\}": r"\emptyset", r"\{ \}": r"\emptyset",
}  # fmt: skip
_SPELLING = re.compile("|".join(re.escape(old) + ("(?![a-zA-Z])" if old[-1].isalpha() else "") for old in _SPELLINGS))
_PI = re.compile(r"(?<![\\a-zA-Z])pi(?![a-zA-Z])")
_SYMBOLS = str.maketrans({
    "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "\u00d7": r"\times ", "·": r"\cdot ",
    "⋅": r"\cdot ", "±": r"\pm ", "\u222a": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset ",
    "°": r"^\circ ", "²": "^2", "³": "^3", "½": r"\frac{1}{2}", "⟨": "(", "⟩": ")",
})  # fmt: skip
_ROOT = re.compile(r"√\s*(?:\(([^()]*)\)|(\d+(?:\.\d+)?|[a-zA-Z]))")
_AREA = re.compile(r"(?<=\d)(?=k?m[²³])")  # 10m² is an area, 10m^2 a product
_GROUPING = re.compile(r"(?<=\d)(?:\\,(?=\d)|,\\! ?(?=\d\d))")  # 1\,000 and 1,\!000
_LISTED = re.compile(r"(?<=\d),\s+(?=\d{3}(?!\d))")  # "5, 120" is no number
# A space counts between digits ("1 2" is not 12), between words, and after a command ("\pi r").
_SPACE = re.compile(r"(?<![0-9a-zA-Z])\s+|\s+(?![0-9a-zA-Z])")
_SPACES = re.compile(r"\s+")
_PERCENT = re.compile(r"(?<=\d) ?(?:percent|per cent|pct)$")
_LETTER = re.compile(r"\(([A-Z])\)")


def normalise(answer: str) -> str:
    """The key of `answer` for votes and caches: a number in lowest terms, else the text without what does not matter.

    `$1{,}000.50$`, `+2001/2` and `\\dfrac{2001}{2}` all become `2001/2`. Takes microseconds and never fails.
    """
    text = tidy(answer)
    number = read_number(text)
    return str(number) if number is not None else text


def tidy(answer: str) -> str:
    """`answer` without wrappers, fonts, spacing and sizing, a leading plus and a trailing full stop."""
    text = answer.strip()
    if len(text) > LONGEST:
        return text
    text = text.rstrip(". \t\n\\") or text
    if not text.isascii():
        text = _ROOT.sub(r"\\sqrt{\1\2}", _AREA.sub(" ", text)).translate(_SYMBOLS)
    for before, after in _WRAPPERS:
        if text.startswith(before) and text.endswith(after) and len(text) > len(before) + len(after):
            text = text[len(before) : -len(after)].strip()
    if "\\" in text:
        text = _TEXT.sub(r" \1 ", _FONT.sub(r"\1\2", _GROUPING.sub("", text)))
        text = _BOX.sub(r"\1", text if _ANGLES.search(text) else _DEGREE.sub(" ", text))
    text = _LISTED.sub(";", text)
    text = _SPELLING.sub(lambda match: _SPELLINGS[match.group()], text)
    text = _SPACE.sub("", _SPACES.sub(" ", _PI.sub(r"\\pi", _MUTE.sub(" ", text))).strip())
    text = _PERCENT.sub("%", text.removeprefix("+").rstrip("."))
    if letter := _LETTER.fullmatch(text):
        return letter.group(1)
    return text
