"""In which language is a text written? By words, as a reward for language consistency asks."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from ponderosa.core import PonderosaError

_FORMULA = re.compile(
    r"\$\$.*?\$\$|\\\[.*?\\\]|\\\(.*?\\\)|\\begin\{(\w+\*?)\}.*?\\end\{\1\}|\$[^$\n]*\$|\\[A-Za-z]+|`[^`\n]*`"
    r"|https?://\S+"
    # Points and segments, functions and units: the same in all languages, whatever their script.
    r"|(?<![A-Za-z])(?:[A-Z]{2,3}|(?:arc)?(?:sin|cos|tan|cot)|log|ln|lg|lim|max|min|gcd|lcm|mod|[cdkm]?m|kg)(?![A-Za-z])",
    re.DOTALL,
)
"""LaTeX, code, addresses, symbols: in no language."""
_IDEOGRAPH = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WITH_MARKS = "\u0900-\u109f\u1780-\u17ff"
"""Scripts of South and South-East Asia, whose vowels are marks and no letters."""
_WORD = re.compile(rf"[{_IDEOGRAPH}]|(?:[^\W\d_{_IDEOGRAPH}]|[{_WITH_MARKS}]){{2,}}")
_END = re.compile(r"\n|(?<=[.!?:;])\s+|(?<=。)")

_SCRIPTS: dict[str, str] = {
    "CJK": "ja wuu yue zh",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CYRILLIC": "ba be bg kk ky mk mn ru sr tg tt uk",
    "ARABIC": "ar ary arz fa ps sdh ug ur uzs",
    "HEBREW": "hbo he",
    "GREEK": "el grc",
    "DEVANAGARI": "gom hi mr ne sa",
    "BENGALI": "as bn",
    "ETHIOPIC": "am",
    "TIBETAN": "dz",
    "GUJARATI": "gu",
    "ARMENIAN": "hy",
    "GEORGIAN": "ka",
    "KHMER": "km",
    "KANNADA": "kn",
    "LAO": "lo",
    "MALAYALAM": "ml",
    "MYANMAR": "my",
    "ORIYA": "or",
    "GURMUKHI": "pa",
    "SINHALA": "si",
    "TAMIL": "ta",
    "TELUGU": "te",
    "THAI": "th",
}
"""The languages of each script, by its name in Unicode; those that are not here are written in Latin letters."""
_OTHERS = frozenset(" ".join(_SCRIPTS.values()).split()) - {"sr"}  # Serbian is written in both
_NO_LANGUAGE = "zxx"

MARGIN = 12.0
"""By how many nats a sentence must be likelier in another language. Single words and names are likelier elsewhere by
chance: of the 13,659 sentences of seven English benchmarks of mathematics 1,250 were, and 5 by this margin, code of
drawings and a name; of 29 sentences of two to twelve words in twelve other languages all were.
"""


def sentences(text: str) -> list[list[str]]:
    """The words of each sentence: runs of at least two letters, and single characters of scripts without spaces."""
    prose = _FORMULA.sub(" ", unicodedata.normalize("NFKC", text))
    return [_WORD.findall(sentence) for sentence in _END.split(prose)]


def language_share(text: str, language: str, among: Sequence[str] = ()) -> float:
    """The share of the words of `text` that are of `language` (DeepSeek-R1, section 2.3.2); 1 without words.

    A word in another script is of another language, wherever it stands. The others are too short to be told one by
    one: those of a sentence count together, and are foreign if they are likelier by `MARGIN` in another language, one
    of those `among`, by default any. So two languages of one script in one sentence pass for one. Languages are
    ISO 639 codes that py3langid knows.
    """
    own = total = 0
    for words in sentences(text):
        ours = [word for word in words if written_in(word, language)]
        total += len(words)
        own += len(ours) if ours and not _foreign(" ".join(ours), language, among) else 0
    return own / total if total else 1.0


def written_in(word: str, language: str) -> bool:
    """Is the word, by its first letter, in a script of that language?"""
    script = unicodedata.name(word[0], "").partition(" ")[0].partition("-")[0]
    return language in _SCRIPTS.get(script, "").split() or (script == "LATIN" and language not in _OTHERS)


def _foreign(sentence: str, language: str, among: Sequence[str]) -> bool:
    import py3langid

    ranked = py3langid.rank(sentence)  # the likeliest first
    best = next(score for code, score in ranked if code != _NO_LANGUAGE and (not among or code in among))
    return bool(best - dict(ranked)[language] > MARGIN)


def check_languages(codes: Iterable[str]) -> None:
    """Raises `PonderosaError` for the code of a language that cannot be told."""
    import py3langid

    known = sorted(language for language, _ in py3langid.rank("the"))
    if unknown := sorted(set(codes) - set(known)):
        raise PonderosaError(f"language `{unknown[0]}` is not known; codes are {', '.join(known)}")
