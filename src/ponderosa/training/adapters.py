"""Low-rank adapters (LoRA, QLoRA) by peft, and the whole checkpoint that comes of them. Imports torch and peft late."""

import copy
import importlib.util
from pathlib import Path
from typing import Any, Literal

from ponderosa.core import PonderosaError
from ponderosa.training.settings import LoRASettings

Task = Literal["CAUSAL_LM", "SEQ_CLS"]
"""What kind of model peft adapts: a language model, or a classifier, whose head is trained whole."""

ADAPTER = "adapter"
"""The folder of a checkpoint with the adapter alone, where it was kept."""


def peft_config(settings: LoRASettings, task: Task) -> Any:
    """peft's configuration. Raises `PonderosaError` if what it takes is not here."""
    if importlib.util.find_spec("peft") is None:
        raise PonderosaError("`lora` needs peft: `pip install 'ponderosa[train]'`")
    from peft import LoraConfig

    modules = settings.target_modules
    return LoraConfig(
        task_type=task,
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]  # a divisor's dividend: need not be whole
        lora_dropout=settings.dropout,
        target_modules=modules if isinstance(modules, str) else list(modules),
        modules_to_save=["score"] if task == "SEQ_CLS" else None,
    )


def model_arguments(settings: LoRASettings, bfloat16: bool) -> dict[str, Any]:
    """How the frozen weights are loaded: narrow, as they take no updates. Raises `PonderosaError` likewise."""
    import torch

    dtype = torch.bfloat16 if bfloat16 else torch.float32
    if settings.quantize == "none":
        return {"dtype": dtype}
    if not torch.cuda.is_available() or importlib.util.find_spec("bitsandbytes") is None:
        raise PonderosaError(
            "`lora.quantize: 4bit` needs a GPU and bitsandbytes (`pip install bitsandbytes`): otherwise take `none`"
        )
    from transformers import BitsAndBytesConfig

    quantization = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
    return {"dtype": dtype, "quantization_config": quantization}


def trained_only(weights: dict[str, Any]) -> dict[str, Any]:
    """Of a model's weights those that its adapters added, or a head that is trained whole."""
    return {name: weight for name, weight in weights.items() if "lora_" in name or "modules_to_save" in name}


def save_merged(model: Any, weights: dict[str, Any], settings: LoRASettings, dtype: Any, folder: Path) -> None:
    """Writes the model as if all of it had been trained: the start's weights anew, and the adapter added in 32 bits.

    `model` is the adapted model, `weights` its own. The frozen weights may have been quantised, or narrow, in training;
    so that they are not what is saved.
    """
    import torch
    from peft import PeftModel

    adapter = folder / ADAPTER
    model.save_pretrained(adapter, state_dict=weights)
    inner = model.get_base_model()
    start = model.peft_config["default"].base_model_name_or_path
    classifier = {"num_labels": 1} if "SequenceClassification" in type(inner).__name__ else {}
    fresh = type(inner).from_pretrained(start, dtype=torch.float32, **classifier)
    merged = PeftModel.from_pretrained(fresh, str(adapter)).merge_and_unload().to(dtype)
    merged.config = copy.deepcopy(inner.config)
    merged.config.__dict__.pop("quantization_config", None)
    if hasattr(inner, "generation_config"):
        merged.generation_config = inner.generation_config
    merged.save_pretrained(folder)
    if settings.keep_adapter:
        (adapter / "README.md").unlink(missing_ok=True)
    else:
        for path in adapter.iterdir():
            path.unlink()
        adapter.rmdir()
