"""A policy of llama.cpp: samples, seeds, stops and counts as any policy's."""

import asyncio
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ponderosa.core import BackendError, Completion, Ended, PonderosaError, Prompt, Sampling
from ponderosa.models import load_policy

from .conftest import sentences

TEXTS = sentences(6, seed=2)
HOT = Sampling(temperature=1.0, max_tokens=12)

llamacpp = pytest.mark.gguf


@pytest.fixture(scope="module")
def file(policy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: `make test-gguf`")
    from ponderosa.models.llamacpp.export import write_gguf

    path = tmp_path_factory.mktemp("gguf") / "policy.gguf"
    write_gguf(policy_folder, path, "f32")
    return path


@pytest.fixture
def policy(file: Path) -> Iterator[Any]:
    policy = load_policy(str(file))
    yield policy
    policy.close()


def propose(policy: Any, *requests: tuple[str, int, Sampling, int]) -> list[list[Completion]]:
    async def all_at_once() -> list[list[Completion]]:
        return await asyncio.gather(*(policy.propose(Prompt("", text), *rest) for text, *rest in requests))

    return asyncio.run(all_at_once())


@llamacpp
def test_samples_are_those_of_their_seed_and_differ(policy: Any) -> None:
    first, again, other = (propose(policy, (TEXTS[1], 20, HOT, seed))[0] for seed in (1, 1, 2))
    assert [c.text for c in first] == [c.text for c in again]
    assert len({c.text for c in first}) == 20
    assert not {c.text for c in first} & {c.text for c in other}


@llamacpp
def test_a_request_is_answered_alike_in_any_company(policy: Any) -> None:
    alone = [propose(policy, (text, 1, Sampling(0.0, max_tokens=6), 0))[0][0].text for text in TEXTS]
    together = propose(policy, *((text, 3, Sampling(0.0, max_tokens=6), 0) for text in TEXTS))
    assert [[c.text for c in answer] for answer in together] == [[text] * 3 for text in alone]
    assert len(set(alone)) > 1


@llamacpp
def test_samples_follow_the_models_probabilities(policy: Any, llama: Any, tokenizer: Any) -> None:
    import torch

    with torch.inference_mode():
        logits = llama()(torch.tensor([tokenizer(TEXTS[2])["input_ids"]])).logits[0, -1]
    weights, tokens = torch.softmax(logits / 2, -1).sort(descending=True)
    rank = {tokenizer.decode([int(token)]): i for i, token in enumerate(tokens)}

    def drawn(**cut: Any) -> list[int]:
        sampling = Sampling(2.0, max_tokens=1, **cut)
        answers = propose(policy, *((TEXTS[2], 100, sampling, seed) for seed in range(10)))
        return [rank[c.text or tokenizer.eos_token] for answer in answers for c in answer]

    best = float(weights[0])
    for ranks, expected in (
        (drawn(), best),
        (drawn(top_k=3), best / float(weights[:3].sum())),
        (drawn(top_k=3, top_p=1e-3), 1.0),
    ):
        spread = 5 * math.sqrt(expected * (1 - expected) / 1000)
        assert abs(ranks.count(0) / 1000 - expected) <= spread
    assert set(drawn(top_k=3)) == {0, 1, 2}


@llamacpp
def test_log_probabilities_are_those_of_the_model(policy: Any, llama: Any, tokenizer: Any) -> None:
    import torch

    prompt = tokenizer(TEXTS[3])["input_ids"]
    checked = 0
    for completion in propose(policy, (TEXTS[3], 20, Sampling(0.7, max_tokens=2, logprobs=True), 0))[0]:
        ids = tokenizer(completion.text, add_special_tokens=False)["input_ids"]
        if len(ids) != completion.tokens:
            continue  # tokens that no tokenizer would choose for their text
        with torch.inference_mode():
            logits = llama()(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1] / 0.7
        expected = logits.log_softmax(-1).gather(1, torch.tensor(ids).unsqueeze(1)).sum()
        assert completion.logprob == pytest.approx(float(expected), abs=0.1)  # a cache of 16 bits
        checked += 1
    assert checked > 3
    assert propose(policy, (TEXTS[3], 1, HOT, 0))[0][0].logprob is None


@llamacpp
def test_a_stop_ends_a_sample_and_is_named(policy: Any) -> None:
    (whole,) = propose(policy, (TEXTS[0], 1, Sampling(0.0, max_tokens=12), 0))[0]
    stop = whole.text[4:6]
    before = whole.text[: whole.text.index(stop)]
    (cut,) = propose(policy, (TEXTS[0], 1, Sampling(0.0, max_tokens=12, stop=("nowhere", stop)), 0))[0]
    assert (cut.text, cut.ended, cut.stop) == (before, Ended.STOP, stop)
    assert 0 < cut.tokens < whole.tokens == 12
    assert (whole.ended, whole.stop) == (Ended.LENGTH, None)


@llamacpp
def test_tokens_are_counted_and_what_prompts_share_is_read_once(policy: Any, tokenizer: Any) -> None:
    length = len(tokenizer(TEXTS[4])["input_ids"])
    first, second = propose(policy, (TEXTS[4], 2, HOT, 0), (TEXTS[4] + " and", 1, HOT, 0))
    assert [(c.prompt_tokens, c.cached_tokens) for c in first] == [(length, 0), (length, length)]
    assert second[0].cached_tokens == length
    assert propose(policy, (TEXTS[4], 0, HOT, 0)) == [[]]


@llamacpp
def test_more_samples_than_the_cache_holds_are_all_there(file: Path) -> None:
    from ponderosa.models.llamacpp.policy import LlamaCppPolicy

    long = Sampling(1.5, max_tokens=200)
    policy = LlamaCppPolicy(file, context=128, max_rows=16)
    found = propose(policy, (TEXTS[0], 40, long, 0), (TEXTS[1], 3, long, 0))
    policy.close()
    assert [len(answer) for answer in found] == [40, 3]
    for completion in found[0]:
        assert completion.ended is Ended.EOS or completion.prompt_tokens + completion.tokens == 128


@llamacpp
def test_a_prompt_that_is_too_long_fails_alone(policy: Any) -> None:
    async def both() -> list[Any]:
        asked = (policy.propose(Prompt("", text), 1, HOT, 0) for text in (TEXTS[0] * 40, TEXTS[0]))
        return await asyncio.gather(*asked, return_exceptions=True)

    failed, served = asyncio.run(both())
    assert isinstance(failed, BackendError)
    assert "leaves no room to generate in the model's context of 256" in str(failed)
    assert len(served) == 1


@llamacpp
def test_files_and_options_that_are_wrong_are_named(file: Path, tmp_path: Path) -> None:
    (tmp_path / "damaged.gguf").write_bytes(file.read_bytes()[:2000])
    for name, message in (
        (f"{tmp_path}/gone.gguf", "there is no file .*gone.gguf: make it with `ponderosa gguf`"),
        (f"{tmp_path}/damaged.gguf", "cannot load .*damaged.gguf: it is damaged"),
        (f"{file}?device=cuda", "has no option device: choose of context, threads"),
        (f"{file}?threads=many", "the option threads is a whole number, not 'many'"),
    ):
        with pytest.raises(PonderosaError, match=message):
            load_policy(name)


@llamacpp
def test_a_closed_policy_says_so(file: Path) -> None:
    policy = load_policy(f"{file}?context=64")
    policy.close()
    with pytest.raises(BackendError, match="is closed"):
        propose(policy, (TEXTS[0], 1, HOT, 0))


def test_without_llama_cpp_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("ponderosa.models.llamacpp")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    with pytest.raises(PonderosaError, match=r"p\.gguf needs llama_cpp: pip install 'ponderosa\[gguf\]'"):
        load_policy("p.gguf")


@llamacpp
def test_a_small_device_needs_no_torch(file: Path) -> None:
    code = f"""
import asyncio, sys
from ponderosa.core import Prompt, Sampling
from ponderosa.models import load_policy
policy = load_policy({str(file)!r})
(said,) = asyncio.run(policy.propose(Prompt("", "Ann"), 1, Sampling(0.0, max_tokens=3), 0))
policy.close()
print(said.tokens, "torch" in sys.modules, "transformers" in sys.modules)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["3", "False", "False"]
    assert told.stderr == ""
