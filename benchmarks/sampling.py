"""Generated tokens per second of `TransformersPolicy` beside plain `generate`, and vLLM on CPU where it is installed.

    OMP_NUM_THREADS=1 python benchmarks/sampling.py [--requests 64] [--new-tokens 48] [--repeats 3]

A Llama of 1.1M parameters with random weights, one thread. All contenders run in every repetition, on the same prompts
(about 120 tokens, 8 samples each), so that their ratios hold on a busy machine; times are CPU seconds of the process.
`search` is what tree search does: a sample is one short step, and each request extends an earlier one.
"""

import argparse
import asyncio
import importlib.util
import random
import statistics
import tempfile
import time
from collections.abc import Callable

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ponderosa.core import Prompt, Sampling
from ponderosa.models.transformers.policy import TransformersPolicy

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
    """Each prompt is a search of six steps of 5 to 40 tokens, and each next prompt goes on with one of the samples."""

    async def one(ids: list[int], rng: random.Random) -> int:
        tokens = 0
        for _ in range(6):
            sampling = Sampling(max_tokens=min(40, 5 + int(rng.expovariate(1 / 15))))
            answer = await policy.propose(text(ids), SAMPLES, sampling, rng.randrange(1 << 30))
            tokens += sum(completion.tokens for completion in answer)
            ids = [*ids, *(int(word[1:]) for word in answer[0].text.split())]
        return tokens

    return sum(await asyncio.gather(*(one(ids, random.Random(seed + i)) for i, ids in enumerate(batch))))


def vllm_cpu(folder: str, new_tokens: int) -> Callable[[list[list[int]]], int] | None:
    """The same through vLLM's offline interface, or None where it is not installed."""
    if importlib.util.find_spec("vllm") is None:
        return None
    from vllm import LLM, SamplingParams

    llm = LLM(folder, dtype="float32", max_num_seqs=512, max_model_len=1024, enforce_eager=True)
    settings = SamplingParams(n=SAMPLES, temperature=1.0, max_tokens=new_tokens, ignore_eos=True)

    def run(batch: list[list[int]]) -> int:
        answers = llm.generate([{"prompt_token_ids": ids} for ids in batch], settings, use_tqdm=False)
        return sum(len(output.token_ids) for answer in answers for output in answer.outputs)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--requests", type=int, default=64, help="prompts at a time, 8 samples each")
    parser.add_argument("--new-tokens", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    net, words = model(), tokenizer()
    policies = {dtype: TransformersPolicy(model().to(dtype), words) for dtype in (torch.float32, torch.bfloat16)}

    def batch(seed: int) -> list[list[int]]:
        return prompts(args.requests, seed)  # new ones each time: nothing comes from a cache

    def ours(dtype: torch.dtype, seed: int) -> int:
        return asyncio.run(propose_all(policies[dtype], batch(seed), args.new_tokens))

    contenders: dict[str, Callable[[int], int]] = {
        "generate": lambda seed: plain_generate(net, batch(seed), args.new_tokens),
        "ours": lambda seed: ours(torch.float32, seed),
        "ours, bfloat16": lambda seed: ours(torch.bfloat16, 1000 + seed),
        "ours, search": lambda seed: asyncio.run(search(policies[torch.float32], batch(2000 + seed), seed)),
    }
    with tempfile.TemporaryDirectory() as folder:
        net.save_pretrained(folder)
        words.save_pretrained(folder)
        if (vllm := vllm_cpu(folder, args.new_tokens)) is not None:
            contenders["vLLM"] = lambda seed: vllm(batch(seed))
        else:
            print("vLLM is not installed here: skipped")
        for run in contenders.values():  # the first run of each pays for what later ones find done
            run(0)
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        for repeat in range(1, args.repeats + 1):
            for name, run in contenders.items():
                start = time.process_time()
                tokens = run(repeat)
                rates[name].append(tokens / (time.process_time() - start))
    for policy in policies.values():
        policy.close()
    print(f"{args.requests} prompts x {SAMPLES} samples x {args.new_tokens} tokens, generated tokens per CPU second")
    for name, each in rates.items():
        ratio = statistics.median(a / b for a, b in zip(each, rates["generate"], strict=True))
        print(f"{name:15} {statistics.median(each):8,.0f}   {ratio:5.2f} x generate")


if __name__ == "__main__":
    main()
