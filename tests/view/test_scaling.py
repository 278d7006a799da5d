import numpy as np
import pytest

from ponderosa.evaluation.scaling.fits import fit_all
from ponderosa.evaluation.scaling.measurements import from_rows
from ponderosa.evaluation.scaling.quantities import Quantity
from ponderosa.view.scaling import best_trained, doubts, findings, frontier_markdown, interval, write_report


def coverage(training, test):
    return np.exp(-1.2 * (training / 6e13) ** -0.4 * (test / 1e9) ** -0.3)


@pytest.fixture(scope="module")
def fits():
    """Of models whose accuracy is exactly a law of both kinds of compute; ten times the training is worth 10^(4/3)."""
    rows = [
        {
            **{"model": f"<b>{size:g}</b>", "parameters": size, "tokens": 1e7},
            **{"method": "pass", "samples": k, "problems": 4000, "test_flops": 2e2 * size * k},
            "accuracy": float(coverage(6 * size * 1e7, 2e2 * size * k)),
        }
        for size in (1e5, 3e5, 1e6, 3e6, 1e7)
        for k in (1, 4, 16, 64)
    ]
    return fit_all(from_rows(rows), resamples=50, targets=[0.4, 0.999], queries=[1e5])


def test_what_was_found_is_a_sentence(fits):
    (said,) = findings(fits)
    assert said.startswith("pass@N: ten times the training replaces 21.5 [")  # 10^(4/3)


def test_nothing_is_in_doubt_where_the_law_is_exact(fits):
    assert doubts(fits) == []


def test_a_target_that_nothing_reaches_is_said_to_be_not_reached(fits):
    (found,) = fits.frontiers
    table = frontier_markdown(found)
    assert "| 99.9 % | 1e+05 | not reached |" in table
    assert "| 40 % | 1e+05 | <b>" in table


def test_names_from_outside_are_escaped_in_the_page(fits, tmp_path):
    page = write_report(tmp_path, "<i>mine</i>", fits, "ponderosa scaling 'a&b'").read_text()
    assert "<b>100000</b>" not in page
    assert "&lt;b&gt;100000&lt;/b&gt;" in page
    assert "<i>mine</i>" not in page
    assert "a&amp;b" in page


@pytest.fixture(scope="module")
def composed():
    """Of models whose loss is Chinchilla's law and whose accuracy is a sigmoid of it, both exactly."""
    rows = []
    for size in (3e4, 1e5, 3e5, 1e6):
        for tokens in (3e6, 1e7, 3e7, 1e8):
            loss = 0.1 + 30 / size**0.4 + 2000 / tokens**0.55
            share = 0.9 / (1 + np.exp((loss - 0.62) / 0.09))
            row = {"parameters": size, "tokens": tokens, "loss": loss, "problems": 4000, "test_flops": 1e8}
            rows += [row | {"method": "greedy", "accuracy": share}]
    return fit_all(from_rows(rows), resamples=30)


def test_accuracy_by_training_compute_is_a_sentence_a_picture_and_a_table(composed, tmp_path):
    (said,) = [line for line in findings(composed) if line.startswith("Greedy at 1: ")]
    assert "with 6.0e+14 training FLOPs, the most measured, and " in said
    assert "with 6.0e+15 training FLOPs (extrapolated), divided as is best." in said
    page = write_report(tmp_path, "mine", composed).read_text()
    assert {"accuracy-by-compute-greedy.png", "accuracy-by-compute-greedy.svg"} <= {p.name for p in tmp_path.iterdir()}
    table = page[page.index("Accuracy by training compute</h2>") :]
    assert table.count("extrapolated: beyond the measured FLOPs, sizes, tokens") == 2
    assert "1M on 100M" in table


def test_accuracies_of_too_few_models_are_not_predicted_but_shown(tmp_path):
    rows = [
        {"parameters": size, "tokens": 1e7, "loss": 1e5 / size, "method": "greedy", "problems": 100}
        | {"accuracy": 1 - 3e4 / size, "test_flops": 1e8}
        for size in (1e5, 3e5, 1e6)
    ]
    few = fit_all(from_rows(rows), resamples=5)
    assert "Accuracy by training compute, Greedy at 1: the loss: 3 models for 5 parameters." in doubts(few)
    assert not [line for line in findings(few) if "training FLOPs" in line]
    write_report(tmp_path, "few", few)
    assert (tmp_path / "accuracy-by-compute-greedy.png").exists()


def test_an_interval_says_when_it_is_not_determined():
    assert interval(Quantity(0.5, 0.4, 0.6)) == "0.5 [0.4, 0.6]"
    assert interval(Quantity(0.5, 0.4, float("inf"), "2 models")) == "0.5 [0.4, none] (not determined: 2 models)"


def test_pictures_show_the_best_trained_of_each_size(fits):
    assert [model.parameters for model in best_trained(fits, most=2)] == [3e6, 1e7]
