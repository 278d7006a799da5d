"""The unit after a value, in the ways in which answers write it."""

import re

_NAMES = {
    "mm": "millimeter millimetre", "cm": "centimeter centimetre", "m": "meter metre", "km": "kilometer kilometre",
    "in": "inch inches", "ft": "foot feet", "yd": "yard", "mi": "mile", "mg": "milligram",
    "g": "gram", "kg": "kilogram kilo", "lb": "pound", "oz": "ounce", "ml": "milliliter millilitre", "l": "liter litre",
    "s": "sec second", "min": "minute", "h": "hr hour", "day": "", "week": "", "month": "", "year": "yr",
    "dollar": "usd", "cent": "", "degree": "deg", "radian": "rad", "n": "newton", "j": "joule", "w": "watt",
    "v": "volt", "pa": "pascal", "hz": "hertz", "mol": "mole", "cup": "", "gallon": "gal", "ton": "tonne", "": "unit",
}  # fmt: skip
_KNOWN = {name: short for short, names in _NAMES.items() for name in (short, *names.split()) if name}
_KNOWN |= {"mph": "mi/h", "kph": "km/h"}
_LINKS = frozenset({"and", "or", "if", "for", "mod", "when", "where", "with", "not", "but"})
"""Words that stand behind a number, too, but count nothing."""

_MEASURED = re.compile(
    r"(?P<value>(?:\\[a-zA-Z]+|[^a-zA-Z\\=<>])*(?:[\d!)}%]|\\pi))(?P<space> ?)(?P<unit>[a-zA-Z][a-zA-Z0-9 ./^{}*-]*)"
)
_NOUN = re.compile(r"[a-zA-Z]{3,}(?: [a-zA-Z]{3,})?")
_SQUARED = re.compile(r"\b(?:square|sq) (\w+)|(\w+) squared")
_CUBED = re.compile(r"\b(?:cubic|cu) (\w+)|(\w+) cubed")
_INVERSE = re.compile(r"[ *]?([a-z]+)\^-1")
_WORD = re.compile(r"[a-z]+")


def split_unit(text: str) -> tuple[str, str]:
    """A tidied answer as its value and its unit: "5 square meters" is ("5", "m^2"); without a unit ("5", "").

    What is counted is a unit as well, in the singular ("5 apple"); "units" say nothing. A letter alone is one only
    behind a number and a space, as "2x" is a product.
    """
    match = _MEASURED.fullmatch(text)
    if match is None:
        return text, ""
    value, space, words = match["value"], match["space"], match["unit"].casefold()
    words = words.translate({ord(char): None for char in "{}."}).replace(" per ", "/").strip()
    words = _CUBED.sub(r"\1\2^3", _SQUARED.sub(r"\1\2^2", words))
    names = _WORD.findall(words := _INVERSE.sub(r"/\1", words))
    known = all(_singular(name) in _KNOWN for name in names)
    product = min(map(len, names)) == 1 and not (space and (value[-1].isdigit() or words.startswith("m^")))
    if (known and not product) or (space and _NOUN.fullmatch(words) and _LINKS.isdisjoint(names)):
        unit = _WORD.sub(lambda word: _KNOWN.get(_singular(word[0]), _singular(word[0])), words)
        return value, unit if _WORD.search(unit) else ""
    return text, ""


def _singular(name: str) -> str:
    return name if name in _KNOWN or len(name) < 3 else name.removesuffix("s")
