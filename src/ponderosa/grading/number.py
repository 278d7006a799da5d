"""Rational numbers in the ways in which answers write them, compared exactly."""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

_DIGITS = 400  # more is read as text, so that no answer costs much
_THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|,)(?=\d{3}(?:\D|$))")
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:(?:\{,\}|,)\d{3})+(?:\.\d+)?%?")
_DECIMAL = r"(?:\d+(?:\.(?P<{0}>\d*))?|\.(?P<{0}_only>\d+))"
_PLAIN = re.compile(
    r"(?P<value>[-+]?" + _DECIMAL.format("places") + r")(?:[eE](?P<power>[-+]?\d{1,3}))?(?P<percent>%)?"
)
_INTEGER = r"\s*([-+]?\d+)\s*"
_QUOTIENT = re.compile(
    rf"(?P<sign>[-+]?)(?P<whole>\d+)?\s*\\frac(?:\{{{_INTEGER}\}}|\s*(\d))(?:\{{{_INTEGER}\}}|\s*(\d))(?P<percent>%)?"
)
_MIXED = re.compile(r"([-+]?)(\d+) (\d+)\s?/\s?(\d+)")
_SLASHED = re.compile(r"\(?([-+]?\d+)\)?\s?/\s?\(?([-+]?\d+)\)?")


@dataclass(frozen=True, slots=True)
class Number:
    """`value` as it stands, before a per cent sign divides it; `places` after the point, None for an exact number."""

    value: Fraction
    places: int | None = None
    percent: bool = False

    def __str__(self) -> str:
        return f"{self.value}%" if self.percent else str(self.value)


@lru_cache(maxsize=4096)
def read_number(text: str) -> Number | None:
    """The number that `text` (see `tidy`) writes; None if it is not an integer, a decimal or a fraction."""
    if not text or len(text) > _DIGITS:
        return None
    if _GROUPED.fullmatch(text):
        text = _THOUSANDS.sub("", text)
    if match := _PLAIN.fullmatch(text):
        decimals = match["places"] or match["places_only"]
        power = int(match["power"] or 0)
        places = len(decimals) - power if decimals else None
        return Number(Fraction(match["value"]) * Fraction(10) ** power, places, bool(match["percent"]))
    if match := _SLASHED.fullmatch(text):
        return _quotient(match[1], match[2])
    if match := _MIXED.fullmatch(text):
        part = _quotient(match[3], match[4])
        return part and Number((-1 if match[1] == "-" else 1) * (int(match[2]) + part.value))
    if match := _QUOTIENT.fullmatch(text):
        above = next(part for part in match.group(3, 4) if part is not None)
        below = next(part for part in match.group(5, 6) if part is not None)
        number = _quotient(above, below)
        if number is None:
            return None
        value = int(match["whole"] or 0) + number.value  # "3\frac{1}{2}" is the mixed number
        return Number(-value if match["sign"] == "-" else value, percent=bool(match["percent"]))
    return None


def _quotient(above: str, below: str) -> Number | None:
    return Number(Fraction(int(above), int(below))) if int(below) else None


def same_number(a: Number, b: Number) -> bool:
    """Equal, or one is a decimal long enough (6 places) to stand for the other: rounded, cut, or with float noise.

    A per cent sign on one side only is read either way, as 50% answers both "what share" (1/2) and "how many per cent".
    """
    if a.percent != b.percent:
        plain, percent = (b, a) if a.percent else (a, b)
        share = Number(percent.value / 100, None if percent.places is None else percent.places + 2)
        return _same(plain, share) or _same(plain, Number(percent.value, percent.places))
    return _same(a, b)


def _same(a: Number, b: Number) -> bool:
    if a.value == b.value:
        return True
    places = max(a.places or 0, b.places or 0)
    if places < 6:
        return False
    difference = abs(a.value - b.value)
    return difference <= Fraction(1, 10**places) or difference <= abs(b.value) * Fraction(1, 10**9)
