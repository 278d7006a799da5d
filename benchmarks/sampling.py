"""Generated tokens per second of `TransformersPolicy` beside plain `generate`, and vLLM on CPU where it is installed.

    python benchmarks/sampling.py [--requests 64] [--new-tokens 48] [--repeats 3]

A Llama of 1.1M parameters with random weights, one thread. Every contender gets the same prompts (about 120 tokens, 8
samples each), and all of them in every repetition, so that their ratios hold on a busy machine; times are CPU seconds of the
process. `search` is what tree search does: every sample is one short step, and each request extends an earlier one.
"""

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Callable

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ponderosa.core import Prompt, Sampling
from ponderosa.models.transformers_policy import TransformersPolicy

SAMPLES = 8
PROMPT_TOKENS = 120
VOCABULARY = 1000


def tokenizer() -> PreTrainedTokenizerFast:
    """Words w0, w1, ...: one token each, so that text length is token length."""
    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(VOCABULARY)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="w0")


def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=128,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=384,
        vocab_size=VOCABULARY,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config).eval()


def prompts(count: int, seed: int) -> list[list[int]]:
    rng = random.Random(seed)
    return [[rng.randrange(1, VOCABULARY) for _ in range(PROMPT_TOKENS + rng.randint(-20, 20))] for _ in range(count)]


def text(ids: list[int]) -> Prompt:
    return Prompt("", " ".join(f"w{i}" for i in ids))


def plain_generate(net: LlamaForCausalLM, batch: list[list[int]], new_tokens: int) -> int:
    longest = max(map(len, batch))
    padded = torch.tensor([[0] * (longest - len(ids)) + ids for ids in batch])
    mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in batch])
    with torch.inference_mode():
        out = net.generate(
            padded,
            attention_mask=mask,
            do_sample=True,
            num_return_sequences=SAMPLES,
            max_new_tokens=new_tokens,
        )
    return out.shape[0] * (out.shape[1] - longest)


async def propose_all(policy: TransformersPolicy, batch: list[list[int]], new_tokens: int) -> int:
    sampling = Sampling(max_tokens=new_tokens)
    answers = await asyncio.gather(*(policy.propose(text(ids), SAMPLES, sampling, i) for i, ids in enumerate(batch)))
    return sum(completion.tokens for answer in answers for completion in answer)


async def search(policy: TransformersPolicy, batch: list[list[int]], seed: int) -> int:
    """Each prompt is a search of six steps; steps have 5 to 40 tokens, and the next prompt continues with one of them."""

    async def one(ids: list[int], rng: random.Random) -> int:
        tokens = 0
        for _ in range(6):
            sampling = Sampling(max_tokens=min(40, 5 + int(rng.expovariate(1 / 15))))
            answer = await policy.propose(text(ids), SAMPLES, sampling, rng.randrange(1 << 30))
            tokens += sum(completion.tokens for completion in answer)
            ids = [*ids, *(int(word[1:]) for word in answer[0].text.split())]
        return tokens

    return sum(await asyncio.gather(*(one(ids, random.Random(seed + i)) for i, ids in enumerate(batch))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--requests", type=int, default=64, help="prompts at a time, 8 rows each")
    parser.add_argument("--new-tokens", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=["ours", "search", "generate", "vllm"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    net, plain = model(), model()
    policies = {dtype: TransformersPolicy(model().to(dtype), tokenizer()) for dtype in (torch.float32, torch.bfloat16)}
    contenders: dict[str, Callable[[int], int]] = {}
