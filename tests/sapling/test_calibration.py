import pytest

from ponderosa.sapling import base_path, problem_at
from ponderosa.sapling.calibration import CellRate, calibration, farthest
from ponderosa.sapling.world import KINDS

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def base():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    path = base_path()
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(path)


def test_the_base_that_ships_tells_the_kinds_of_sentence_apart(base):
    rates = calibration(*base, [problem_at("test", 78, i) for i in range(60)])
    often = {cell: rate for cell, rate in rates.items() if rate.count >= 3}  # a single sentence may be an odd one
    assert len(often) > 20
    worst = farthest(often)
    assert abs(often[worst].model - often[worst].corpus) < 0.2, (worst, often[worst])


def test_a_model_that_knows_nothing_does_not(base):
    from transformers import LlamaForCausalLM

    model, tokenizer = base
    torch.manual_seed(0)
    rates = calibration(LlamaForCausalLM(model.config).eval(), tokenizer, [problem_at("test", 78, i) for i in range(9)])
    assert max(abs(rate.model - rate.corpus) for rate in rates.values()) > 0.3


def test_only_cells_with_wrong_ways_have_rates(base):
    rates = calibration(*base, [problem_at("train", 1, i) for i in range(6)])
    assert all(KINDS[kind].wrong for kind, _ in rates)
    assert all(0 <= rate.model <= 1 for rate in rates.values())


def test_the_farthest_cell_may_be_too_right_or_too_wrong():
    near = {("more", 0): CellRate(0.05, 0.1, 3), ("half", 1): CellRate(0.3, 0.31, 2)}
    assert farthest(near | {("times", 2): CellRate(0.6, 0.4, 5)}) == ("times", 2)
    assert farthest(near | {("times", 2): CellRate(0.4, 0.6, 5)}) == ("times", 2)
