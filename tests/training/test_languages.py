import pytest

from ponderosa.core import PonderosaError
from ponderosa.training.languages import check_languages, language_share, words


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Ann has 3 apples.", ["Ann", "has", "apples"]),
        (r"so $x = y + z$ and \frac{1}{2} is `half`", ["so", "and", "is"]),
        ("设苹果", ["设", "苹", "果"]),
        ("x = 3", []),
    ],
)
def test_formulas_and_numbers_are_no_words(line: str, expected: list[str]) -> None:
    assert words(line) == expected


def test_the_share_counts_words_by_the_language_of_their_line() -> None:
    text = "We add the numbers of all boxes here.\nNous ajoutons les nombres."
    assert language_share(text, "en", ("en", "fr")) == pytest.approx(8 / 12)
    assert language_share(text, "fr", ("en", "fr")) == pytest.approx(4 / 12)


def test_one_script_is_told_from_another() -> None:
    assert language_share("We know that\n我们知道", "zh") == pytest.approx(4 / 7)


def test_a_text_without_words_is_in_any_language() -> None:
    assert language_share("1 + 1 = 2\n\n3", "zh") == 1.0


def test_the_code_of_no_language_is_named() -> None:
    check_languages(["en", "zh", "fr"])
    with pytest.raises(PonderosaError, match=r"language `zh-cn` is not known; codes are .*en,.*zh"):
        check_languages(["en", "zh-cn"])
