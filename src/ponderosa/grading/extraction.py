"""The answer in a text that may say more than the answer."""

import re

from ponderosa.core import boxed_answer

_FINAL = re.compile(r"####\s*(.+)")
"""GSM8K's mark."""
_SAID = re.compile(r"(?:final\s+)?answer\s*(?:is|are|:|=)\s*:?\s*", re.IGNORECASE)
_END = re.compile(r"\.(?=\s|$)|\n|;\s")
_MATHS = re.compile(r"\$\$(.+?)\$\$|\$([^$]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.])[-+]?\$?\d[\d,]*(?:\.\d+)?(?:\s?/\s?\d+)?%?")
_WORD = re.compile(r"(?<![\\a-zA-Z{])[a-zA-Z]{2,}(?![a-zA-Z}])")
_SENTENCE = 3
"""Words, LaTeX's own not counted, from which on a text is a sentence and not an answer."""


def extract_answer(text: str) -> str:
    """What the last box holds; else what follows `####`, or the last "the answer is"; of another sentence the last
    formula, or number; else the text itself. Never fails.
    """
    text = text.strip()
    if box := boxed_answer(text):
        return box
    if marked := _FINAL.findall(text):
        return str(marked[-1]).strip()
    *_, said = [None, *_SAID.finditer(text)]
    if said is not None and (rest := text[said.end() :].strip()):
        text = _END.split(rest, maxsplit=1)[0].strip() or rest
    if len(_WORD.findall(_MATHS.sub(" ", text))) < _SENTENCE:
        return text
    if formulas := [next(filter(None, groups)) for groups in _MATHS.findall(text)]:
        return str(formulas[-1]).strip()
    numbers = _NUMBER.findall(text)
    return str(numbers[-1]).rstrip(",") if numbers else text
