import json

import numpy as np
import pytest

from ponderosa.evaluation.scaling.accuracy_by_compute import compose
from ponderosa.evaluation.scaling.accuracy_laws import fit_loss_to_accuracy
from ponderosa.evaluation.scaling.fits import fit_all
from ponderosa.evaluation.scaling.loss_laws import LAWS, fit_loss
from ponderosa.evaluation.scaling.measurements import from_rows

SIZES, TOKENS = (3e4, 1e5, 3e5, 1e6), (3e6, 1e7, 3e7, 1e8)


def loss_of(parameters, tokens):
    return 0.1 + 30 / parameters**0.4 + 2000 / tokens**0.55


def worth(loss):
    return 0.9 / (1 + np.exp((loss - 0.62) / 0.09))


def best(flops):
    """The accuracy of the best of very many ways to divide the FLOPs."""
    sizes = np.geomspace(1e3, 1e9, 100_001)
    return worth(loss_of(sizes, flops / (6 * sizes)).min())


def grid(noise=0.0, problems=4000, seed=0, sizes=SIZES, tokens=TOKENS, accuracy=worth):
    rng = np.random.default_rng(seed)
    rows = []
    for size in sizes:
        for read in tokens:
            loss = loss_of(size, read) * np.exp(noise * rng.normal())
            share = accuracy(loss)
            rows.append(
                {"parameters": size, "tokens": read, "loss": loss, "method": "greedy", "problems": problems}
                | {"accuracy": rng.binomial(problems, share) / problems if noise else share, "test_flops": 1e8}
            )
    return from_rows(rows)


def composed(measurements, resamples=100, seed=0):
    loss = fit_loss(LAWS["chinchilla"], measurements.with_loss, resamples=resamples, seed=seed)
    by_loss = fit_loss_to_accuracy(measurements.accuracies, resamples=resamples, seed=seed)
    return compose(loss, by_loss, seed=seed)


@pytest.fixture(scope="module")
def exact():
    return composed(grid())


def test_at_any_compute_it_is_the_accuracy_of_the_best_division(exact):
    for found in exact.predictions:
        assert found.accuracy.value == pytest.approx(best(found.flops), abs=2e-3)
        assert 6 * found.parameters * found.tokens == pytest.approx(found.flops)
        assert loss_of(found.parameters, found.tokens) <= loss_of(1.1 * found.parameters, found.tokens / 1.1) + 1e-6


def test_what_is_predicted_for_a_model_that_was_measured_stands_beside_it(exact):
    measured = [found for found in exact.predictions if found.point is not None]
    assert len(measured) == len(SIZES) * len(TOKENS)
    for found in measured:
        assert found.flops == 6 * found.point.model.parameters * found.point.model.tokens
        assert found.for_it == pytest.approx(found.point.accuracy, abs=2e-3)
        assert found.accuracy.value > found.for_it - 1e-3  # no division is better than the best
    assert exact.rms < 2e-3


def test_what_lies_beyond_the_models_says_in_what(exact):
    remarks = {found.flops: found.remark for found in exact.predictions}
    most = 6 * SIZES[-1] * TOKENS[-1]
    assert remarks[6 * 1e5 * 3e7] == ""
    assert remarks[6 * 3e4 * 3e6] == "extrapolated: beyond the measured sizes"  # 1.9e4 parameters would be best
    beyond = {flops: remark for flops, remark in remarks.items() if flops > most}
    assert list(beyond) == pytest.approx([3 * most, 10 * most])
    assert beyond[max(beyond)] == "extrapolated: beyond the measured FLOPs, sizes, tokens"


def test_the_band_is_that_of_both_laws():
    noisy = composed(grid(noise=0.01, problems=300), resamples=200)
    flops = np.array([6e13, 6e15])
    low, high = noisy.band(flops)
    assert (low < noisy.accuracy(flops)).all()
    assert (noisy.accuracy(flops) < high).all()
    loss_only = composed(grid(noise=0.01, problems=10**8), resamples=200)
    assert (high - low > 1.2 * np.subtract(*loss_only.band(flops)[::-1])).all()  # fewer problems
    quieter = composed(grid(noise=0.0005, problems=10**8), resamples=200)
    assert (np.subtract(*loss_only.band(flops)[::-1]) > 2 * np.subtract(*quieter.band(flops)[::-1])).all()


def test_intervals_hold_what_is_true_where_it_was_measured():
    held = []
    for seed in range(8):
        found = composed(grid(noise=0.005, problems=300, seed=seed), seed=seed)
        held += [
            each.accuracy.low <= best(each.flops) <= each.accuracy.high for each in found.predictions if not each.remark
        ]
    assert sum(held) > 0.8 * len(held)


@pytest.mark.parametrize(
    ("measurements", "why"),
    [
        (grid(sizes=SIZES[:2]), "the loss: 2 sizes and 4 numbers of tokens: it takes 3 of each"),
        (grid(accuracy=lambda loss: 0.0 * loss), "accuracy by loss: fewer than 3 models solve a few problems"),
    ],
)
def test_of_a_law_in_doubt_nothing_is_predicted(measurements, why):
    found = composed(measurements, resamples=20)
    assert found.doubt == why
    assert found.predictions == ()
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["predictions"] == []


def test_every_method_is_predicted_at_every_number_of_samples_and_told_in_json():
    rows = [
        {"parameters": p.model.parameters, "tokens": p.model.tokens, "loss": p.model.loss, "problems": 4000}
        | {"method": method, "samples": k, "accuracy": p.accuracy * (1 - 0.2 / k), "test_flops": 1e8 * k}
        for p in grid().accuracies
        for method, k in (("greedy", 1), ("majority", 1), ("majority", 8))
    ]
    fits = fit_all(from_rows(rows), resamples=30, targets=[0.5], queries=[1e4])
    told = json.loads(json.dumps(fits.to_json(), allow_nan=False))["accuracy_by_compute"]
    assert [(each["method"], each["samples"]) for each in told] == [("greedy", 1), ("majority", 1), ("majority", 8)]
    for each in told:
        assert each["predictions"][0]["model"]
        assert each["predictions"][-1]["remark"].startswith("extrapolated")
        assert each["predictions"][3]["accuracy"]["determined"]
