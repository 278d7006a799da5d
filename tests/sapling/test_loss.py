import math

import pytest

from ponderosa.core import PonderosaError
from ponderosa.sapling import base_path
from ponderosa.sapling.loss import held_out_loss
from ponderosa.sapling.model import new_model
from ponderosa.sapling.pretrain import Pretraining, make_tokenizer


def test_a_base_has_learned_most_of_what_a_fresh_model_has_before_it(tmp_path):
    tokenizer = make_tokenizer(tmp_path, Pretraining(tokenizer="sapling"))
    tokenizer.save_pretrained(tmp_path)
    new_model(tokenizer, 0, "tiny").save_pretrained(tmp_path)
    assert held_out_loss(tmp_path, documents=8) == pytest.approx(math.log(len(tokenizer)), rel=0.05)
    assert 0 < held_out_loss(base_path(), documents=8) < 0.1


def test_how_documents_are_batched_does_not_change_the_loss():
    one, many = (held_out_loss(base_path(), documents=6, batch_tokens=tokens) for tokens in (1, 8192))
    assert one == pytest.approx(many, rel=1e-4)


def test_a_corpus_that_is_not_known_names_those_that_are():
    with pytest.raises(PonderosaError, match="choose one of code, polyglot"):
        held_out_loss(base_path(), corpus="latin")


def test_no_documents_are_no_measure():
    with pytest.raises(PonderosaError, match="at least 1 document"):
        held_out_loss(base_path(), documents=0)
