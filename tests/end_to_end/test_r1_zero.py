"""R1-Zero through the public command: two stretches on the embedded world, with code run inside the rollouts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow

RECIPE = {
    "loop": "r1-zero",
    "name": "tiny",
    "seed": 5,
    "policy": "sapling",
    "problems": {"levels": [1]},
    "workers": {"processes": 1, "shard": 20},
    "rounds": [{"problems": 8}, {"problems": 4}],
    "grpo": {
        "batch_size": 16,
        "group": 4,
        "micro_batch_size": 8,
        "max_length": 1024,
        "attention": "eager",
        "learning_rate": 1e-3,
        "rollout": {"max_tokens": 300, "max_depth": 16},
    },
    "evaluation": {
        "test": 20,
        "samples": 2,
        "sampled": 0,
        "searched": 0,
        "dev": 0,
        "probe": 0,
        "final": 4,
        "max_tokens": 300,
    },
}


def test_two_stretches_are_trained_and_measured_and_a_second_call_does_nothing(tmp_path: Path) -> None:
    recipe, out = tmp_path / "tiny.yaml", tmp_path / "run"
    recipe.write_text(yaml.safe_dump(RECIPE))
    command = [sys.executable, "-m", "ponderosa", "evolve", str(recipe), "--out", str(out)]
    subprocess.run(command, check=True, timeout=3600, capture_output=True)
    results = json.loads((out / "results.json").read_text())
    base, first, second = results["rounds"]
    assert base["tokens"]["generated"] == 0
    assert len(base["greedy"]["right"]) == 20
    for number, (entry, problems) in enumerate([(first, 8), (second, 4)], start=1):
        report = json.loads((out / f"round-{number}" / "policy" / "training.json").read_text())["report"]
        assert report["rollouts"] == 4 * problems
        assert entry["tokens"]["generated"] == report["generated_tokens"] > 0
        assert entry["executions"] == report["executions"] > 0
        assert entry["trained_tokens"] == {"policy": report["tokens"]}
        assert (out / f"round-{number}" / "policy" / "metrics.jsonl").read_text().count("\n") == problems // 4
    start = json.loads((out / "round-2" / "policy" / "training.json").read_text())["start"]
    assert start == str(out / "round-1" / "policy")
    before = (out / "round-1" / "policy" / "model.safetensors").stat().st_mtime_ns
    subprocess.run(command, check=True, timeout=3600, capture_output=True)
    assert (out / "round-1" / "policy" / "model.safetensors").stat().st_mtime_ns == before
