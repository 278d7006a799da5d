import pytest

from ponderosa.core import PonderosaError
from ponderosa.training.languages import check_languages, language_share, sentences, written_in


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
    assert sentences(line) == [expected]


@pytest.mark.parametrize(
    ("text", "language", "own", "total"),
    [
        ("First, we 计算 the sum, 然后 add three to it 因为 it is the 答案.", "en", 11, 19),
        ("First, we 计算 the sum, 然后 add three to it 因为 it is the 答案.", "zh", 8, 19),
        ("We have x. 所以 the answer is 是 four, 因此 we 得到 it.", "en", 8, 15),
        ("Итак, the sum is семь.", "en", 3, 5),
        ("We know that\n我们知道", "zh", 4, 7),
        ("数を足す。", "zh", 2, 4),
    ],
)
def test_a_word_in_another_script_is_foreign_wherever_it_stands(text: str, language: str, own: int, total: int) -> None:
    assert language_share(text, language) == pytest.approx(own / total)


@pytest.mark.parametrize(
    "text",
    [
        "Primero sumamos los números de todas las cajas y después restamos tres.",
        "Die Antwort ist vier.",
        "La réponse est quatre.",
        "Najpierw dodajemy liczby ze wszystkich pudełek.",
        "Quindi dobbiamo risolvere l'equazione.",
        "نجمع الأعداد ثم نطرح ثلاثة",
        "우리는 숫자를 더합니다.",
        "हम सभी संख्याओं को जोड़ते हैं।",
    ],
)
def test_a_sentence_in_another_language_is_foreign(text: str) -> None:
    assert language_share(text, "en") == 0.0


def test_sentences_are_told_apart_within_a_line() -> None:
    text = "We add the numbers of all boxes here. Nous ajoutons les nombres."
    assert language_share(text, "en") == pytest.approx(8 / 12)
    assert language_share(text, "fr") == pytest.approx(4 / 12)


@pytest.mark.parametrize(
    "text",
    [
        "Okay, so x = 5.\nSimplify:\nHence proved.",
        "By Vieta's formulas, \\alpha + \\beta = -b/a.\nUsing AM-GM,\nVolume",
        "Then Jürgen gives Zoë 4 pesos. Mario Luis Kovacs has 3 apples.",
        "Let $\\triangle ABC$ be right.\n\\[\n\\text{aire du triangle} = \\frac{bc}{2}\n\\]\nSo gcd(12, 18) = 6 cm.",
        "$$\n所以\n$$ is a formula, and \\begin{align*} x &= la somme \\end{align*} too.",
    ],
)
def test_short_lines_names_and_formulas_are_not_foreign_by_chance(text: str) -> None:
    assert language_share(text, "en") == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "解",
        "在三角形 ABC 中, AB = AC, 设 cos A = 1/2, 所以高是 5 cm。",
        "设 $x$ 是苹果的个数, \\frac{1}{2} x = 3。",
        "這裡給你一個簡單的例子:求解函數的最大值。",
    ],
)
def test_chinese_mathematics_is_chinese_with_its_points_functions_and_units(text: str) -> None:
    assert language_share(text, "zh") == 1.0


def test_other_languages_may_be_named() -> None:
    text = "Nous ajoutons les nombres de toutes les boîtes."
    assert language_share(text, "en", among=("en", "zh")) == 1.0
    assert language_share(text, "en", among=("zh", "fr")) == 0.0


@pytest.mark.parametrize(
    ("word", "languages"),
    [("дом", {"ru", "sr"}), ("kuća", {"en", "sr"}), ("数", {"zh", "ja"}), ("の", {"ja"}), ("ー", {"ja"})],
)
def test_a_script_may_be_of_several_languages_and_a_language_have_several(word: str, languages: set[str]) -> None:
    assert {code for code in ("en", "ja", "ru", "sr", "zh") if written_in(word, code)} == languages


def test_a_text_without_words_is_in_any_language() -> None:
    assert language_share("1 + 1 = 2\n\n3", "zh") == 1.0


def test_the_code_of_no_language_is_named() -> None:
    check_languages(["en", "zh", "fr"])
    with pytest.raises(PonderosaError, match=r"language `zh-cn` is not known; codes are .*en,.*zh"):
        check_languages(["en", "zh-cn"])
