"""Tiny checkpoints: random weights, large enough that attention and sampling show, and a byte-level tokenizer."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ponderosa.core.format import MARKERS

SENTENCE = "Ann has twice as many apples as Ben, who gives some of his pears away. How many fewer are left in total?"
WORDS = SENTENCE.split(" ")


def sentences(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [
        " ".join(rng.choices(WORDS, k=rng.randint(5, 40)))
        + f" {rng.randint(0, 99)}?\n# Step 1: x = {rng.randint(0, 9)}\n"
        for _ in range(count)
    ]


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator(sentences(200), trainer)
    bpe.add_special_tokens(["<pad>", "<eos>"])
    bpe.add_tokens([AddedToken(marker, normalized=False) for marker in MARKERS])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token="<pad>", eos_token="<eos>")


@pytest.fixture(scope="session")
def randomized() -> Callable[[Any], Any]:
    """Gives a model weights so large that a wrong key or value anywhere changes the greedy text."""
    import torch

    torch.set_num_threads(1)

    def randomize(model: Any) -> Any:
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 2:
                    parameter.normal_(0.0, 0.3, generator=generator)
        return model.eval()

    return randomize


@pytest.fixture(scope="session")
def llama(tokenizer: Any, randomized: Callable[[Any], Any]) -> Callable[..., Any]:
    """Makes a Llama; `classifier` gives it a scalar head. The same weights for the same arguments."""
    from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

    def make(classifier: bool = False, **overrides: Any) -> Any:
        settings: dict[str, Any] = {
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 256,
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        }
        if classifier:
            settings |= {"id2label": {0: "value"}, "reward_scale": 2.0}
        model = (LlamaForSequenceClassification if classifier else LlamaForCausalLM)(
            LlamaConfig(**settings | overrides)
        )
        return randomized(model)

    return make


@pytest.fixture(scope="session")
def policy_folder(llama: Callable[..., Any], tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(llama(), tokenizer, tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="session")
def reward_folder(llama: Callable[..., Any], tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(llama(classifier=True), tokenizer, tmp_path_factory.mktemp("reward"))


def saved(model: Any, tokenizer: Any, path: Path) -> Path:
    from transformers.utils import logging

    logging.disable_progress_bar()
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path
