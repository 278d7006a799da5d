"""How many parameters a model has, as its name says."""

import pytest

from ponderosa.models.size import named_parameters


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("models/Qwen2.5-Math-7B", 7e9),
        ("Qwen/Qwen2.5-Math-1.5B-Instruct", 1.5e9),
        ("http://127.0.0.1:8000?model=deepseek-coder-v2-236b", 236e9),
        ("Qwen3-30B-A3B", 30e9),
        ("models/phi-3", None),
        ("sapling-2bit", None),
    ],
)
def test_the_number_before_the_b_is_billions(name, parameters):
    assert named_parameters(name) == parameters
