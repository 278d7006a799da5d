import json

import numpy as np
import pytest

from ponderosa.core import PonderosaError
from ponderosa.evaluation.scaling.measurements import from_rows, short

ROW = {"parameters": 1e6, "tokens": 1e7, "loss": 0.5}
ACCURACY = {**ROW, "method": "majority", "samples": 4, "accuracy": 0.25, "problems": 100, "test_flops": 1e9}


def test_a_row_has_defaults():
    model = from_rows([ROW]).models[0]
    assert (model.non_embedding, model.training_flops, model.name) == (1e6, 6e13, "1M on 10M")
    point = from_rows([{**ACCURACY, "test_flops": None, "test_tokens": 500}]).accuracies[0]
    assert point.test_flops == 2 * 1e6 * 500


def test_rows_of_one_model_share_its_loss():
    without = {key: value for key, value in ACCURACY.items() if key != "loss"}
    found = from_rows([without, ROW])
    assert len(found.models) == 1
    assert found.accuracies[0].model.loss == 0.5


def test_rates_may_be_text_or_numbers():
    for rates in ("0001", [0, 0, 0, 1], [0.5, 0.5, 0, 0]):
        point = from_rows([{**ACCURACY, "rates": rates, "problems": None}]).accuracies[0]
        assert point.problems == 4
        assert np.mean(point.rates) == 0.25


def test_columns_that_are_not_known_are_remarked():
    assert "learning_rate" in from_rows([{**ROW, "learning_rate": 0.1}]).remarks[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tokens": None}, "`tokens` is missing"),
        ({"tokens": "many"}, "expected a number above 0"),
        ({"tokens": True}, "expected a number above 0"),
        ({"loss": float("nan")}, "expected a number above 0"),
        ({"loss": None, "accuracy": None}, "neither `loss` nor `accuracy`"),
        ({"accuracy": 25}, "a share from 0 to 1"),
        ({"accuracy": "high"}, "a share from 0 to 1"),
        ({"method": None}, "needs its `method`"),
        ({"problems": None}, "`problems` is missing"),
        ({"problems": 0.3}, "expected a whole number"),
        ({"test_flops": None}, "`test_flops` or `test_tokens`"),
        ({"test_flops": None, "test_tokens": "few"}, "expected a number above 0"),
        ({"rates": "0011"}, "the mean of rates is 0.5"),
        ({"rates": "012"}, "a text of 0s and 1s"),
        ({"rates": 7}, "a text of 0s and 1s"),
        ({"non_embedding": 2e6}, "more than parameters"),
    ],
)
def test_a_row_that_cannot_be_is_one_clear_line(changes, said):
    with pytest.raises(PonderosaError, match="points, row 1") as error:
        from_rows([{**ACCURACY, **changes}])
    assert said in str(error.value)


def test_two_models_of_one_name_are_told_apart():
    with pytest.raises(PonderosaError, match="give each a `model` or `seed`"):
        from_rows([ROW, {**ROW, "loss": 0.6}])
    assert len(from_rows([ROW, {**ROW, "loss": 0.6, "seed": 1}]).models) == 2


@pytest.mark.parametrize("with_loss", [0, 1])
def test_a_row_of_another_shape_is_another_model_whichever_has_the_loss(with_loss):
    rows = [{**ACCURACY, "model": "a"}, {**ACCURACY, "model": "a", "parameters": 5e5, "samples": 9}]
    for place, row in enumerate(rows):
        row["loss"] = 1.0 if place == with_loss else None
    with pytest.raises(PonderosaError, match="a is another model above"):
        from_rows(rows)


def test_one_measurement_comes_once():
    with pytest.raises(PonderosaError, match="keep one"):
        from_rows([ACCURACY, {**ACCURACY, "accuracy": 0.3}])


def test_no_rows_are_an_error():
    with pytest.raises(PonderosaError, match="no rows"):
        from_rows([])


def test_json_of_numbers_is_kept():
    assert from_rows([json.loads(json.dumps(ACCURACY))]).accuracies[0].accuracy == 0.25


@pytest.mark.parametrize(("value", "said"), [(1_115_520, "1.12M"), (84e3, "84k"), (7e9, "7B"), (12, "12")])
def test_numbers_are_shortened(value, said):
    assert short(value) == said
