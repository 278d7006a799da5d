"""A folder as a newcomer has it after `make demo`: a run, whose models are tiny here and of random weights."""

from pathlib import Path

import pytest
import yaml

PROBLEMS = "".join(f'{{"question": "What is 2 + {i}?", "answer": "{2 + i}"}}\n' for i in range(3))
RECIPE = {
    "policy": "sapling",
    "rounds": [{}],
    "search": {"candidates": 2, "max_depth": 2, "max_tokens": 16},
    "evaluation": {"rollouts": 2, "max_tokens": 16},
}


@pytest.fixture(scope="session")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder, with `problems.jsonl` and `runs/demo`."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification
    from transformers.utils import logging

    from ponderosa.sapling.tokenizer import train_tokenizer

    logging.disable_progress_bar()
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("newcomer")
    (folder / "problems.jsonl").write_text(PROBLEMS)
    run = folder / "runs" / "demo"
    run.mkdir(parents=True)
    (run / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    tokenizer = train_tokenizer([PROBLEMS], ())
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=512,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        num_labels=1,
    )
    for name, kind in (("policy", LlamaForCausalLM), ("ppm", LlamaForSequenceClassification)):
        kind(config).save_pretrained(run / "round-1" / name)
        tokenizer.save_pretrained(run / "round-1" / name)
    return folder
