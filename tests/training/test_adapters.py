from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from ponderosa.core import PonderosaError
from ponderosa.training import FitSettings, LoRASettings, PPMSettings, SFTSettings, train_ppm, train_sft

FAST: dict[str, Any] = {
    "epochs": 20,
    "batch_size": 20,
    "learning_rate": 2e-2,
    "precision": "float32",
    "save_precision": "float32",
    "lora": LoRASettings(rank=4, alpha=8, keep_adapter=True),
}


def test_the_checkpoint_is_the_start_with_the_adapters_added(
    base: Path, trajectories: list[dict[str, str]], tmp_path: Path
) -> None:
    report = train_sft(base, trajectories, tmp_path / "out", SFTSettings(**FAST), 0)
    assert report.loss_end < 0.95 * report.loss_start
    before = AutoModelForCausalLM.from_pretrained(base).state_dict()
    after = AutoModelForCausalLM.from_pretrained(tmp_path / "out").state_dict()
    adapter = load_file(tmp_path / "out" / "adapter" / "adapter_model.safetensors")
    assert before.keys() == after.keys()
    name = "model.layers.1.mlp.down_proj.weight"
    a, b = (adapter[f"base_model.model.{name}".replace("weight", f"lora_{x}.weight")] for x in "AB")
    assert a.shape[0] == b.shape[1] == 4
    torch.testing.assert_close(after[name], before[name] + 8 / 4 * b @ a)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {n for n in before if "proj" in n}  # neither embeddings nor norms


def test_the_head_of_a_ppm_is_trained_whole(base: Path, pairs: list[dict[str, Any]], tmp_path: Path) -> None:
    settings = PPMSettings(**FAST | {"lora": LoRASettings(rank=4), "squash": "none", "held_out": 0.2})
    report = train_ppm(base, pairs, tmp_path / "out", settings, 0)
    assert report.kept is not None
    assert report.kept.accuracy == 1.0
    assert not (tmp_path / "out" / "adapter").exists()
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    assert (model.config.num_labels, model.config.reward_scale) == (1, 5.0)
    assert not any("lora" in name for name in model.state_dict())


def test_four_bits_without_a_gpu_are_an_error_that_says_so(
    base: Path, trajectories: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    settings = SFTSettings(lora=LoRASettings(quantize="4bit"))
    with pytest.raises(PonderosaError, match="needs a GPU and bitsandbytes"):
        train_sft(base, trajectories, tmp_path / "out", settings, 0)
    assert list(tmp_path.iterdir()) == []


def test_muon_takes_no_adapters() -> None:
    with pytest.raises(ValueError, match="not adapters"):
        FitSettings(optimizer="muon", lora=LoRASettings())
