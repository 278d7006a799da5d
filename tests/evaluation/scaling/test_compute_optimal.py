import numpy as np
import pytest

from ponderosa.evaluation.scaling.compute_optimal import allocations, envelope, isoflop_minima, profiles
from ponderosa.evaluation.scaling.loss_laws import LAWS, fit_loss, losses_of
from ponderosa.evaluation.scaling.measurements import Model


def trained(parameters, tokens, loss):
    return Model(f"{parameters:g} on {tokens:g}", parameters, tokens, parameters, 6 * parameters * tokens, loss)


def symmetric(n, d):
    """With equal exponents and scales the best N is the best D, so both are (C/6)^(1/2)."""
    return 0.2 + 300 / n**0.5 + 300 / d**0.5


def grid(noise=0.0):
    rng = np.random.default_rng(0)
    return [
        trained(n, d, float(symmetric(n, d) * np.exp(noise * rng.standard_normal())))
        for n in np.geomspace(1e5, 1e8, 7)
        for d in np.geomspace(1e5, 1e8, 7)
    ]


def test_the_envelope_is_of_models_that_none_undercuts():
    models = [trained(1, 10, 3.0), trained(2, 10, 2.0), trained(4, 10, 2.5), trained(1, 80, 1.0)]
    # 6 N D is 60, 120, 240 and 480; the third has a cheaper one below it.
    assert envelope(models, losses_of(models)) == [(60, 1), (120, 2), (480, 1)]


def test_isoflop_minima_are_the_best_sizes():
    found = isoflop_minima(grid(), losses_of(grid()))
    assert len(found) > 2
    for flops, size in found:
        assert np.log(size) == pytest.approx(np.log((flops / 6) ** 0.5), abs=0.35)  # the parabola is only about right


def test_profiles_stay_within_what_was_measured():
    models = grid()
    for profile in profiles(models, losses_of(models)):
        for size in profile.sizes:
            own = [m.training_flops for m in models if m.parameters == size]
            assert min(own) * 0.999 <= profile.flops <= max(own) * 1.001


def test_all_approaches_find_the_exponent():
    models = grid(noise=0.002)
    fits = [fit_loss(law, models, resamples=20) for law in LAWS.values()]
    found = {each.approach: each for each in allocations(fits, models, resamples=50)}
    assert found["1: training envelope"].a.value == pytest.approx(0.5, abs=0.12)
    assert found["2: IsoFLOP profiles"].a.value == pytest.approx(0.5, abs=0.05)
    assert found["3: parametric fit"].a.value == pytest.approx(0.5, abs=0.02)
    assert found["3: parametric fit"].b.value == pytest.approx(0.5, abs=0.02)
    best = found["3: parametric fit"].best_size(np.array([6e12]))[0]
    assert best == pytest.approx(1e6, rel=0.1)


def test_intervals_hold_the_truth_between_the_sizes_of_a_coarse_grid():
    """The exponent of an envelope that jumps from size to size is known no better than the grid tells."""
    rng = np.random.default_rng(1)

    def loss(n, d):
        return (1.7 + 400 / n**0.34 + 410 / d**0.28) * np.exp(0.002 * rng.standard_normal())

    models = [trained(n, d, loss(n, d)) for n in (1e7, 3e7, 1e8, 3e8) for d in (2e8, 6e8, 2e9, 6e9)]
    for found in allocations([fit_loss(LAWS["chinchilla"], models, resamples=50)], models, resamples=200):
        assert not found.a.doubt
        assert found.a.low < 0.28 / 0.62 < found.a.high < found.a.low + 0.5


def test_what_rests_on_a_form_in_doubt_is_in_doubt():
    models = [trained(n, d, 1.7 + 400 / n**0.34 + 410 / d**0.28) for n in (1e7, 1e8, 1e9) for d in (2e9, 2e10)]
    envelope, profiles, form = allocations([fit_loss(LAWS["chinchilla"], models)], models)
    assert "6 models for 5 parameters" in envelope.a.doubt
    assert profiles.a.doubt
    assert form.a.doubt


def test_two_sizes_have_no_minimum_and_that_is_said():
    models = [model for model in grid() if model.parameters in sorted({m.parameters for m in grid()})[:2]]
    fits = [fit_loss(law, models, resamples=2) for law in LAWS.values()]
    found = {each.approach: each for each in allocations(fits, models, resamples=5)}
    assert "it takes 3" in found["2: IsoFLOP profiles"].a.doubt
    assert found["2: IsoFLOP profiles"].to_json()["a"]["value"] is None
