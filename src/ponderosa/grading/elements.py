"""The elements of an answer that names several values: lists, sets, tuples, vectors, values of variables."""

import re

_AND = re.compile(r"(?<![\\a-zA-Z])(?:and|or)(?![a-zA-Z])")
_OPEN, _CLOSE = "([{", ")]}"
_VALUES = re.compile(r"\(([a-zA-Z, ]+)\)=\((.*)\)")
_VALUE = re.compile(r"([a-zA-Z])=([^=]+)")
_SET = re.compile(r"\\\{((?:(?!\\\}).)*)\\\}|\{([^{}]*,[^{}]*)\}")
_VECTOR = re.compile(r"\\begin\{([pbv]?matrix|array)\}(?:\{[lcr|]*\})?(.*)\\end\{\1\}", re.DOTALL)


def list_elements(text: str) -> list[str]:
    """The parts of a list, which commas, semicolons, "and" and "or" outside of brackets divide; "\\pm a" is a and -a.

    A point that is named twice counts once.
    """
    if values := _VALUES.fullmatch(text):
        names, given = (_divided(part) for part in values.groups())
        if len(names) == len(given):
            return [f"{name}={value}" for name, value in zip(names, given, strict=True)]
    parts = [one for part in _divided(_AND.sub(",", text)) for one in _both_signs(part)]
    return list(dict.fromkeys(parts)) if all(part.startswith("(") for part in parts) else parts


def alike(one: list[str], two: list[str]) -> tuple[list[str], list[str]]:
    """Two lists of elements with the same brackets, where what they say is the same without them.

    A set in braces beside a list, values of variables beside a tuple (x=1, y=2 and (1, 2)), a vector beside a tuple.
    """
    return _like(one, two), _like(two, one)


def _like(one: list[str], two: list[str]) -> list[str]:
    if len(one) > 1 or not one:
        return one
    if (inner := _SET.fullmatch(one[0])) and not (len(two) == 1 and two[0].startswith(("\\{", "{", "("))):
        return _divided(inner[inner.lastindex or 0])
    if not one[0].startswith("(") and (vector := _VECTOR.fullmatch(one[0])) and two[:1] and two[0][0] in "([":
        entries = re.split(r"\\\\|&", vector[2].removesuffix("\\\\"))
        if not ("&" in vector[2] and "\\\\" in vector[2]):
            return [f"{two[0][0]}{','.join(entries)}{two[0][-1]}"]
    if one[0].startswith("(") and len(two) > 1 and all(map(_VALUE.fullmatch, two)):
        names, entries = sorted({part[0] for part in two}), _divided(one[0][1:-1])
        if len(names) == len(two) == len(entries):
            return [f"{name}={entry}" for name, entry in zip(names, entries, strict=True)]
    return one


def _divided(text: str) -> list[str]:
    depth, parts = 0, [""]
    for char in text:
        depth += (char in _OPEN) - (char in _CLOSE)
        if char in ",;" and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts if part.strip()]


def _both_signs(text: str) -> list[str]:
    if "\\pm" not in text:
        return [text]
    plus = text.replace("\\pm", "+").replace("\\mp", "-")
    return [plus, text.replace("\\pm", "-").replace("\\mp", "+")]
