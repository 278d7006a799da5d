"""Intervals cover what they should, and the estimators agree with their definitions."""

import random
from itertools import combinations
from math import sqrt

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ponderosa.evaluation.statistics import (
    Estimate,
    auc,
    mean_of_rates,
    paired_difference,
    pass_at_k,
    pooled_difference,
    pooled_mean,
    proportion,
)

rates = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=30)
labelled = st.lists(
    st.tuples(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), st.booleans()), min_size=2, max_size=24
).filter(lambda rows: len({label for _, label in rows}) == 2)


def covers(estimate: Estimate, truth: float) -> bool:
    return estimate.low <= truth <= estimate.high


def test_wilsons_interval_is_that_of_the_literature() -> None:
    """Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    for successes, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = proportion(successes, n)
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("p", [0.02, 0.3, 0.5, 0.9])
def test_wilsons_interval_covers_the_truth_about_as_often_as_it_says(p: float) -> None:
    rng = np.random.default_rng(0)
    covered = np.mean([covers(proportion(int(rng.binomial(200, p)), 200), p) for _ in range(2000)])
    assert 0.92 <= covered <= 0.985


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_proportions_interval_holds_its_value_and_mirrors(counts: tuple[int, int]) -> None:
    successes, n = counts
    found, mirrored = proportion(successes, n), proportion(n - successes, n)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((found.low, found.high))
    assert proportion(successes, n, confidence=0.99).high >= found.high


def test_without_observations_there_is_no_estimate() -> None:
    with pytest.raises(ValueError, match="0 successes of 0"):
        proportion(0, 0)
    with pytest.raises(ValueError, match="0 successes of 0"):
        mean_of_rates([])
    with pytest.raises(ValueError, match="0 and 0 results"):
        paired_difference([], [])


@given(rates)
def test_the_mean_of_rates_lies_in_its_interval_whatever_their_order(values: list[float]) -> None:
    found = mean_of_rates(values)
    assert found.value == pytest.approx(sum(values) / len(values))
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert mean_of_rates(sorted(values)).low == pytest.approx(found.low)


def test_rates_that_are_all_equal_still_leave_room_for_doubt() -> None:
    for rate in (0.0, 0.25, 1.0):
        found = mean_of_rates([rate] * 10)
        assert found.high - found.low > 0.1


def test_a_rate_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"outside \[0, 1\]"):
        mean_of_rates([0.5, 1.5])


def test_the_bootstrap_agrees_with_the_normal_interval_where_that_holds() -> None:
    values = np.random.default_rng(1).integers(0, 9, size=400) / 8
    found = mean_of_rates(values.tolist())
    half = 1.96 * values.std() / sqrt(len(values))
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=half / 20)


@given(rates, st.randoms(use_true_random=False))
def test_a_paired_difference_is_antisymmetric_and_independent_of_order(values: list[float], rng: random.Random) -> None:
    other = [rng.choice([0.0, 1.0]) for _ in values]
    found, reverse = paired_difference(values, other), paired_difference(other, values)
    assert found.low <= found.value <= found.high
    assert found.value == pytest.approx(-reverse.value)
    # The quantiles of two resamplings may lie on either side of a step in means of few values: one value's share.
    differences = [after - before for before, after in zip(values, other, strict=True)]
    step = (max(differences) - min(differences)) / len(values)
    assert (found.low, found.high) == pytest.approx((-reverse.high, -reverse.low), abs=max(0.02, step))
    order = rng.sample(range(len(values)), len(values))
    shuffled = paired_difference([values[i] for i in order], [other[i] for i in order])
    assert (shuffled.low, shuffled.high) == pytest.approx((found.low, found.high))


def test_pairing_cancels_the_difficulty_that_problems_share() -> None:
    before = [1.0] * 250 + [0.0] * 250
    after = [1.0] * 300 + [0.0] * 200
    found = paired_difference(before, after)
    assert found.low > 0
    assert found.high - found.low < (mean_of_rates(after).high - mean_of_rates(after).low)


def test_results_of_other_problems_are_refused() -> None:
    with pytest.raises(ValueError, match="not of the same problems"):
        paired_difference([1.0], [1.0, 0.0])


@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_average_over_all_subsets(case: tuple[int, int, int]) -> None:
    n, correct, k = case
    subsets = list(combinations([True] * correct + [False] * (n - correct), k))
    assert pass_at_k(n, correct, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


@given(st.integers(2, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n - 1))))
def test_pass_at_k_grows_with_k(case: tuple[int, int, int]) -> None:
    n, correct, k = case
    assert 0 <= pass_at_k(n, correct, k) <= pass_at_k(n, correct, k + 1) <= 1


def test_pass_at_more_than_was_sampled_is_refused() -> None:
    with pytest.raises(ValueError, match="pass@5 of 4 samples"):
        pass_at_k(4, 1, 5)


@given(labelled)
def test_auc_is_the_share_of_pairs_in_the_right_order_ties_counting_half(rows: list[tuple[float, bool]]) -> None:
    scores, labels = zip(*rows, strict=True)
    pairs = [(a > b) + (a == b) / 2 for a, up in rows if up for b, other in rows if not other]
    found = auc(scores, labels)
    assert found.value == pytest.approx(sum(pairs) / len(pairs))
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high


@given(labelled)
def test_auc_mirrors_when_scores_are_negated(rows: list[tuple[float, bool]]) -> None:
    scores, labels = zip(*rows, strict=True)
    found, mirrored = auc(scores, labels), auc([-s for s in scores], labels)
    assert mirrored.value == pytest.approx(1 - found.value)
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((found.low, found.high))


def test_auc_of_perfect_inverted_and_constant_scores() -> None:
    labels = [False] * 50 + [True] * 50
    perfect, inverted = auc(range(100), labels), auc(range(100, 0, -1), labels)
    constant = auc([0.5] * 100, labels)
    assert (perfect.value, inverted.value, constant.value) == (1, 0, 0.5)
    assert perfect.low > 0.9
    assert inverted.high < 0.1
    assert covers(constant, 0.5)


def test_aucs_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Two normals of unit variance, one unit apart: AUC = Φ(1 / √2) = 0.7602."""
    rng = np.random.default_rng(0)
    labels = [True] * 60 + [False] * 90
    samples = [np.concatenate([rng.normal(1, 1, 60), rng.normal(0, 1, 90)]).tolist() for _ in range(600)]
    covered = np.mean([covers(auc(scores, labels), 0.7602) for scores in samples])
    assert 0.92 <= covered <= 0.98


def test_aucs_interval_knows_that_the_steps_of_a_problem_are_not_independent() -> None:
    """Every observation ten times over says no more than once."""
    rng = np.random.default_rng(0)
    labels = [True] * 40 + [False] * 40
    once = [float(rng.normal(label, 1)) for label in labels]
    single, naive = auc(once, labels), auc(once * 10, labels * 10)
    clustered = auc(once * 10, labels * 10, groups=list(range(80)) * 10)
    assert (clustered.low, clustered.high) == pytest.approx((single.low, single.high))
    assert naive.high - naive.low < (single.high - single.low) / 2


def test_auc_needs_both_labels_and_numbers() -> None:
    for scores, labels in (([0.5, 0.7], [True, True]), ([0.5], [True, False]), ([], [])):
        with pytest.raises(ValueError, match="of both labels"):
            auc(scores, labels)
    with pytest.raises(ValueError, match="not a number"):
        auc([float("nan"), 0.0], [True, False])


def test_a_pooled_mean_of_one_seed_is_that_of_its_rates() -> None:
    rates = [float(i % 3 == 0) for i in range(300)]
    assert pooled_mean([rates]) == proportion(100, 300)


def test_a_pooled_mean_without_variation_is_a_proportion() -> None:
    assert pooled_mean([[0.0] * 20] * 3) == proportion(0, 20)
    assert pooled_mean([[1.0] * 20] * 3) == proportion(20, 20)
    assert pooled_mean([[1.0], [0.0]]).n == 1
    with pytest.raises(ValueError, match="outside"):
        pooled_mean([[0.0, -1.0]])


def test_seeds_that_differ_widen_the_interval() -> None:
    same = [[1.0, 0.0] * 100] * 3
    apart = [[1.0] * 200, [0.0] * 200, [1.0, 0.0] * 100]
    assert pooled_mean(same).value == pooled_mean(apart).value == 0.5
    assert pooled_mean(apart).high - pooled_mean(apart).low > 3 * (pooled_mean(same).high - pooled_mean(same).low)


def test_a_difference_of_one_seed_is_a_paired_t_test() -> None:
    rng = np.random.default_rng(2)
    before, after = (rng.random(80) < 0.6).astype(float), (rng.random(80) < 0.75).astype(float)
    ours, theirs = pooled_difference([before.tolist()], [after.tolist()]), stats.ttest_rel(after, before)
    assert ours.p == pytest.approx(theirs.pvalue)
    interval = theirs.confidence_interval()
    assert (ours.estimate.low, ours.estimate.high) == pytest.approx((interval.low, interval.high))


def test_where_only_seeds_differ_a_difference_is_a_t_test_over_seeds() -> None:
    gains = (0.1, 0.05, 0.15)
    ours = pooled_difference([[0.0] * 50] * 3, [[gain] * 50 for gain in gains])
    theirs = stats.ttest_1samp(gains, 0)
    assert ours.p == pytest.approx(theirs.pvalue)
    interval = theirs.confidence_interval()
    assert (ours.estimate.low, ours.estimate.high) == pytest.approx((interval.low, interval.high))


@given(st.integers(1, 4), st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_the_interval_leaves_out_0_where_p_is_below_5_percent(seeds: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, after = ((rng.random((seeds, n)) < share).astype(float).tolist() for share in (0.3, 0.8))
    found = pooled_difference(before, after)
    assert covers(found.estimate, 0.0) is (found.p >= 0.05)


@pytest.mark.parametrize(("seeds", "of_training"), [(3, 0.0), (3, 0.3), (5, 0.0), (5, 0.5)])
def test_the_truth_is_in_the_interval_about_as_often_as_it_says(seeds: int, of_training: float) -> None:
    """Problems of unlike difficulty (log-odds), of which each training has some luck as a whole and with each."""
    rng = np.random.default_rng(0)

    def results(difficulty: npt.NDArray[np.float64]) -> list[list[float]]:
        odds = 3 + difficulty + rng.normal(0, of_training, (seeds, 1)) + rng.normal(0, 1, (seeds, len(difficulty)))
        return (rng.random(odds.shape) < 1 / (1 + np.exp(-odds))).astype(float).tolist()

    covered = []
    for _ in range(300):
        difficulty = rng.normal(0, 1.5, 200)
        covered.append(covers(pooled_difference(results(difficulty), results(difficulty)).estimate, 0.0))
    assert np.mean(covered) >= 0.92


def test_a_difference_by_seed() -> None:
    difference = pooled_difference([[0.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]])
    assert difference.by_seed == (0.5, 0.0)
    assert difference.estimate.value == 0.25


def test_no_difference_at_all_and_one_of_a_single_problem() -> None:
    assert pooled_difference([[1.0, 0.0]] * 2, [[1.0, 0.0]] * 2).p == 1.0
    alone = pooled_difference([[0.0]], [[1.0]])
    assert (alone.estimate.low, alone.estimate.high, alone.p) == (-1.0, 1.0, 1.0)


@pytest.mark.parametrize(("before", "after"), [([[0.0]], [[0.0, 1.0]]), ([[0.0]], [[0.0], [0.0]]), ([[]], [[]])])
def test_other_shapes_are_not_paired(before: list[list[float]], after: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="problems"):
        pooled_difference(before, after)
