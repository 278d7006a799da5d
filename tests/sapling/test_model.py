import pytest

from ponderosa.core import PonderosaError
from ponderosa.sapling import base_path, problem_at
from ponderosa.sapling.corpus import document
from ponderosa.sapling.model import SIZES, new_model, shape
from ponderosa.sapling.pretrain import Pretraining, command, make_tokenizer


@pytest.mark.parametrize("size", SIZES)
def test_a_shape_knows_how_many_parameters_its_model_has(size):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base_path())
    model = new_model(tokenizer, 0, size)
    assert model.num_parameters() == shape(size).parameters(len(tokenizer))


def test_sizes_grow():
    counts = [shape(size).parameters() for size in SIZES]
    assert counts == sorted(counts)
    assert len(set(counts)) == len(counts)


def test_a_size_that_is_not_known_names_those_that_are():
    with pytest.raises(PonderosaError, match="tiny, small, base"):
        shape("enormous")


def test_the_tokenizer_of_a_base_is_taken_where_it_is_named(tmp_path):
    taken = make_tokenizer(tmp_path, Pretraining(tokenizer="sapling"))
    assert taken.get_vocab() == make_tokenizer(tmp_path, Pretraining()).get_vocab()  # loaded, once it is there
    text = "".join(segment.text for segment in document(3, 3)) + problem_at("test", 0, 0).question
    assert taken.decode(taken.encode(text)) == text
    with pytest.raises(PonderosaError, match="no tokenizer at"):
        make_tokenizer(tmp_path / "other", Pretraining(tokenizer=str(tmp_path / "nowhere")))


def test_the_card_names_the_command_with_what_is_not_usual(tmp_path):
    settings = Pretraining(tokens=9, size="small", tokenizer="sapling", seed=4)
    expected = "ponderosa sapling pretrain s --size small --tokenizer sapling --tokens 9 --seed 4"
    assert command(tmp_path / "s", settings) == expected
