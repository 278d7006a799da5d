"""A checkpoint as a GGUF file is the same model to llama.cpp as to transformers."""

import asyncio
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from ponderosa.core import CodeFormat, Completion, PonderosaError, Sampling
from ponderosa.core.format import MARKERS
from ponderosa.models import load_policy
from ponderosa.sapling import base_path, problems

from .conftest import saved, sentences

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed: `make test-gguf`")
pytestmark = pytest.mark.gguf

from gguf import GGMLQuantizationType, GGUFReader  # noqa: E402

from ponderosa.models.llamacpp.binding import LlamaCpp  # noqa: E402
from ponderosa.models.llamacpp.export import write_gguf  # noqa: E402
from ponderosa.models.llamacpp.vocabulary import PRE_TOKENIZERS  # noqa: E402

TEXTS = sentences(6, seed=1)
QWEN2 = next(pattern for pattern, name in PRE_TOKENIZERS.items() if name == "qwen2")


def after(gguf: Path, texts: list[list[int]]) -> torch.Tensor:
    """llama.cpp's log-probabilities [text, V] of the token after each text."""
    model = LlamaCpp(gguf, 256, 1, 1)
    found = []
    for ids in texts:
        model.cut(0)
        model.prefill(ids, 0)
        found.append(torch.tensor(model.logits(-1).copy()).log_softmax(-1))
    model.close()
    return torch.stack(found)


def expected(folder: Path, texts: list[list[int]]) -> torch.Tensor:
    """Those of transformers."""
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.inference_mode():
        return torch.stack([model(torch.tensor([ids])).logits[0, -1].log_softmax(-1) for ids in texts])


@pytest.fixture(scope="module")
def qwen2_tokenizer(tokenizer: Any) -> Any:
    """A tokenizer with Qwen2's pre-tokenizer."""
    from tokenizers import Regex, Tokenizer, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="<eos>")


@pytest.fixture(scope="module")
def qwen2(tokenizer: Any, randomized: Callable[[Any], Any]) -> Callable[..., Any]:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    def make(**overrides: Any) -> Any:
        settings: dict[str, Any] = {
            "vocab_size": 448,  # padded, as Qwen's are
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 256,
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
        }
        return randomized(Qwen2ForCausalLM(Qwen2Config(**settings | overrides)))

    return make


@pytest.mark.parametrize(
    ("architecture", "overrides"),
    [
        ("llama", {}),
        ("llama", {"tie_word_embeddings": True}),
        ("llama", {"attention_bias": True, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}),
        ("llama", {"head_dim": 16, "num_key_value_heads": 4, "vocab_size": 460}),
        ("qwen2", {"rms_norm_eps": 1e-3}),
        ("qwen2", {"tie_word_embeddings": True}),
    ],
)
def test_probabilities_are_those_of_transformers(
    architecture: str,
    overrides: dict[str, Any],
    llama: Any,
    qwen2: Any,
    tokenizer: Any,
    qwen2_tokenizer: Any,
    tmp_path: Path,
) -> None:
    model = (llama if architecture == "llama" else qwen2)(**overrides)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:  # norms and biases, which are else all 1 or 0
                parameter.add_(torch.empty_like(parameter).normal_(0.0, 0.3, generator=generator))
    folder = saved(model, tokenizer if architecture == "llama" else qwen2_tokenizer, tmp_path / "policy")
    write_gguf(folder, tmp_path / "policy.gguf", "f32")
    texts = [tokenizer(text)["input_ids"] for text in TEXTS]
    # To what llama.cpp's cache of 16 bits leaves; other weights, or rotations, would be off by whole nats.
    torch.testing.assert_close(after(tmp_path / "policy.gguf", texts), expected(folder, texts), atol=0.05, rtol=0)


def test_the_embedded_model_solves_as_in_transformers(tmp_path: Path) -> None:
    write_gguf(base_path(), tmp_path / "base.gguf", "f32")
    format = CodeFormat()
    prompts = [format.render(problem.question) for problem in problems("test", 3, 0, 6)]
    sampling = Sampling(temperature=0.0, max_tokens=200, stop=format.chain_stops)

    async def solved(name: Path) -> list[Completion]:
        policy = load_policy(str(name))
        answers = await asyncio.gather(*(policy.propose(prompt, 1, sampling, 0) for prompt in prompts))
        policy.close()
        return [answer[0] for answer in answers]

    ours, theirs = asyncio.run(solved(tmp_path / "base.gguf")), asyncio.run(solved(base_path()))
    assert [(c.text, c.stop, c.tokens) for c in ours] == [(c.text, c.stop, c.tokens) for c in theirs]


@pytest.fixture(scope="module")
def tokenizers(
    llama: Any, qwen2: Any, tokenizer: Any, qwen2_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[Any, Any]]:
    """Tokenizers of transformers, each with its like in llama.cpp: GPT-2's pieces, Qwen2's and Sapling's."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("tokenizers")
    sources = {
        "gpt2": saved(llama(), tokenizer, folder / "gpt2"),
        "qwen2": saved(qwen2(), qwen2_tokenizer, folder / "qwen2"),
        "sapling": base_path(),
    }
    for name, source in sources.items():
        write_gguf(source, folder / f"{name}.gguf", "f32")
    return [
        (AutoTokenizer.from_pretrained(source), LlamaCpp(folder / f"{name}.gguf", 64, 1, 1).tokenizer)
        for name, source in sources.items()
    ]


WORDS = [*MARKERS, "<eos>", "<|endoftext|>", "\n# Step", "\n# Now print the final answer", "The answer is \\boxed{"]
WORDS += [*" \n\t#*/.,'?=+-()[]{}0123456789üé好", *["apples", " Ben's", "I'LL", "don't", "ans", " ** ", " // "]]


@given(text=st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=25).map("".join))
@settings(max_examples=300, deadline=None)
def test_texts_have_the_same_tokens(tokenizers: list[tuple[Any, Any]], text: str) -> None:
    text = text.replace("\0", "").encode("utf-8", "replace").decode()
    text = unicodedata.normalize("NFC", text)  # as Qwen2's tokenizer does, and llama.cpp does not
    assume(not re.search(r"'(?:[stmd]|re|ve|ll)[A-Za-z]", text))  # where GPT-2's pieces are no unions of Sapling's
    assume(not re.search(r"[A-Za-z ]The answer is \\boxed", text))  # the one text that llama.cpp would keep whole there
    for theirs, ours in tokenizers:
        ids = theirs(text)["input_ids"]
        assert ours(text)["input_ids"] == ids
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


def test_problems_have_the_same_tokens(tokenizers: list[tuple[Any, Any]]) -> None:
    theirs, ours = tokenizers[-1]
    for problem in problems("test", 0, 0, 50):
        text = CodeFormat().render(problem.question).text
        assert ours(text)["input_ids"] == theirs(text)["input_ids"]


@pytest.mark.parametrize(
    ("kind", "type_", "bits"),
    [
        ("f16", GGMLQuantizationType.F16, 16.0),
        ("bf16", GGMLQuantizationType.BF16, 16.0),
        ("q8_0", GGMLQuantizationType.Q8_0, 8.5),  # 32 numbers of 8 bits, and a scale of 16
        ("q4_0", GGMLQuantizationType.Q4_0, 4.5),
        ("q4_k_m", GGMLQuantizationType.Q5_0, 5.5),  # Q4_K wants rows of 256 numbers: llama.cpp falls back
    ],
)
def test_matrices_are_stored_as_asked_and_vectors_in_full(
    kind: str, type_: GGMLQuantizationType, bits: float, policy_folder: Path, tmp_path: Path
) -> None:
    write_gguf(policy_folder, tmp_path / "p.gguf", kind)
    tensors = {tensor.name: tensor for tensor in GGUFReader(tmp_path / "p.gguf").tensors}
    matrix = tensors["blk.0.attn_q.weight"]
    assert matrix.tensor_type == type_
    assert matrix.n_bytes * 8 == matrix.n_elements * bits
    assert tensors["blk.0.attn_norm.weight"].tensor_type == GGMLQuantizationType.F32
    assert [path.name for path in tmp_path.iterdir()] == ["p.gguf"]


def test_eight_bits_change_probabilities_little_and_four_more(
    policy_folder: Path, tokenizer: Any, tmp_path: Path
) -> None:
    texts = [tokenizer(text)["input_ids"] for text in TEXTS]
    exact, gaps = expected(policy_folder, texts), {}
    for kind in ("f32", "q8_0", "q4_0"):
        write_gguf(policy_folder, tmp_path / f"{kind}.gguf", kind)
        gaps[kind] = float((after(tmp_path / f"{kind}.gguf", texts) - exact).abs().mean())
    assert 2 * gaps["f32"] < gaps["q8_0"] < gaps["q4_0"] / 4


def test_what_llama_cpps_own_converter_is_needed_for_says_so(
    llama: Any, tokenizer: Any, randomized: Any, tmp_path: Path
) -> None:
    from tokenizers import pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=1, n_head=2))
    scaled = llama(rope_parameters={"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0})
    odd = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer.from_str(
        tokenizer.backend_tokenizer.to_str()
    ), eos_token="<eos>")  # fmt: skip
    odd.backend_tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    for name, model, words, reason in (
        ("gpt2", gpt2, tokenizer, "its architecture is gpt2"),
        ("scaled", scaled, tokenizer, "its positions are scaled"),
        ("odd", llama(), odd, "tokenizer splits texts as no pre-tokenizer"),
    ):
        folder = saved(model, words, tmp_path / name)
        with pytest.raises(PonderosaError, match=rf"{reason}.*convert it with llama.cpp's convert_hf_to_gguf.py"):
            write_gguf(folder, tmp_path / "out.gguf", "f32")
        assert not (tmp_path / "out.gguf").exists()


def test_a_reward_model_is_refused(reward_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PonderosaError, match="is a reward model: name a policy"):
        write_gguf(reward_folder, tmp_path / "p.gguf", "f32")


def test_an_unknown_type_is_refused(policy_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PonderosaError, match="there is no type q3: choose one of f32, f16, bf16, q8_0, q4_k_m, q4_0"):
        write_gguf(policy_folder, tmp_path / "p.gguf", "q3")
