"""What answers say in words: units after a number, names in any case, dates. Each decides only what it understands."""

import re

from ponderosa.grading.number import read_number, same_number

_UNIT = re.compile(r"(?P<value>[-+]?[\d.,{}/ ]*\d\)?%?)[ ]*(?P<unit>[a-zA-Z][a-zA-Z ./^23]*)")
_WORDS = re.compile(r"[a-zA-Z]{2,}(?:[ ,'-]+[a-zA-Z]+)*")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"(?P<name>(?:{'|'.join(_MONTHS)})[a-z]*)\.?"
_DATES = (
    re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"),
    re.compile(rf"{_MONTH} ?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:, ?| )(?P<year>\d{{4}})", re.IGNORECASE),
    re.compile(rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th)? ?{_MONTH},? ?(?P<year>\d{{4}})", re.IGNORECASE),
)


def same_wording(a: str, b: str) -> bool | None:
    """Do two tidied answers say the same in words; None if that is not theirs to say."""
    if (first := _date(a)) and (second := _date(b)):
        return first == second
    if _WORDS.fullmatch(a) and _WORDS.fullmatch(b):
        return a.casefold() == b.casefold()
    (value, unit), (other, other_unit) = _measured(a), _measured(b)
    if unit or other_unit:
        one, two = read_number(value), read_number(other)
        if one is not None and two is not None:
            return same_number(one, two) and (not unit or not other_unit or unit == other_unit)
    return None


def _measured(text: str) -> tuple[str, str]:
    """The number and the unit of "5 cm"; without a unit the whole text."""
    match = _UNIT.fullmatch(text)
    if match is None or (len(match["unit"]) < 2 and not text[: match.start("unit")].endswith(" ")):  # 5x is a product
        return text, ""
    return match["value"].strip(), match["unit"].strip().casefold()


def _date(text: str) -> tuple[int, int, int] | None:
    for pattern in _DATES:
        if match := pattern.fullmatch(text):
            found = match.groupdict()
            month = int(found["month"]) if "month" in found else 1 + _MONTHS.index(found["name"][:3].lower())
            return int(found["year"]), month, int(found["day"])
    return None
