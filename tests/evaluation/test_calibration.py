import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponderosa.evaluation.calibration import reliability

rates = st.floats(0, 1)
observations = st.lists(st.tuples(rates, rates, st.integers(0, 4)), min_size=1, max_size=40)


def test_bins_errors_and_scores_as_by_hand() -> None:
    # Two bins of five: p 0.2 and 0.4 (of which one comes true: 0.5 against 0.3), p 0.9 (true: 1 against 0.9).
    found = reliability([0.2, 0.4, 0.9], [0.0, 1.0, 1.0], ["a", "b", "c"], bins=2)
    assert [(b.low, b.high, b.n) for b in found.bins] == [(0.0, 0.5, 2), (0.5, 1.0, 1)]
    assert [b.predicted for b in found.bins] == pytest.approx([0.3, 0.9])
    assert [b.observed.value for b in found.bins] == pytest.approx([0.5, 1.0])
    assert found.ece.value == pytest.approx((2 * 0.2 + 1 * 0.1) / 3)
    assert found.brier == pytest.approx((0.04 + 0.36 + 0.01) / 3)


def test_a_certain_prediction_is_in_the_last_bin() -> None:
    assert [(b.low, b.n) for b in reliability([1.0, 0.95], [1, 1], [0, 1]).bins] == [(0.9, 2)]


def test_the_interval_covers_the_share_of_what_is_predicted_rightly() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        p = rng.uniform(0.3, 0.4, 200)
        found = reliability(p.tolist(), (rng.uniform(size=200) < 0.35).astype(float).tolist(), list(range(200)))
        (only,) = [b for b in found.bins if b.low == pytest.approx(0.3)]
        covered += only.observed.low <= 0.35 <= only.observed.high
    assert covered >= 87  # 95 are expected; fewer than 87 have a probability of 1e-3


def test_observations_of_one_problem_are_resampled_together() -> None:
    p, seen = [0.5] * 400, [float(i % 2) for i in range(100) for _ in range(4)]
    apart = reliability(p, seen, list(range(400))).bins[0].observed
    together = reliability(p, seen, [i for i in range(100) for _ in range(4)]).bins[0].observed
    assert (together.high - together.low) / (apart.high - apart.low) == pytest.approx(2, abs=0.3)  # sqrt(4)


@given(observations)
def test_the_error_is_the_distance_of_means_at_most_and_at_least(given_: list[tuple[float, float, int]]) -> None:
    p, seen, groups = (list(column) for column in zip(*given_, strict=True))
    found = reliability(p, seen, groups)
    assert sum(b.n for b in found.bins) == len(p)
    assert abs(sum(p) - sum(seen)) / len(p) - 1e-9 <= found.ece.value
    assert found.ece.value <= sum(abs(a - b) for a, b in zip(p, seen, strict=True)) / len(p) + 1e-9
    assert found.ece.low <= found.ece.value <= found.ece.high
    for b in found.bins:
        assert b.low - 1e-9 <= b.predicted <= b.high + 1e-9


@pytest.mark.parametrize(("p", "seen", "groups"), [([], [], []), ([0.5], [0.5, 1], [0]), ([1.5], [1], [0])])
def test_what_is_no_prediction_is_refused(p: list[float], seen: list[float], groups: list[int]) -> None:
    with pytest.raises(ValueError, match=r"one each|outside"):
        reliability(p, seen, groups)
