import json

import numpy as np
import pytest

from ponderosa.api.scaling import scaling
from ponderosa.core import PonderosaError


def law(parameters, tokens):
    return 0.1 + 30 / parameters**0.4 + 2000 / tokens**0.55


def rows(sizes=(1e5, 3e5, 1e6), tokens=(1e6, 2e6, 4e6, 8e6), samples=(1, 3, 9, 27)):
    """Models with known laws: the loss is Chinchilla's, coverage an exponentiated power law of compute and samples."""
    rng = np.random.default_rng(0)
    for size in sizes:
        for read in tokens:
            model = {"parameters": size, "tokens": read, "loss": law(size, read) * np.exp(0.003 * rng.normal())}
            for k in samples:
                share = np.exp(-((model["loss"] / 0.6) ** 3) * k**-0.4)
                test = {"problems": 400, "test_flops": 2 * size * (50 + 100 * k)}
                yield {**model, **test, "method": "pass", "samples": k, "accuracy": round(400 * share) / 400}
                vote = 0.8 * share + 0.05
                yield {**model, **test, "method": "majority", "samples": k, "accuracy": round(400 * vote) / 400}


def written(path, found):
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return path


def test_measurements_made_elsewhere_are_fitted_and_reported(tmp_path):
    points = written(tmp_path / "points.jsonl", rows())
    made = scaling(
        points, out=tmp_path / "out", resamples=20, targets=[0.3], queries=[1e4], command="ponderosa scaling x"
    )
    fits = json.loads((tmp_path / "out" / "fits.json").read_text())
    assert fits["loss"]["chinchilla"]["quantities"]["beta"]["low"] < 0.55
    assert fits["loss"]["chinchilla"]["quantities"]["beta"]["high"] > 0.5
    assert {fit["method"] for fit in fits["test_time"]} == {"pass", "majority"}
    chosen = [choice for each in fits["frontier"] for choice in each["choices"] if choice["basis"] == "measured"]
    assert [(choice["target"], choice["queries"]) for choice in chosen] == [(0.3, 1e4)] * 2
    for choice in chosen:  # no other that reaches the target is cheaper
        totals = [
            6 * row["parameters"] * row["tokens"] + 1e4 * row["test_flops"]
            for row in rows()
            if row["method"] == choice["method"] and row["accuracy"] >= 0.3
        ]
        assert choice["total"]["value"] == pytest.approx(min(totals))
    page = made.report.read_text()
    assert "What these data do not determine" in page
    assert "ponderosa scaling x" in page
    names = {path.name for path in (tmp_path / "out").iterdir()}
    for picture in (
        "loss",
        "compute-optimal",
        "accuracy-by-loss",
        "accuracy-by-compute-pass",
        "test-time-pass",
        "trade-off",
        "trade-off-coverage",
    ):
        assert {f"{picture}.svg", f"{picture}.png"} <= names
    assert "src=" not in page.replace("data:", "")  # nothing outside itself


def test_a_folder_is_for_the_fits_of_one_file_and_keeps_no_picture_of_others(tmp_path):
    points = written(tmp_path / "points.jsonl", rows())
    scaling(points, out=tmp_path / "out", resamples=5, targets=[0.3])
    assert (tmp_path / "out" / "test-time-pass.png").exists()
    written(points, [row for row in rows() if row["method"] == "majority"])
    scaling(points, out=tmp_path / "out", resamples=5)
    assert {path.stem for path in (tmp_path / "out").glob("test-time-*")} == {"test-time-majority"}
    with pytest.raises(PonderosaError, match=r"other settings \(points: .*points\.jsonl -> .*others\.jsonl\)"):
        scaling(written(tmp_path / "others.jsonl", rows()), out=tmp_path / "out", resamples=5)


def test_fits_are_not_written_into_the_folder_of_a_run(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text("name: mine")
    (tmp_path / "run" / "report.html").write_text("the run's")
    with pytest.raises(PonderosaError, match=r"holds recipe\.yaml, report\.html but no scaling\.yaml: choose"):
        scaling(written(tmp_path / "points.jsonl", rows()), out=tmp_path / "run", resamples=5)
    assert (tmp_path / "run" / "report.html").read_text() == "the run's"
    assert not (tmp_path / "run" / "fits.json").exists()


def test_losses_alone_are_enough(tmp_path):
    alone = {(r["parameters"], r["tokens"]): {k: r[k] for k in ("parameters", "tokens", "loss")} for r in rows()}
    made = scaling(written(tmp_path / "p.jsonl", alone.values()), out=tmp_path / "out", resamples=5)
    assert made.fits.frontiers == ()
    assert {path.stem for path in (tmp_path / "out").glob("*.png")} == {"loss", "compute-optimal"}


def test_accuracies_alone_are_enough(tmp_path):
    without = [{key: value for key, value in row.items() if key != "loss"} for row in rows(tokens=(4e6,))]
    made = scaling(written(tmp_path / "p.jsonl", without), out=tmp_path / "out", resamples=5)
    assert made.fits.losses == ()
    assert made.fits.curves


def test_a_row_may_name_an_evaluation(tmp_path):
    folder = tmp_path / "eval"
    folder.mkdir()
    cost = {"generated": 300.0, "prompt": 100.0, "rewarded": 200.0, "discriminator": 0.0}
    point = {"method": "majority", "budget": 4, "accuracy": 0.5, "n": 4, "cost": cost, "right": "0011"}
    results = {
        "settings": {"policy": "mine"},
        "parameters": {"policy": 1000, "reward": None, "discriminator": None},
        "points": [point, {**point, "method": "pass", "right": None, "accuracy": 0.75}],
    }
    (folder / "results.json").write_text(json.dumps(results))
    row = {"evaluation": str(folder), "tokens": 1e6, "loss": 0.5}
    with pytest.raises(PonderosaError, match=r"line 1: .* does not say how large .* add parameters, reward_parameters"):
        scaling(written(tmp_path / "p.jsonl", [row]), out=tmp_path / "out")
    points = written(tmp_path / "p.jsonl", [{**row, "reward_parameters": 500}])
    made = scaling(points, out=tmp_path / "out", resamples=5)
    found = made.fits.measurements
    assert found.models[0].name == "mine"
    assert [(p.method, p.samples, p.accuracy, p.problems) for p in found.accuracies] == [
        ("majority", 4, 0.5, 4),
        ("pass", 4, 0.75, 4),
    ]
    assert {p.test_flops for p in found.accuracies} == {2 * (1000 * 400 + 500 * 200)}
    served = scaling(written(points, [{**row, "parameters": 7e9, "reward_parameters": 7e9}]), out=tmp_path / "served")
    assert served.fits.measurements.accuracies[0].test_flops == 2 * 7e9 * 600
    (folder / "results.json").unlink()
    with pytest.raises(PonderosaError, match="not a finished evaluation"):
        scaling(points, out=tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "said"), [("{", "line 1: not JSON"), ("[1]", "line 1: expected an object"), ("", "has no rows")]
)
def test_a_file_that_is_none_of_points_is_one_clear_line(tmp_path, text, said):
    path = tmp_path / "p.jsonl"
    path.write_text(text)
    with pytest.raises(PonderosaError, match=said):
        scaling(path, out=tmp_path / "out")


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(PonderosaError, match="cannot read"):
        scaling(tmp_path / "p.jsonl")


@pytest.mark.parametrize(("asked", "said"), [({"targets": [50]}, "between 0 and 1"), ({"queries": [0]}, "above 0")])
def test_targets_and_queries_that_cannot_be_are_said(tmp_path, asked, said):
    with pytest.raises(PonderosaError, match=said):
        scaling(written(tmp_path / "p.jsonl", rows()), out=tmp_path / "out", **asked)
