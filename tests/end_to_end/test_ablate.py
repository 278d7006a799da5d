"""A study through the public command: killed on the way, gone on with, and reported."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.slow

STUDY: dict[str, Any] = {
    "name": "Tiny",
    "recipe": "sapling-quick",
    "seeds": [1],
    "set": {
        "problems": {"levels": [1]},
        "workers": {"processes": 1, "shard": 16},
        "rounds": [{"problems": 16, "rollouts": 2}],
        "sft": {"max_steps": 2},
        "evaluation": {"test": 12, "sampled": 0, "searched": 0, "final": 0},
    },
    "variants": {
        "by q": {"set": {"ppm": {"max_steps": 1}}},
        "by chance": {
            "set": {"data": {"choice": "random"}, "ppm": {"max_steps": 1}},
            "reuse": {"of": "by q", "keep": ["round-0", "round-1/search"]},
        },
        "sampled": {
            "recipe": "rejection-sampling/sapling",
            "set": {"sampling": {"n": 2}, "rounds": [{"problems": 16}], "sft": {"max_steps": 2}},
            "reuse": {"of": "by q", "keep": ["round-0"]},
        },
    },
    "comparisons": [{"title": "Over the base", "sides": ["by q@0", "by q", "by chance", "sampled"], "ranked": True}],
}


def test_a_study_goes_on_after_a_kill_shares_what_it_may_and_is_reported(tmp_path: Path) -> None:
    file, out = tmp_path / "tiny.yaml", tmp_path / "study"
    file.write_text(yaml.safe_dump(STUDY, sort_keys=False))
    command = [sys.executable, "-m", "ponderosa", "ablate", str(file), "--out", str(out)]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    searched = out / "by-q" / "seed-1" / "round-1" / "data" / "sft"
    while not searched.exists():
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first.kill()
    first.wait()
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    assert "Over the base" in done.stdout
    runs = {name: out / name / "seed-1" for name in ("by-q", "by-chance", "sampled")}
    results = {name: json.loads((run / "results.json").read_text()) for name, run in runs.items()}
    assert all(result["finished"] for result in results.values())
    shards = {name: next((run / "round-1" / "search").rglob("*.parquet")) for name, run in runs.items()}
    assert shards["by-chance"].samefile(shards["by-q"])
    assert not shards["sampled"].samefile(shards["by-q"])
    bases = [result["rounds"][0]["greedy"]["right"] for result in results.values()]
    assert bases[0] == bases[1] == bases[2]
    (comparison,) = json.loads((out / "results.json").read_text())["comparisons"]
    assert comparison["sides"][0]["side"] == "by q@0"
    assert comparison["sides"][0]["generated_tokens"] == 0
    values = [side["value"] for side in comparison["sides"][1:]]
    assert values == sorted(values, reverse=True)
    assert {"report.html", "comparison-1.png", "cost.png"} <= {path.name for path in out.iterdir()}
    before = (out / "by-q" / "seed-1" / "round-1" / "policy" / "model.safetensors").stat().st_mtime_ns
    assert subprocess.run(command, capture_output=True, timeout=600).returncode == 0
    assert (out / "by-q" / "seed-1" / "round-1" / "policy" / "model.safetensors").stat().st_mtime_ns == before
