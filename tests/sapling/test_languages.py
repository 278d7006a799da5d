import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.sapling import problem_at
from ponderosa.sapling.languages import LANGUAGES, language_of, language_share, translate
from ponderosa.sapling.lexicon import ESPERANTO
from ponderosa.sapling.vocabulary import NAMES
from ponderosa.sapling.world import KINDS

places = st.tuples(st.sampled_from(["train", "test"]), st.integers(0, 9), st.integers(0, 10**6))


def test_no_word_is_of_both_languages_and_every_word_has_one_counterpart():
    assert len(set(ESPERANTO.values())) == len(ESPERANTO)
    assert not set(ESPERANTO) & set(ESPERANTO.values())
    names = {name.lower() for name in NAMES}
    assert not any(names & words for words in LANGUAGES.values())


def test_every_word_of_the_world_is_carried_over():
    for kind in KINDS.values():
        for phrasing in kind.phrasings:
            text = phrasing.format(e="Ann", a="Ben", b="Cal", c="Dan", o="apples", k=1, m=2, n=3).replace("'s", "")
            assert language_share(translate(text, "eo"), "eo") == 1
            assert language_share(text, "en") == 1


def test_a_sentence_is_carried_over_word_for_word():
    assert translate("Next to Ben, Ann has 4 more apples.", "eo") == "Apud al Ben, Ann havas 4 pli pomoj."
    assert translate("Wait, that is not right.", "eo") == "Atendu, ke estas ne ĝusta."


@given(places)
def test_nothing_is_lost_on_the_way_there_and_back(place):
    question = problem_at(*place).question
    there = translate(question, "eo")
    assert translate(there, "en") == question
    assert translate(there, "eo") == there
    assert problem_at(*place, language="eo").question == there


@given(places)
def test_a_question_is_of_the_language_that_its_problem_says(place):
    for language in ("en", "eo"):
        problem = problem_at(*place, arithmetic=0, language=language)
        assert problem.meta["language"] == language
        assert language_of(problem.question) == language
    assert problem.answer == problem_at(*place, arithmetic=0).answer


@pytest.mark.parametrize(
    ("text", "share", "language"),
    [
        ("Ann has pomoj.", 0.5, None),
        ("Ann havas 4 pomoj.", 0.0, "eo"),
        ("ann = 12", 1.0, None),  # no word of either
        ("So answer = 3", 1.0, "en"),
    ],
)
def test_a_share_counts_the_words_of_either_language(text, share, language):
    assert language_share(text, "en") == share
    assert language_of(text) == language


def test_both_languages_are_drawn_where_both_are_asked_for():
    languages = [problem_at("train", 1, i, arithmetic=0, language="both").meta["language"] for i in range(200)]
    assert 70 < languages.count("eo") < 130
