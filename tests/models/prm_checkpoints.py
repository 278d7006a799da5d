"""Tiny checkpoints of other people's process reward models, on disk as theirs are: random weights, small vocabularies.

Their tokenizers do what matters of the originals': Mistral's marks words by what is before them and begins texts with
`<s>`; Qwen's knows `<extra_0>`; the chat templates are those of Qwen2.5 and Llama 3.1 without their tools.
"""

import json
from pathlib import Path
from typing import Any

WORDS = "Step 1: She eats three of 16 eggs, so 16 - 3 = 13 are left. + - ки\nStep 2: How many apples? x = 42 print(x)\n"

QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA_TEMPLATE = (
    "{{ bos_token }}<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023<|eot_id|>"
    "{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


def math_shepherd(path: Path, window: int | None = None) -> Path:
    from transformers import MistralConfig, MistralForCausalLM

    tokenizer = _mistral_tokenizer()
    model = _random(MistralForCausalLM(MistralConfig(**_sizes(tokenizer), head_dim=32, sliding_window=window)))
    return _saved(model.state_dict(), model.config, "MistralForCausalLM", tokenizer, path)


def rlhflow(path: Path) -> Path:
    from transformers import LlamaConfig, LlamaForCausalLM

    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    tokenizer = _byte_tokenizer(special, LLAMA_TEMPLATE, bos=special[0], eos=special[1])
    model = _random(LlamaForCausalLM(LlamaConfig(**_sizes(tokenizer))))
    return _saved(model.state_dict(), model.config, "LlamaForCausalLM", tokenizer, path)


def qwen_math_prm(path: Path, classes: int = 2) -> Path:
    """With the code that its card's `trust_remote_code` would run: none is there."""
    import torch

    size = 64
    head = {
        "score.0.weight": torch.randn(size, size) / 4,
        "score.0.bias": torch.randn(size),
        "score.2.weight": torch.randn(classes, size) / 4,
        "score.2.bias": torch.randn(classes),
    }
    return _qwen(path, "Qwen2ForProcessRewardModel", head)


def skywork(path: Path, bos: str | None = "<|endoftext|>") -> Path:
    import torch

    head = {"v_head.summary.weight": torch.randn(1, 64) / 4, "v_head.summary.bias": torch.randn(1)}
    return _qwen(path, "Qwen2ForPrmModel", head, bos)


MAKERS = {
    "math-shepherd": math_shepherd,
    "qwen2.5-math-prm": qwen_math_prm,
    "skywork-o1-prm": skywork,
    "rlhflow": rlhflow,
}


def _qwen(path: Path, architecture: str, head: dict[str, Any], bos: str | None = None) -> Path:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<extra_0>"]
    tokenizer = _byte_tokenizer(special, QWEN_TEMPLATE, bos=bos, eos=special[2])
    model = _random(Qwen2ForCausalLM(Qwen2Config(**_sizes(tokenizer))))
    model.config.auto_map = {"AutoModel": "modeling_not_there.Model"}
    return _saved(model.state_dict() | head, model.config, architecture, tokenizer, path)


def _sizes(tokenizer: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "tie_word_embeddings": False,
    }


def _random(model: Any) -> Any:
    """Weights so large that every token shows in the values."""
    import torch

    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.data.normal_(0.0, 0.2)
    return model


def _saved(weights: dict[str, Any], config: Any, architecture: str, tokenizer: Any, path: Path) -> Path:
    from safetensors.torch import save_file

    path.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: weight.contiguous() for name, weight in weights.items()}, path / "model.safetensors", {"format": "pt"}
    )
    written = config.to_dict() | {"architectures": [architecture], "model_type": config.model_type, "dtype": "float32"}
    (path / "config.json").write_text(json.dumps(written))
    tokenizer.save_pretrained(path)
    return path


def _mistral_tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE(unk_token="<unk>"))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("\n", "isolated"), pre_tokenizers.Metaspace(prepend_scheme="first")]
    )
    bpe.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False)
    bpe.train_from_iterator([WORDS] * 50, trainer)
    bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def _byte_tokenizer(special: list[str], template: str, bos: str | None, eos: str) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator([WORDS], trainer)
    bpe.add_special_tokens(special)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=bos, eos_token=eos, chat_template=template)
