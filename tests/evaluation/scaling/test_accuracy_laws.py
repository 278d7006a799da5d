import numpy as np
import pytest

from ponderosa.evaluation.scaling.accuracy_laws import fit_loss_to_accuracy, fit_trade_off
from ponderosa.evaluation.scaling.measurements import Measurement, Model


def measured(law, method, models=6, samples=(1, 2, 4, 8, 16), problems=2000):
    """Accuracies exactly as a law of training and test FLOPs has them."""
    found = []
    for flops in np.geomspace(1e12, 1e14, models):
        model = Model(f"{flops:g}", 1e6, flops / 6e6, 1e6, flops)
        for k in samples:
            found.append(Measurement(model, method, k, float(law(flops, 1e8 * k)), problems, 1e8 * k))
    return found


def log_odds(training, test):
    return 1 / (1 + np.exp(-(-1 + 0.6 * np.log(training / 1e13) + 0.3 * np.log(test / 1e9))))


def coverage(training, test):
    return np.exp(-1.2 * (training / 1e13) ** -0.5 * (test / 1e9) ** -0.25)


@pytest.mark.parametrize(("method", "law", "b", "c"), [("majority", log_odds, 0.6, 0.3), ("pass", coverage, 0.5, 0.25)])
def test_the_trade_off_comes_back(method, law, b, c):
    fit = fit_trade_off(measured(law, method), resamples=100)
    assert fit.quantities["b"].value == pytest.approx(b, rel=1e-3)
    assert fit.quantities["c"].value == pytest.approx(c, rel=1e-3)
    assert fit.quantities["exchange"].low < 2 < fit.quantities["exchange"].high
    assert not fit.doubt
    assert fit.accuracy(np.array([3e13]), np.array([2e9]))[0] == pytest.approx(law(3e13, 2e9), abs=1e-3)
    test = fit.test_flops(0.5, np.array([3e13]))
    assert law(3e13, test[0]) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(("method", "law"), [("majority", log_odds), ("pass", coverage)])
@pytest.mark.parametrize("queries", [1e2, 1e6])
def test_the_cheapest_split_is_that_of_an_exhaustive_search(method, law, queries):
    fit = fit_trade_off(measured(law, method), resamples=1)
    training, test = fit.cheapest(0.7, queries)
    every = np.geomspace(training / 100, training * 100, 40_001)
    totals = every + queries * fit.test_flops(0.7, every)
    assert training + queries * test == pytest.approx(totals.min(), rel=1e-4)
    assert training / (queries * test) == pytest.approx(2, rel=1e-2)  # b / c


def test_models_that_others_dominate_say_nothing():
    sound = measured(log_odds, "majority")
    unfit = Model("unfit", 1e8, 1e5, 1e8, 9e13)
    worse = [Measurement(unfit, "majority", k, 0.01, 2000, 5e9 * k) for k in (1, 2, 4)]
    fit = fit_trade_off([*sound, *worse], resamples=5)
    assert all(point.model.name != "unfit" for point in fit.points)
    assert fit.quantities["b"].value == pytest.approx(0.6, rel=1e-3)


def test_a_law_that_does_not_hold_says_so():
    def steps(training, test):
        return (0.5 if training > 2e13 else 0.0) + 0.005 * np.log(training) + 0.005 * np.log(test)

    assert "does not hold" in fit_trade_off(measured(steps, "majority"), resamples=20).doubt


def test_accuracies_that_depend_on_nothing_are_no_trade_off():
    fit = fit_trade_off(measured(lambda training, test: 0.5, "majority"), resamples=5)
    assert fit.doubt
    assert fit.quantities["exchange"].doubt


def test_three_models_are_too_few():
    assert "it takes 4" in fit_trade_off(measured(log_odds, "majority", models=3), resamples=20).doubt


def test_one_number_of_samples_is_no_trade_off():
    assert fit_trade_off(measured(log_odds, "greedy", samples=(1,))) is None


def by_loss(accuracy, losses=(1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)):
    return [
        Measurement(Model(f"{loss}", 1e6, 1e7, 1e6, 6e13, loss), "greedy", 1, accuracy(loss), 1000, 1e8)
        for loss in losses
    ]


def test_the_sigmoid_of_the_loss_comes_back():
    fit = fit_loss_to_accuracy(by_loss(lambda loss: 0.8 / (1 + np.exp((loss - 0.6) / 0.08))), resamples=100)
    assert fit.quantities["c"].value == pytest.approx(0.8, rel=1e-3)
    assert fit.quantities["m"].value == pytest.approx(0.6, rel=1e-3)
    assert fit.quantities["s"].value == pytest.approx(0.08, rel=1e-3)
    assert fit.quantities["m"].low < 0.6 < fit.quantities["m"].high
    assert fit.accuracy(np.array([0.6]))[0] == pytest.approx(0.4, abs=1e-3)


def test_models_that_solve_nothing_determine_no_sigmoid():
    assert "fewer than 3" in fit_loss_to_accuracy(by_loss(lambda loss: 0.0), resamples=10).doubt
