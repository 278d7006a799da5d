from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponderosa.core import PonderosaError
from ponderosa.evaluation.scaling.loss_laws import LAWS, Chinchilla, Kaplan, fit_loss
from ponderosa.evaluation.scaling.measurements import Model


def chinchilla(n, d, e=1.69, a=406.4, b=410.7, alpha=0.34, beta=0.28):
    """With the constants of arXiv 2203.15556, section 3.3."""
    return e + a / n**alpha + b / d**beta


def kaplan(n, d):
    """With the constants of arXiv 2001.08361, table 2."""
    return ((6.4e13 / n) ** (0.076 / 0.103) + 1.8e13 / d) ** 0.103


def grid(law, sizes, tokens, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return [
        Model(f"{n:g} on {d:g}", n, d, n, 6 * n * d, float(law(n, d) * np.exp(noise * rng.standard_normal())))
        for n in sizes
        for d in tokens
    ]


SIZES, TOKENS = np.geomspace(7e7, 1.6e10, 5), np.geomspace(5e9, 5e11, 5)


def test_chinchillas_constants_come_back_from_exact_losses():
    found = fit_loss(Chinchilla(), grid(chinchilla, SIZES, TOKENS), resamples=2).named
    expected = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28, "a": 0.28 / 0.62, "b": 0.34 / 0.62}
    assert found == pytest.approx(expected, rel=1e-4)


def test_kaplans_constants_come_back_from_exact_losses():
    found = fit_loss(Kaplan(), grid(kaplan, np.geomspace(1e6, 1e9, 4), np.geomspace(1e8, 2e10, 4)), resamples=2).named
    assert found["alpha_N"] == pytest.approx(0.076, rel=1e-3)
    assert found["alpha_D"] == pytest.approx(0.103, rel=1e-3)
    assert np.log(found["N_c"]) == pytest.approx(np.log(6.4e13), rel=1e-3)
    assert np.log(found["D_c"]) == pytest.approx(np.log(1.8e13), rel=1e-3)


def test_most_intervals_hold_the_true_exponents_of_noisy_losses():
    true = {"alpha": 0.34, "beta": 0.28, "E": 1.69, "a": 0.28 / 0.62}
    held = []
    for seed in range(6):
        fit = fit_loss(Chinchilla(), grid(chinchilla, SIZES, TOKENS, 0.005, seed), seed=seed, resamples=80)
        assert fit.rms == pytest.approx(0.005, rel=0.5)
        assert not fit.doubt
        held += [fit.quantities[name].low < value < fit.quantities[name].high for name, value in true.items()]
        # An interval that holds the truth by being wide says nothing.
        assert fit.quantities["alpha"].high - fit.quantities["alpha"].low < 0.1
    assert sum(held) >= 0.8 * len(held)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.25, 0.7), st.floats(0.25, 0.7), st.floats(0.2, 0.6), st.floats(0.2, 0.6))
def test_any_law_whose_parts_all_matter_comes_back(alpha, beta, share_n, share_d):
    # The parts of N and D are so large where the grid begins.
    a, b = share_n * 1e5**alpha, share_d * 1e6**beta
    models = grid(
        lambda n, d: chinchilla(n, d, 0.5, a, b, alpha, beta), np.geomspace(1e5, 3e6, 4), np.geomspace(1e6, 3e7, 4)
    )
    found = fit_loss(Chinchilla(), models, resamples=1).named
    assert found["alpha"] == pytest.approx(alpha, rel=0.01)
    assert found["beta"] == pytest.approx(beta, rel=0.01)
    assert found["E"] == pytest.approx(0.5, rel=0.01)


def test_a_training_that_went_wrong_hardly_moves_the_fit():
    models = grid(chinchilla, SIZES, TOKENS, noise=0.001)
    bad = models[7]
    wrong = [*models[:7], Model(bad.name, bad.parameters, bad.tokens, bad.parameters, 0, bad.loss * 1.3), *models[8:]]
    sound, robust = (fit_loss(Chinchilla(), each, resamples=1).named for each in (models, wrong))
    assert robust["alpha"] == pytest.approx(sound["alpha"], abs=0.02)
    assert robust["beta"] == pytest.approx(sound["beta"], abs=0.02)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_losses_that_fall_as_a_step_follow_no_law_and_that_is_said(law):
    def step(n, d):
        return np.where(n * d < 1e12, 0.5, 0.03)

    fit = fit_loss(law, grid(step, np.geomspace(1e5, 2e6, 4), np.geomspace(1e6, 8e6, 4)), resamples=2)
    assert "the form does not hold" in fit.doubt
    assert not fit.refits


def test_a_few_trainings_that_went_wrong_are_no_reason_to_doubt_the_law():
    models = grid(chinchilla, SIZES, TOKENS, noise=0.001)
    models[3:6] = [replace(model, loss=20 * model.loss) for model in models[3:6]]
    fit = fit_loss(Chinchilla(), models, resamples=2)
    assert fit.rms > 0.5
    assert not fit.doubt


@pytest.mark.parametrize(("law", "theta"), [(Chinchilla(), (0.4, -0.7, -0.3, 0.3, 0.5)), (Kaplan(), (1, 2, 0.8, 0.3))])
def test_the_derivatives_are_those_of_finite_differences(law, theta):
    n, d = np.array([-1.0, 0.0, 2.0]), np.array([0.5, -2.0, 1.0])
    theta = np.array(theta, float)
    _, slopes = law.log_loss(theta, n, d)
    for i in range(len(theta)):
        step = 1e-6 * (np.arange(len(theta)) == i)
        numeric = (law.log_loss(theta + step, n, d)[0] - law.log_loss(theta - step, n, d)[0]) / 2e-6
        assert slopes[:, i] == pytest.approx(numeric, abs=1e-6)


@pytest.mark.parametrize("law", LAWS.values(), ids=str)
def test_the_best_size_of_a_budget_is_where_the_loss_is_least(law):
    fit = fit_loss(law, grid(chinchilla, SIZES, TOKENS), resamples=1)
    flops = 6e20
    sizes = np.geomspace(1e7, 1e12, 20_001)
    least = sizes[np.argmin(fit.loss(sizes, flops / (6 * sizes)))]
    assert np.exp(law.optimal_log_n(fit.named, np.log([flops])))[0] == pytest.approx(least, rel=1e-2)


def test_a_floor_that_is_not_there_is_not_determined():
    models = grid(lambda n, d: chinchilla(n, d, e=0.0), SIZES, TOKENS, noise=0.003)
    fit = fit_loss(Chinchilla(), models, resamples=100)
    assert fit.quantities["E"].doubt
    assert fit.quantities["E"].to_json()["determined"] is False


@pytest.mark.parametrize(
    ("sizes", "tokens", "said"),
    [
        (SIZES[:2], TOKENS, "2 sizes and 5 numbers of tokens"),
        (SIZES[:2], TOKENS[:2], "4 models for 5 parameters"),
    ],
)
def test_few_cells_determine_nothing_and_that_is_said(sizes, tokens, said):
    fit = fit_loss(Chinchilla(), grid(chinchilla, sizes, tokens), resamples=5)
    assert said in fit.doubt
    assert all(said in found.doubt for found in fit.quantities.values())


def test_one_model_is_no_law():
    with pytest.raises(PonderosaError, match="several sizes"):
        fit_loss(Chinchilla(), grid(chinchilla, SIZES[:1], TOKENS[:1]))
