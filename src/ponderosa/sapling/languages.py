"""The world's two languages: carrying a sentence over from one to the other, and telling which one a text is in."""

import re
from collections.abc import Mapping

from ponderosa.sapling.lexicon import ESPERANTO

ENGLISH, SECOND = "en", "eo"

LANGUAGES: dict[str, frozenset[str]] = {
    ENGLISH: frozenset(ESPERANTO) - {"answer"},  # a variable of every solution, whatever its language
    SECOND: frozenset(ESPERANTO.values()),
}
"""The words of each language, in lower case; no word is of both."""

_DICTIONARIES: dict[str, Mapping[str, str]] = {
    SECOND: ESPERANTO,
    ENGLISH: {there: here for here, there in ESPERANTO.items()},
}
_WORD = re.compile(r"[^\W\d_]+")


def translate(text: str, language: str) -> str:
    """The text with every word of the other language in this one, capitals kept; all else stays as it is.

    `translate(translate(text, "eo"), "en")` is `text` where all of it was English.
    """
    return _WORD.sub(lambda match: _carried(match[0], _DICTIONARIES[language]), text)


def _carried(word: str, dictionary: Mapping[str, str]) -> str:
    found = dictionary.get(word.lower())
    if found is None:
        return word
    return found.capitalize() if word[0].isupper() else found


def language_share(text: str, language: str) -> float:
    """The share of a text's words that are of this language, among those that are of either; 1 if none is.

    What a reward for keeping to one language asks (DeepSeek-R1, arXiv 2501.12948, section 2.3.2).
    """
    own, known = 0, 0
    for word in _WORD.findall(text.lower()):
        own += word in LANGUAGES[language]
        known += any(word in words for words in LANGUAGES.values())
    return own / known if known else 1.0


def language_of(text: str) -> str | None:
    """The language that most words of a text are of; None where none is known or neither has more."""
    shares = {language: language_share(text, language) for language in LANGUAGES}
    best = max(shares, key=lambda language: shares[language])
    return best if list(shares.values()).count(shares[best]) == 1 else None
