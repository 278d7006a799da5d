"""Metrics of sampled answers."""

from dataclasses import replace
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.core import Outcome, Tree
from ponderosa.evaluation.metrics import (
    Sample,
    Sampled,
    best_of,
    greedy,
    majority,
    pass_at,
    path_score,
    weighted_vote,
)
from ponderosa.search import AGGREGATIONS

K = 4
RIGHT = frozenset("ab")
"""The answers that are right: two keys, as if the grader took both."""


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    answer = draw(st.sampled_from(["a", "b", "c", "d", None]))
    scores = draw(st.lists(st.integers(-8, 8).map(lambda n: n / 8), min_size=1, max_size=4))
    return Sample(answer, answer in RIGHT, tuple(scores), draw(st.integers(0, 99)))


problem = st.builds(Sampled, st.text(max_size=3), st.lists(samples(), min_size=K, max_size=8).map(tuple))
problems = st.lists(problem, min_size=1, max_size=6)
aggregations = st.sampled_from(sorted(AGGREGATIONS))


def sampled(*answers: str | None, scores: list[float] | None = None, right: str = "r") -> Sampled:
    values = scores or [0.0] * len(answers)
    return Sampled("p", tuple(Sample(a, a == right, (v,), 10) for a, v in zip(answers, values, strict=True)))


def solved(metric: float) -> bool:
    assert metric in (0, 1)
    return metric == 1


def test_greedy_is_the_first_sample() -> None:
    found = greedy([sampled("r", "w", "w"), sampled("w", "r", "r"), sampled(None, "r")])
    assert found.rates == (1, 0, 0)
    assert found.estimate.value == pytest.approx(1 / 3)
    assert found.tokens == 10


@pytest.mark.parametrize(
    ("answers", "right"),
    [
        (("r", "w", "r"), True),
        (("w", "r", "w"), False),
        (("r", "w"), True),  # of ties the first seen wins
        (("w", "r"), False),
        ((None, None, "r"), True),  # what did not answer has no vote
        ((None, None), False),
        (("w", "r", "x", "r"), True),
    ],
)
def test_the_most_frequent_answer_wins(answers: tuple[str | None, ...], right: bool) -> None:
    assert solved(majority([sampled(*answers)], len(answers)).estimate.value) == right


def test_equivalent_answers_vote_together_once_they_share_a_key() -> None:
    apart = Sampled("p", tuple(Sample(a, a in ("1/2", "0.5")) for a in ("3", "1/2", "3", "0.5", "0.5")))
    keys = {"1/2": "1/2", "0.5": "1/2", "3": "3"}
    merged = Sampled("p", tuple(replace(s, answer=keys[s.answer or ""]) for s in apart.samples))
    assert not solved(majority([apart], 5).estimate.value)
    assert solved(majority([merged], 5).estimate.value)


@given(problems, aggregations)
def test_metrics_do_not_depend_on_the_order_of_problems(given: list[Sampled], aggregation: str) -> None:
    backwards = given[::-1]
    for metric in (
        greedy,
        lambda p: pass_at(p, K),
        lambda p: majority(p, K),
        lambda p: best_of(p, K, aggregation),
        lambda p: weighted_vote(p, K, aggregation),
    ):
        found, other = metric(given), metric(backwards)
        assert other.estimate.value == pytest.approx(found.estimate.value)
        assert other.tokens == pytest.approx(found.tokens)
        assert other.rates == found.rates[::-1]


@given(problems)
def test_names_of_answers_do_not_matter(given: list[Sampled]) -> None:
    def renamed(problem: Sampled) -> Sampled:
        return replace(problem, samples=tuple(replace(s, answer=s.answer and s.answer + "'") for s in problem.samples))

    assert majority([renamed(p) for p in given], K) == majority(given, K)


@given(problems, st.integers(1, K - 1))
def test_pass_at_k_grows_with_k(given: list[Sampled], k: int) -> None:
    assert pass_at(given, k).estimate.value <= pass_at(given, k + 1).estimate.value + 1e-12


@given(problems, aggregations)
def test_no_selector_beats_the_oracle_on_the_same_samples(given: list[Sampled], aggregation: str) -> None:
    first = [replace(p, samples=p.samples[:K]) for p in given]
    oracle = pass_at(first, K)
    for selected in (majority(first, K), best_of(first, K, aggregation), weighted_vote(first, K, aggregation)):
        assert all(a <= b for a, b in zip(selected.rates, oracle.rates, strict=True))
        assert selected.tokens == pytest.approx(oracle.tokens)


@given(problems, aggregations)
def test_with_one_sample_all_selectors_are_that_sample(given: list[Sampled], aggregation: str) -> None:
    scored = [replace(p, samples=tuple(replace(s, scores=(0.5,)) for s in p.samples)) for p in given]
    expected = greedy(scored)
    assert majority(scored, 1) == best_of(scored, 1, aggregation) == weighted_vote(scored, 1, aggregation) == expected


@given(problems, aggregations)
def test_a_vote_with_equal_weights_is_the_majority(given: list[Sampled], aggregation: str) -> None:
    scored = [replace(p, samples=tuple(replace(s, scores=(0.0, 1.0)) for s in p.samples)) for p in given]
    assert weighted_vote(scored, K, aggregation) == majority(scored, K)


@given(problems, aggregations)
def test_only_the_first_k_samples_count(given: list[Sampled], aggregation: str) -> None:
    first = [replace(p, samples=p.samples[:K]) for p in given]
    assert majority(given, K) == majority(first, K)
    assert best_of(given, K, aggregation) == best_of(first, K, aggregation)
    assert weighted_vote(given, K, aggregation) == weighted_vote(first, K, aggregation)


def test_best_of_takes_the_highest_score_and_never_what_did_not_answer() -> None:
    assert solved(best_of([sampled("w", "r", None, scores=[0.1, 0.2, 0.9])], 3, "last").estimate.value)
    assert not solved(best_of([sampled("w", "r", scores=[0.3, 0.2])], 2, "last").estimate.value)
    assert not solved(best_of([sampled(None, None)], 2, "last").estimate.value)


def test_a_trusted_answer_outvotes_a_frequent_one() -> None:
    frequent = sampled("w", "w", "r", scores=[-0.9, -0.8, 0.7])
    assert not solved(majority([frequent], 3).estimate.value)
    assert solved(weighted_vote([frequent], 3, "last").estimate.value)


def test_aggregations_are_of_probabilities() -> None:
    sample = Sample("1", scores=(0.0, 1.0, -0.5, 0.5))
    p = [0.5, 1.0, 0.25, 0.75]
    assert path_score(sample, "last") == 0.75
    assert path_score(sample, "min") == 0.25
    assert path_score(sample, "mean") == sum(p) / 4
    assert path_score(sample, "product") == pytest.approx(prod(p))
    assert set(AGGREGATIONS) == {"last", "min", "mean", "product"}


def test_too_few_samples_and_missing_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="1 problems have fewer than 3 samples, first p"):
        majority([sampled("r", "w")], 3)
    with pytest.raises(ValueError, match="0 problems"):
        greedy([])
    with pytest.raises(ValueError, match="without scores"):
        best_of([Sampled("p", (Sample("r", True),))], 1, "last")


def test_a_problem_that_a_model_refused_is_not_solved_and_keeps_no_other_from_being_measured() -> None:
    tree = Tree("refused", "q")
    tree.rollouts = [tree.add(0, "step", tokens=8, outcome=Outcome.ANSWERED, answer="r")]  # not scored, nor the last
    tree.outcome = Outcome.BACKEND_FAILED
    problems = [sampled("r", "r"), Sampled.from_tree(tree, {"r": "r"}, {"r"})]
    for found in (
        greedy(problems),
        majority(problems, 2),
        pass_at(problems, 2),
        best_of(problems, 2, "min"),
        weighted_vote(problems, 2, "last"),
    ):
        assert found.rates == (1.0, 0.0)
    assert majority(problems, 2).tokens == pass_at(problems, 2).tokens == (20 + 8) / 2


def test_an_accuracy_is_plain_json() -> None:
    found = greedy([sampled("r"), sampled("w")]).to_json()
    assert {k: found[k] for k in ("accuracy", "n", "tokens")} == {"accuracy": 0.5, "n": 2, "tokens": 10}
    assert 0 < found["low"] < 0.5 < found["high"] < 1


def test_the_rollouts_of_a_tree_are_its_samples() -> None:
    tree = Tree("p", "q")
    step = tree.add(0, "step", value=0.5, tokens=5)
    half = tree.add(step, "half", value=0.25, tokens=3, outcome=Outcome.ANSWERED, answer="0.5")
    other = tree.add(step, "other", value=-1.0, tokens=2, outcome=Outcome.ANSWERED, answer="1/2")
    lost = tree.add(0, "lost", tokens=9, outcome=Outcome.MALFORMED)
    tree.rollouts = [half, lost, other]
    assert Sampled.from_tree(tree, {"0.5": "1/2", "1/2": "1/2"}, {"1/2"}) == Sampled(
        "p",
        (
            Sample("1/2", True, (0.5, 0.25), 8),
            Sample(None, False, (), 9),
            Sample("1/2", True, (0.5, -1.0), 7),
        ),
    )


def test_an_answer_beside_a_program_that_failed_is_none() -> None:
    tree = Tree("p", "q")
    failed = tree.add(0, "# step\n\\boxed{0}", tokens=4, outcome=Outcome.CODE_ERROR, answer="0")
    tree.rollouts = [failed]
    assert Sampled.from_tree(tree, {}, set()).samples == (Sample(None, False, (), 4),)
