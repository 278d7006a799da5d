"""In which language is a text written? By words, as a reward for language consistency asks."""

import re
from collections.abc import Iterable, Sequence

from ponderosa.core import PonderosaError

_NOT_WORDS = re.compile(r"\\[A-Za-z]+|\$[^$]*\$|`[^`]*`|https?://\S+")
"""Commands and formulas of LaTeX, code, addresses: in no language."""
_IDEOGRAPH = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_IDEOGRAPH}]|[^\W\d_{_IDEOGRAPH}]{{2,}}")


def words(line: str) -> list[str]:
    """The words of a line: runs of at least two letters, and single characters of scripts that have no spaces."""
    return _WORD.findall(_NOT_WORDS.sub(" ", line))


def language_share(text: str, language: str, among: Sequence[str] = ("en", "zh")) -> float:
    """The share of the words of `text` that stand in lines of `language` (DeepSeek-R1, section 2.3.2); 1 without words.

    Languages are ISO 639-1 codes that py3langid knows; each line is taken for the likeliest `among` them. Words alone
    are too short to tell, so those of a line count together.
    """
    counted = [(line, len(words(line))) for line in text.splitlines()]
    total = sum(count for _, count in counted)
    if not total:
        return 1.0
    own = sum(count for line, count in counted if count and likeliest(line, (language, *among)) == language)
    return own / total


def likeliest(line: str, among: Sequence[str]) -> str:
    """The likeliest of the languages `among` for a line, the first of them where nothing tells."""
    import py3langid

    scores = dict(py3langid.rank(" ".join(words(line))))
    return max(dict.fromkeys(among), key=lambda language: scores[language])


def check_languages(codes: Iterable[str]) -> None:
    """Raises `PonderosaError` for the code of a language that cannot be told."""
    import py3langid

    known = sorted(language for language, _ in py3langid.rank("the"))
    if unknown := sorted(set(codes) - set(known)):
        raise PonderosaError(f"language `{unknown[0]}` is not known; codes are {', '.join(known)}")
