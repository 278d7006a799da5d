"""What answers say in words: names in any case, dates, times of day. Each decides only what it understands."""

import re

_WORDS = re.compile(r"(?:an? |the )?(?P<words>[a-zA-Z]{2,}(?:[ ,'-]+[a-zA-Z]+)*)", re.IGNORECASE)
_NAME = re.compile(r"[a-zA-Z]{4}|[a-zA-Z] ")
"""What is not a product of letters."""
_ORDER = re.compile(r"[A-Z]{3,}")
"""An order of things that have letters, and no product of them."""
_LABELLED = re.compile(r"\(([A-Z])\).*|([A-Z])(?:[.:)].*)?")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"(?P<name>(?:{'|'.join(_MONTHS)})[a-z]*)\.?"
_DATES = (
    re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"),
    re.compile(r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4})"),
    re.compile(rf"{_MONTH} ?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:(?:, ?| )(?P<year>\d{{4}}))?", re.IGNORECASE),
    re.compile(rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th)? ?{_MONTH}(?:,? ?(?P<year>\d{{4}}))?", re.IGNORECASE),
)
_TIME = re.compile(r"(?P<hour>\d{1,2})(?::(?P<minute>\d\d))?(?: ?(?P<half>[ap])\.? ?m\.?)?", re.IGNORECASE)


def same_wording(a: str, b: str) -> bool | None:
    """Do two tidied answers say the same in words; None if that is not theirs to say."""
    if (first := _date(a)) and (second := _date(b)):
        return first == second
    if min(len(a), len(b)) == 1 and (letter := _letter(a)) and (other_letter := _letter(b)):
        return letter == other_letter
    if (one := _TIME.fullmatch(a)) and (other := _TIME.fullmatch(b)) and (one["half"] or other["half"]):
        return not _readings(one).isdisjoint(_readings(other))
    if _ORDER.fullmatch(a) and _ORDER.fullmatch(b):
        return a == b
    if (one := _WORDS.fullmatch(a)) and (other := _WORDS.fullmatch(b)):
        if one["words"].casefold() == other["words"].casefold():
            return True
        return False if _NAME.search(a) or _NAME.search(b) else None
    return None


def _letter(text: str) -> str | None:
    """The letter of a choice: "(B) 12", "B) 12", "B"."""
    match = _LABELLED.fullmatch(text)
    return match and (match[1] or match[2])


def _date(text: str) -> tuple[int, int, int] | None:
    for pattern in _DATES:
        if match := pattern.fullmatch(text):
            found = match.groupdict()
            month = int(found["month"]) if "month" in found else 1 + _MONTHS.index(found["name"][:3].lower())
            return int(found["year"] or 0), month, int(found["day"])
    return None


def _readings(time: re.Match[str]) -> set[tuple[int, int]]:
    """The hours, of 24, and minutes that a time of day may mean; without "a.m." and "p.m." up to two."""
    hour, minute, half = int(time["hour"]), int(time["minute"] or 0), (time["half"] or "").lower()
    if hour > 12:
        return {(hour, minute)}
    return {(hour % 12 + later, minute) for mark, later in (("a", 0), ("p", 12)) if half in ("", mark)}
