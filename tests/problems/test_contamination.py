import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core import PonderosaError, Problem
from ponderosa.problems import Benchmarks, ContaminationSettings, Decontamination, decontaminated

LONG = "A train leaves Rome at noon and runs at forty miles an hour until it meets the train from Turin"
"""20 words."""


def asked(*questions: str) -> list[Problem]:
    return [Problem(str(i), question) for i, question in enumerate(questions)]


def found(train: str, *bench: str, **settings: float):  # type: ignore[no-untyped-def]
    made = ContaminationSettings(**settings)  # type: ignore[arg-type]
    return Benchmarks({"bench": asked(*bench)}, made).find(Problem("t", train))


def test_the_same_question_in_another_spelling_is_found_and_named() -> None:
    match = found("What is $\\dfrac{1}{2}$ of 8?", "Other.", "what is \\frac12 of 8")
    assert match is not None
    assert (match.kind, match.benchmark, match.benchmark_id, match.problem_id) == ("same", "bench", "1", "t")
    assert match.text == "what is 1/2 of 8"


def test_a_run_of_words_in_common_is_found_with_its_text_and_share() -> None:
    match = found(f"Hear this: {' '.join(LONG.split()[:10])} and then stops.", LONG, n=8, share=0.5)
    assert match is not None
    assert match.kind == "overlap"
    assert match.text == "a train leaves rome at noon and runs at forty"
    assert match.share == 0.5


def test_a_run_that_is_one_word_too_short_is_no_match() -> None:
    nine = " ".join(LONG.split()[:9])
    assert found(f"{nine} stops", LONG, n=10, share=0) is None
    assert found(f"{nine} stops", LONG, n=9, share=0) is not None


def test_too_small_a_share_of_the_benchmarks_question_is_no_match() -> None:
    ten = " ".join(LONG.split()[:10])
    assert found(f"{ten} stops", LONG, n=8, share=0.51) is None


def test_n_of_zero_asks_for_the_same_question_alone() -> None:
    assert found(f"{LONG} again", LONG, n=0) is None
    assert found(LONG.upper(), LONG, n=0) is not None


def test_a_way_of_speaking_is_no_match() -> None:
    phrase = "where m and n are relatively prime positive integers find the sum"
    bench = [f"Number {word} is m/n {phrase}" for word in ("one", "two", "three", "four", "five")]
    assert found(f"The odds are {phrase}", *bench[:4], n=8, share=0, common=5) is not None
    assert found(f"The odds are {phrase}", *bench, n=8, share=0, common=5) is None


def test_one_problem_in_several_benchmarks_is_not_a_way_of_speaking() -> None:
    names = ["a", "b", "c", "d", "e", "f"]
    benchmarks = Benchmarks({name: asked(LONG) for name in names}, ContaminationSettings(n=8))
    match = benchmarks.find(Problem("t", f"Now: {LONG}"))
    assert match is not None
    assert match.share == 1


def test_the_length_of_runs_is_the_fifth_percentile_of_the_benchmark_from_8_to_13() -> None:
    def length(*counts: int) -> int:
        questions = [" ".join(f"w{i}x{j}" for j in range(count)) for i, count in enumerate(counts)]
        return Benchmarks({"b": asked(*questions)}).lengths["b"]

    assert length(3, *[30] * 19) == 13  # of 20 the second shortest: no more than 13
    assert length(3, 4, *[30] * 18) == 8
    assert length(3, 10, *[30] * 18) == 10


def test_the_largest_share_is_reported() -> None:
    half, whole = " ".join(LONG.split()[:12]), f"{LONG} soon"
    match = found(f"Now {LONG}", f"{half} x y z", whole, n=8, share=0)
    assert match is not None
    assert match.benchmark_id == "1"


def test_what_is_left_out_is_counted_by_benchmark() -> None:
    benchmarks = Benchmarks({"a": asked("What is 2 + 2?"), "b": asked(LONG)}, ContaminationSettings(n=8))
    report = Decontamination()
    train = asked("what is 2+2", f"{LONG} today", "Something else.", LONG)
    kept = [p.question for p in decontaminated(iter(train), [benchmarks], report)]
    assert kept == ["Something else."]
    assert report.counts() == {"a": {"same": 1, "overlap": 0}, "b": {"same": 1, "overlap": 1}}
    assert str(report) == "3 of 4 problems stand in a benchmark (a 1 same, b 1 same + 1 overlap)"
    assert report.to_json([benchmarks])["removed"] == 3


@pytest.mark.parametrize("wrong", [{"n": -1}, {"share": 1.5}, {"common": 1}])
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(PonderosaError):
        ContaminationSettings(**wrong)  # type: ignore[arg-type]


_questions = st.lists(st.sampled_from("abcd"), max_size=12).map(" ".join)


@given(_questions, st.lists(_questions, max_size=4), st.integers(1, 4))
def test_an_overlap_is_what_comparing_every_run_with_every_run_finds(train: str, bench: list[str], n: int) -> None:
    settings = ContaminationSettings(n=n, share=0, common=10**6)
    match = Benchmarks({"b": asked(*bench)}, settings).find(Problem("t", train))

    def runs(text: str) -> set[str]:
        of = text.split()
        return {" ".join(of[i : i + n]) for i in range(len(of) - n + 1)}

    expected = train in bench or any(runs(train) & runs(question) for question in bench)
    assert (match is not None) == expected
    if match is not None and match.kind == "overlap":
        assert len(match.text.split()) >= n
