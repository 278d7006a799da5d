"""A checkpoint as a GGUF file, the format of llama.cpp, quantised if asked: for laptops, phones, other small devices.

The names of tensors and of metadata are those of the package `gguf`, llama.cpp's own; llama.cpp itself quantises.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from gguf import MODEL_ARCH, GGMLQuantizationType, GGUFWriter, LlamaFileType, get_tensor_name_map
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from ponderosa.core import PonderosaError
from ponderosa.models.llamacpp.binding import quantize
from ponderosa.models.llamacpp.vocabulary import Vocabulary
from ponderosa.models.transformers.loading import load_checkpoint, require_policy

ARCHITECTURES = {"llama": MODEL_ARCH.LLAMA, "qwen2": MODEL_ARCH.QWEN2}
"""`model_type` of a checkpoint's config -> llama.cpp's architecture."""

PLAIN = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
QUANTIZED = {
    "q8_0": LlamaFileType.MOSTLY_Q8_0,
    "q4_k_m": LlamaFileType.MOSTLY_Q4_K_M,
    "q4_0": LlamaFileType.MOSTLY_Q4_0,
}
"""What the weights may be: numbers as they are, or in blocks of 8 or 4 bits. Vectors stay float32."""

_STORED = {
    torch.float32: (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    torch.float16: (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    torch.bfloat16: (GGMLQuantizationType.BF16, LlamaFileType.MOSTLY_BF16),
}


def write_gguf(checkpoint: Path, out: Path, kind: str) -> None:
    """Writes the causal language model at `checkpoint` to the file `out`, its weights as `kind` says.

    The file appears when it is whole. Raises `PonderosaError` for a model, or a tokenizer, that llama.cpp's own
    converter is needed for.
    """
    if kind not in (*PLAIN, *QUANTIZED):
        raise PonderosaError(f"there is no type {kind}: choose one of {', '.join((*PLAIN, *QUANTIZED))}")
    require_policy(checkpoint)
    model, tokenizer = load_checkpoint(AutoModelForCausalLM, checkpoint, "cpu", PLAIN.get(kind, "auto"))
    _check(model.config, checkpoint)
    vocabulary = Vocabulary.of(tokenizer, model.config.vocab_size)
    out.parent.mkdir(parents=True, exist_ok=True)
    part, plain = out.with_name(f".{out.name}.part"), out.with_name(f".{out.name}.plain")
    try:
        _write(model, vocabulary, checkpoint.resolve().name, part if kind in PLAIN else plain)
        if kind in QUANTIZED:
            quantize(plain, part, QUANTIZED[kind])
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
        plain.unlink(missing_ok=True)


def _check(config: Any, checkpoint: Path) -> None:
    if config.model_type not in ARCHITECTURES:
        reason = f"its architecture is {config.model_type}"
    elif config.rope_parameters["rope_type"] != "default":
        reason = "its positions are scaled"
    elif config.hidden_act != "silu" or getattr(config, "mlp_bias", False):
        reason = "its MLPs are others than Llama's"
    elif getattr(config, "use_sliding_window", False):
        reason = "its attention slides"
    else:
        return
    raise PonderosaError(f"{checkpoint}: {reason}; convert it with llama.cpp's convert_hf_to_gguf.py")


def _write(model: PreTrainedModel, vocabulary: Vocabulary, name: str, out: Path) -> None:
    """Writes the weights in the model's own precision."""
    config: Any = model.config
    stored, file_type = _STORED[model.dtype]
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer = GGUFWriter(out, config.model_type)
    writer.add_name(name)
    writer.add_file_type(file_type)
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    vocabulary.write(writer)
    for key, tensor in _tensors(model):
        dtype = GGMLQuantizationType.F32 if tensor.ndim == 1 else stored
        tensor = tensor.float() if tensor.ndim == 1 else tensor
        writer.add_tensor(key, tensor.contiguous().view(torch.uint8).numpy(), raw_dtype=dtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tensors(model: PreTrainedModel) -> Iterator[tuple[str, Tensor]]:
    """The weights under llama.cpp's names, which shares tied embeddings by leaving the output's out."""
    config: Any = model.config
    names = get_tensor_name_map(ARCHITECTURES[config.model_type], config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for key, tensor in model.state_dict().items():
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        name = names.get_name(key, try_suffixes=(".weight", ".bias"))
        assert name is not None, key
        projection = key.split(".")[-2]
        rotated = config.model_type == "llama" and projection in heads
        yield name, _interleaved(tensor, heads[projection]) if rotated else tensor


def _interleaved(weight: Tensor, heads: int) -> Tensor:
    """Rows [heads * d, ...] in the order of rotary pairs that llama.cpp has for Llama: (0, 1), not (0, d / 2)."""
    pairs: Tensor = weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).reshape(weight.shape)
    return pairs
