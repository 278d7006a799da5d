"""Sharing prompts works for any architecture with the attention interface; where it cannot, plain batches do."""

import asyncio
import logging
from typing import Any

import pytest
import torch
import transformers

from ponderosa.core import CodeFormat, Prompt, Sampling
from ponderosa.models.transformers.policy import TransformersPolicy
from ponderosa.models.transformers.reward import TransformersReward
from ponderosa.models.transformers.sharing import share_prefixes

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
SHARING = {
    "Llama": {},
    "Qwen2": {},
    "Qwen3": {"head_dim": 16},
    "Mistral": {"sliding_window": None},
    "Phi3": {},
    "GPTNeoX": {"num_key_value_heads": 4},
    "Gemma": {"head_dim": 16},
}
PLAIN = {
    "Mistral": {"sliding_window": 8},
    "Gemma2": {"head_dim": 16, "sliding_window": 8, "query_pre_attn_scalar": 16},
    "Mamba": {},
}


def causal(architecture: str, vocab_size: int, overrides: dict[str, Any]) -> Any:
    """A model of an architecture by the name that transformers gives it."""
    config = getattr(transformers, f"{architecture}Config")(vocab_size=vocab_size, **SMALL | overrides)
    model = getattr(transformers, f"{architecture}ForCausalLM")(config)
    model.generation_config.eos_token_id = None
    return model


def check_against_generate(model: Any, tokenizer: Any) -> None:
    texts = ["Ann has twice as many apples.", "Ben gives", "How many pears are left in total? " * 2]
    expected = []
    for text in texts:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.inference_mode():
            output = model.generate(ids, max_new_tokens=12, do_sample=False, pad_token_id=0)
        expected.append(tokenizer.decode(output[0, ids.shape[1] :]))
    policy = TransformersPolicy(model, tokenizer)
    sampling = Sampling(0.0, max_tokens=12)

    async def propose() -> list[Any]:
        return await asyncio.gather(*(policy.propose(Prompt("", text), 2, sampling, 0) for text in texts))

    answers = asyncio.run(propose())
    policy.close()
    assert [[completion.text for completion in answer] for answer in answers] == [[text] * 2 for text in expected]


@pytest.mark.parametrize("architecture", SHARING)
def test_this_architecture_shares_prompts(architecture: str, tokenizer: Any, randomized: Any) -> None:
    model = randomized(causal(architecture, len(tokenizer), SHARING[architecture]))
    check_against_generate(model, tokenizer)
    assert share_prefixes(model)


@pytest.mark.parametrize("architecture", PLAIN)
def test_this_architecture_runs_in_plain_batches(
    architecture: str, tokenizer: Any, randomized: Any, caplog: pytest.LogCaptureFixture
) -> None:
    model = randomized(causal(architecture, len(tokenizer), PLAIN[architecture]))
    with caplog.at_level(logging.WARNING):
        check_against_generate(model, tokenizer)
    assert "cannot share prompts between samples" in caplog.text


def test_a_reward_that_cannot_share_scores_the_same(
    llama: Any, tokenizer: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [
        ("Ann has pears?", ("\nx = 1\n<end_of_step>", "\ny = 2\n<end_of_step>")),
        ("Ben?", ("\nx = 1\n<end_of_step>",)),
    ]

    def scores() -> list[tuple[float, ...]]:
        reward = TransformersReward(llama(classifier=True), CodeFormat(), tokenizer)
        values = asyncio.run(reward.score(paths))
        reward.close()
        return [one.values for one in values]

    shared = scores()
    monkeypatch.setattr("ponderosa.models.transformers.sharing._obstacle", lambda model: "of this test")
    plain = scores()
    assert "(of this test)" in caplog.text
    assert [len(values) for values in plain] == [2, 1]
    for ours, theirs in zip(shared, plain, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
