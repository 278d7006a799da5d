"""Rational numbers in the ways in which answers write them, compared exactly."""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

_DIGITS = 400  # more is read as text, so that no answer costs much
_THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|,| )(?=\d{3}(?:\D|$))")
_GROUPED = re.compile(r"[-+]?[1-9]\d{0,2}(?:(?:\{,\}|,)\d{3}|(?: \d{3}))+(?:\.\d+)?%?")
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+%?")
_POWER_OF_TEN = re.compile(r"(?<=\d) ?(?:\\times|\\cdot|\*) ?10\^(?:\{([-+]?\d{1,3})\}|(\d))(?!\d)")
_REPEATING = re.compile(r"([-+]?)(\d*)\.(\d*)\\(?:overline|bar|dot)\{?(\d+)\}?")
_DECIMAL = r"(?:\d+(?:\.(?P<{0}>\d*))?|\.(?P<{0}_only>\d+))"
_PLAIN = re.compile(
    r"(?P<value>[-+]?" + _DECIMAL.format("places") + r")(?:[eE](?P<power>[-+]?\d{1,3}))?(?P<percent>%)?"
)
_INTEGER = r"\s*([-+]?\d+)\s*"
_QUOTIENT = re.compile(
    rf"(?P<sign>[-+]?)(?P<whole>\d+)?\s*\\frac(?:\{{{_INTEGER}\}}|\s*(\d))(?:\{{{_INTEGER}\}}|\s*(\d))(?P<percent>%)?"
)
_MIXED = re.compile(r"([-+]?)(\d+) (\d+)\s?/\s?(\d+)(%?)")
_SLASHED = re.compile(r"\(?([-+]?\d+)\)?\s?/\s?\(?([-+]?\d+)\)?")
_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_IN_BASE = re.compile(r"(\d[0-9A-Z]*)(?:_\{?(\d{1,2})\}?)?")


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
    if "10^" in text:
        text = _POWER_OF_TEN.sub(r"e\1\2", text)
    if match := _PLAIN.fullmatch(text):
        decimals = match["places"] or match["places_only"]
        power = int(match["power"] or 0)
        places = len(decimals) - power if decimals else None
        return Number(Fraction(match["value"]) * Fraction(10) ** power, places, bool(match["percent"]))
    if match := _SLASHED.fullmatch(text):
        return _quotient(match[1], match[2])
    if match := _MIXED.fullmatch(text):
        part = _quotient(match[3], match[4])
        return part and Number((-1 if match[1] == "-" else 1) * (int(match[2]) + part.value), percent=bool(match[5]))
    if match := _QUOTIENT.fullmatch(text):
        above = next(part for part in match.group(3, 4) if part is not None)
        below = next(part for part in match.group(5, 6) if part is not None)
        number = _quotient(above, below)
        if number is None:
            return None
        value = int(match["whole"] or 0) + number.value  # "3\frac{1}{2}" is the mixed number
        return Number(-value if match["sign"] == "-" else value, percent=bool(match["percent"]))
    if match := _REPEATING.fullmatch(text):
        sign, whole, start, period = match.groups()
        digits = Fraction(int(whole + start + period) - int(whole + start or 0), 10 ** len(period) - 1)
        return Number((-1 if sign == "-" else 1) * digits / 10 ** len(start))
    return Number(Fraction(_WORDS.index(text.lower()))) if text.lower() in _WORDS else None


def read_decimal_comma(text: str) -> Number | None:
    """What "1,5" is where a comma stands for the point; "1,5" is a list as well, so it says nothing by itself."""
    return read_number(text.replace(",", ".")) if _DECIMAL_COMMA.fullmatch(text) else None


def _quotient(above: str, below: str) -> Number | None:
    return Number(Fraction(int(above), int(below))) if int(below) else None


def same_digits(gold: str, answer: str) -> bool | None:
    """Are two whole numbers, at least one with its base (52_8), the same digits in the same base? One may leave it out;
    None if they are something else.
    """
    one, two = _IN_BASE.fullmatch(gold), _IN_BASE.fullmatch(answer)
    if one is None or two is None or not (one[2] or two[2]):
        return None
    return one[1] == two[1] and (one[2] == two[2] or not (one[2] and two[2]))


def same_number(gold: Number, answer: Number, tolerance: float = 0.0) -> bool:
    """Equal, or one is a decimal long enough (6 places) to stand for the other: rounded, cut, or with float noise.

    With a `tolerance` also if the answer is off by at most that share of `gold`, or where that is 0 by at most the
    tolerance itself. A per cent sign on one side only is read either way, as 50% answers both "what share" (1/2) and
    "how many per cent".
    """
    if gold.percent == answer.percent:
        return _same(gold, answer, tolerance)
    return any(_same(one, two, tolerance) for one in _without_percent(gold) for two in _without_percent(answer))


def _without_percent(number: Number) -> tuple[Number, ...]:
    if not number.percent:
        return (number,)
    share = Number(number.value / 100, None if number.places is None else number.places + 2)
    return share, Number(number.value, number.places)


def _same(gold: Number, answer: Number, tolerance: float) -> bool:
    if gold.value == answer.value:
        return True
    difference = abs(gold.value - answer.value)
    if tolerance and difference <= Fraction(tolerance) * (abs(gold.value) or 1):
        return True
    places = max(gold.places or 0, answer.places or 0)
    if places < 6:
        return False
    return difference <= Fraction(1, 10**places) or difference <= abs(answer.value) * Fraction(1, 10**9)
