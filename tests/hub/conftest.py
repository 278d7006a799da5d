import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ponderosa.core import Tree
from ponderosa.evolution import RStarMath
from ponderosa.forest import PairRow, SFTRow, write_forest, write_rows

SFT = SFTRow("prompt", "response", "p1", "q", "p1#0", (1,), 1.0, 1.0)
PAIR = PairRow("prompt", "good", "bad", 0.5, 1.25, "step", "p1", "q", "p1#0", 0, 1, 2)
SECRETS = ("/home/ann", "10.0.0.7", "hf_secretsecretsecret", "hunter2")


def rate(right: int, n: int, **more: Any) -> dict[str, Any]:
    return {"accuracy": right / n, "low": (right - 10) / n, "high": (right + 10) / n, "n": n, **more}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two rounds from Qwen, whose recipe and records name things of this machine."""
    run = tmp_path / "run"
    recipe = RStarMath.model_validate(
        {
            "name": "tiny",
            "policy": "Qwen/Qwen2.5-Math-1.5B?device=cuda",
            "bootstrap": "http://10.0.0.7:8000?model=Qwen/Qwen2.5-72B&password=hunter2",
            "problems": {"source": "files", "train": "/home/ann/data/train.jsonl", "test": "/home/ann/data/test.jsonl"},
            "execution": {"backend": "auto", "command": ["/home/ann/bin/box", "hf_secretsecretsecret"]},
            "rounds": [{"problems": 1}, {"problems": 1}],
        }
    )
    write(run / "recipe.yaml", yaml.safe_dump(recipe.model_dump(mode="json")))
    write(run / "round-0" / "summary.json", json.dumps({"round": 0, "greedy": rate(50, 100)}))
    for number in (1, 2):
        round = run / f"round-{number}"
        summary = {
            "round": number,
            "greedy": rate(350, 500),
            "majority": rate(160, 200, k=8),
            "ppm": {"auc": rate(900, 1000)},
        }
        write(round / "summary.json", json.dumps(summary))
        checkpoint(round / "policy", "LlamaForCausalLM", start="/home/ann/models/base")
        checkpoint(round / "ppm", "LlamaForSequenceClassification", start=str(round / "policy"), reward_scale=5.0)
        write_rows(round / "data" / "sft", SFTRow, [SFT] * number, source=f"round {number}", settings={"top": 2})
        write_rows(round / "data" / "pairs", PairRow, [PAIR], source=f"round {number}", settings={})
        write_forest(round / "search" / "tree-0" / "shard-00000.parquet", [Tree(f"p{number}", "q")])
    return run


def checkpoint(folder: Path, architecture: str, *, start: str, **config: Any) -> Path:
    """The files of a checkpoint, the weights of which are no weights."""
    write(folder / "config.json", json.dumps({"architectures": [architecture], **config}))
    for name in ("model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        write(folder / name, "{}")
    report = {"rows": 3, "pairs": 4, "steps": 5, "tokens": 6000}
    write(folder / "training.json", json.dumps({"start": start, "settings": {"epochs": 2.0}, "report": report}))
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
