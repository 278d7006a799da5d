import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from ponderosa.core import PonderosaError
from ponderosa.core.format import ASSISTANT, MARKERS, USER
from ponderosa.sapling import BASES, base_path, problem_at
from ponderosa.sapling.corpora import corpus
from ponderosa.sapling.corpus import batches, document, encode
from ponderosa.sapling.pretrain import Pretraining, pretrain, rate_at
from ponderosa.sapling.tokenizer import train_tokenizer
from ponderosa.sapling.vocabulary import NAMES, OBJECTS


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(("".join(s.text for s in document(0, i)) for i in range(300)), NAMES + OBJECTS)


def test_the_tokenizer_loses_nothing(tokenizer):
    rng = random.Random(0)
    texts = ["".join(s.text for s in document(1, rng.randrange(10**6))) for _ in range(50)]
    texts += ["  two  spaces \n\n tabs\t, naïve €uro 漢字 and <code> \\boxed{-3} 0012 ", f"{USER}\n{ASSISTANT}<code>"]
    assert [tokenizer.decode(tokenizer.encode(text)) for text in texts] == texts


def test_markers_names_and_digits_are_single_tokens(tokenizer):
    for text in (USER, ASSISTANT, *MARKERS, *NAMES, *(name.lower() for name in NAMES)):
        assert len(tokenizer.encode(text)) == 1
        assert tokenizer.decode(tokenizer.encode(text), skip_special_tokens=True) == text
    for name in NAMES:
        assert len(tokenizer.encode(f" {name}")) == len(tokenizer.encode(f" {name.lower()}")) == 1
    assert len(tokenizer.encode(" 4711")) == 4


def test_the_tokenizer_of_many_dialects_keeps_to_the_same_rules(tmp_path):
    read = corpus("polyglot")
    documents = ["".join(s.text for s in document(0, i, "polyglot")) for i in range(300)]
    tokenizer = train_tokenizer(documents, NAMES + OBJECTS, read.vocabulary, read.fixed)
    for text in (*read.fixed, "<answer>", *NAMES, *(f" {name.lower()}" for name in NAMES), "\n\n"):
        assert len(tokenizer.encode(text)) == 1
    assert len(tokenizer.encode(" 4711")) == 4
    for i in range(300, 340):
        ids, weights = encode(tokenizer, 0, i, "polyglot")
        text = "".join(segment.text for segment in document(0, i, "polyglot"))
        assert ids == [*tokenizer.encode(text), tokenizer.eos_token_id]  # pieces and the whole are cut alike
        assert len(ids) == len(weights) < 700
        assert tokenizer.decode(ids[:-1]) == text


def test_the_chat_template_is_the_prompt_of_the_format(tokenizer):
    messages = [{"role": "user", "content": "How many?"}]
    assert tokenizer.apply_chat_template(messages, tokenize=False) == f"{USER}\nHow many?\n{ASSISTANT}"


def test_a_document_is_encoded_piece_by_piece_as_in_search(tokenizer):
    ids, weights = encode(tokenizer, 0, 5)
    text = "".join(segment.text for segment in document(0, 5))
    assert ids == [*tokenizer.encode(text), tokenizer.eos_token_id]
    assert len(weights) == len(ids)
    assert set(weights) == {0.0, 0.1, 1.0}


def test_batches_of_all_processes_are_distinct_documents_within_the_budget(tokenizer):
    streams = [batches(tokenizer, 0, 1024, rank, 2, 0) for rank in (0, 1)]
    rows = []
    for stream in streams:
        while (item := next(stream))[1] == 1:  # the first chunk
            batch = item[0]
            assert batch.tokens.shape == batch.weights.shape
            assert batch.tokens.numel() <= 1024
            assert batch.count <= batch.tokens.numel()
            rows += [tuple(row) for row in batch.tokens.tolist()]
    assert len(rows) == 2 * 128
    assert len(set(rows)) == len(rows)


def test_rates_rise_and_fall_to_zero():
    settings = Pretraining()
    factors = [rate_at(i / 1000, settings) for i in range(1001)]
    assert factors[0] == factors[-1] == 0
    assert max(factors) == 1
    peak = factors.index(1)
    assert factors[peak:] == sorted(factors[peak:], reverse=True)


def test_a_loss_that_is_not_finite_ends_the_run_and_saves_nothing(tmp_path, monkeypatch):
    import torch
    import torch.distributed as distributed

    from ponderosa.sapling import pretrain as module

    settings = Pretraining(tokens=4096, size="tiny", tokenizer="sapling", processes=1, batch_tokens=512, save_every=0)

    def gone(model, batch):
        return sum(parameter.sum() for parameter in model.parameters()) * torch.nan

    monkeypatch.setattr(module, "weighted_loss", gone)
    try:
        with pytest.raises(PonderosaError, match="not finite after 0 tokens"):
            module._train(0, tmp_path, settings, tmp_path / "rendezvous")
    finally:
        distributed.destroy_process_group()
    assert not (tmp_path / module.STATE).exists()


def test_no_tokens_are_no_training(tmp_path):
    with pytest.raises(PonderosaError, match="at least 1 token"):
        pretrain(tmp_path, Pretraining(tokens=0))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_killed_run_resumes_and_ends_in_a_checkpoint(tmp_path):
    out = tmp_path / "bases" / "no. #1"
    command = (
        "from pathlib import Path; from ponderosa.sapling.pretrain import *\n"
        "if __name__ == '__main__': pretrain(Path('bases/no. #1'), "
        "Pretraining(tokens=60_000, batch_tokens=1024, audited=20, save_every=0))"
    )
    script = tmp_path / "make.py"
    script.write_text(command)
    first = subprocess.Popen([sys.executable, str(script)], cwd=tmp_path)
    while not (out / "run" / "state.pt").exists():
        assert first.poll() is None
        time.sleep(0.1)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    subprocess.run([sys.executable, str(script)], cwd=tmp_path, check=True)
    assert (out / "model.safetensors").stat().st_size < 6_000_000
    assert json.loads((out / "config.json").read_text())["architectures"] == ["LlamaForCausalLM"]
    assert "greedy accuracy" in (out / "README.md").read_text()
    with pytest.raises(PonderosaError, match="another run"):
        pretrain(out, Pretraining(tokens=70_000, batch_tokens=1024))


@pytest.mark.parametrize("name", BASES)
def test_a_base_that_ships_is_small_and_reads(name):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ponderosa.sapling.audit import audit

    torch.set_num_threads(1)
    path = base_path(name)
    assert sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) <= 6_000_000
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    result = audit(model, AutoTokenizer.from_pretrained(path), [problem_at("test", 77, i) for i in range(24)])
    assert result.count == 24
    assert result.misread <= 3
    assert 0.2 <= result.accuracy <= 0.8
