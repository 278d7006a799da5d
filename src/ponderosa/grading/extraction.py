"""The answer in a text that may say more than the answer."""

import re

from ponderosa.core import boxed_answer

_BOLD = re.compile(r"(?<![\w)\]}*])\*\*(?=\S)([^*\n]+?)(?<=\S)\*\*(?![\w*])|(?<=[^\x00-\x7f])\*\*([^*\n]+)\*\*")
_JOINT = re.compile(
    r"\}(?:[\s$,;&.]|\\[,;! ()\[\]]|\\q?quad|(?:and|or)\b|\\text\s*\{[^{}]{0,40}\b(?:and|or)\b[^{}]{0,40}\})*$",
    re.IGNORECASE,
)
"""What stands between the boxes of an answer with several values."""
_MOST_BOXES = 50
_FINAL = re.compile(r"####\s*(.+)|<answer>([^<]+)</answer>")
_SAID = re.compile(r"\b(?:final\s+)?ans(?:wer)?(?:\s+(?:is|are)\b|\s*[:=])\s*:?\s*", re.IGNORECASE)
_LEAD = re.compile(
    r"(?:(?:so|thus|hence|therefore|then|finally|(?:final )?answer|there (?:is|are))\b[,:]?\s*|=\s*"
    r"|[a-z ]{1,40}:\s*(?=\$|\\[(\[]))+",
    re.IGNORECASE,
)
_ASIDE = re.compile(r",?\s(?:because|since|not|which)\b.*", re.DOTALL)
_END = re.compile(r"\.(?=\s|$)|\n|;\s|。")
_VERB = re.compile(r"\b(?:is|are|was|be|equals)\b:?")
_YES = re.compile(r"(yes|no|true|false)[,.;:]\s", re.IGNORECASE)
_MATHS = re.compile(  # bounded, as a megabyte of openings must not take minutes
    r"\$\$(.+?)\$\$|\$([^$]+)\$|\\\(((?:(?!\\\().){1,2000}?)\\\)|\\\[((?:(?!\\\[).){1,2000}?)\\\]", re.DOTALL
)
_BREAK = re.compile(r"\.?\s+")
_NUMBER = re.compile(r"(?<![a-zA-Z0-9_.])[-+]?\$?\d[\d,]*(?:\.\d+)?(?:\s?/\s?\d+)?%?")
_WORD = re.compile(r"(?<![\\a-zA-Z{])(?!(?:and|or)(?![a-zA-Z]))[a-zA-Z]{2,}(?![a-zA-Z}])|[^\W\d_a-zA-Z]{2}")
_SENTENCE = 3
"""Words, LaTeX's own not counted, from which on a text is a sentence and not an answer."""


def extract_answer(text: str) -> str:
    """What the last box holds, or the boxes of one list; else what follows `####`, stands in <answer>, or follows the
    last "the answer is"; of another sentence what its last "is" says, else its last formula or number; else the text.

    Bold type does not count. Never fails.
    """
    text = _BOLD.sub(r"\1\2", text.strip())
    if whole := _MATHS.fullmatch(text):
        text = next(filter(None, whole.groups())).strip()
    if boxes := _boxed(text):
        return boxes
    if marked := _FINAL.findall(text):
        return "".join(marked[-1]).strip()
    text = _MATHS.sub(lambda formula: _BREAK.sub(" ", formula.group()), text)
    *_, said = [None, *_SAID.finditer(text)]
    if said is not None and (rest := text[said.end() :].strip()):
        text = _ASIDE.sub("", _END.split(rest, maxsplit=1)[0].strip()) or rest
    bare = (text[lead.end() :] if (lead := _LEAD.match(text)) else "") or text
    return _concluded(bare) if _is_sentence(text) else bare


def _boxed(text: str) -> str | None:
    """What the last box holds, and the boxes before it that only "and" or a comma parts from it."""
    boxes: list[str] = []
    while len(boxes) < _MOST_BOXES and (box := boxed_answer(text)):
        boxes.insert(0, box)
        head = text[: text.rfind("\\boxed{")]
        if not (joint := _JOINT.search(head)):
            break
        text = head[: joint.start() + 1]
        if not text[:-1].rstrip().endswith(boxed_answer(text) or "}"):
            break
    return ", ".join(dict.fromkeys(boxes))


def _is_sentence(text: str) -> bool:
    return len(_WORD.findall(_MATHS.sub(" ", text))) >= _SENTENCE


def _concluded(text: str) -> str:
    """What the last of the sentences with a formula or a number says."""
    sentences = [part.strip() for part in _END.split(text) if part.strip()]
    with_values = [part for part in sentences if _MATHS.search(part) or _NUMBER.search(part)]
    if not with_values and (word := _YES.match(text)):
        return word[1]
    if not with_values and len(sentences) != 1:
        return text
    sentence = (with_values or sentences)[-1]
    *_, verb = [None, *_VERB.finditer(sentence)]
    said = sentence[verb.end() :].strip() if verb else ""
    if said and not _is_sentence(said) and (not with_values or _MATHS.search(said) or _NUMBER.search(said)):
        return said
    if formulas := [next(filter(None, groups)) for groups in _MATHS.findall(sentence)]:
        return str(formulas[-1]).strip()
    numbers = _NUMBER.findall(sentence)
    return str(numbers[-1]).rstrip(",") if numbers else text
