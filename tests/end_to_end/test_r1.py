"""R1's five stages through the public command: stopped on the way, and gone on with."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from ponderosa.evolution.settings import find_recipe

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recipe() -> dict[str, Any]:
    """The embedded world's, with few and short problems."""
    recipe: dict[str, Any] = yaml.safe_load(find_recipe("r1/sapling").read_text())
    cold, reasoning, sampling, tuning, scenarios = recipe["rounds"]
    cold["rows"] = ["python:ponderosa.sapling.examples:long_solutions?count=16"]
    for stage in (reasoning, scenarios):
        stage["problems"] = 4
        stage["grpo"] |= {"max_steps": 2, "batch_size": 8, "group": 4}
    sampling |= {"problems": 24, "other": ["python:ponderosa.sapling.examples:translations?count=8"]}
    sampling["sampling"] |= {"n": 8}
    sampling["judge"] = "judge?samples=1:python:lenient:Lenient"
    for settings in (cold["sft"], tuning["sft"], scenarios["preference"]):
        settings |= {"max_steps": 2, "batch_size": 8}
    recipe["problems"] |= {"levels": [1], "arithmetic": 0}
    recipe["evaluation"] |= {"test": 10, "final": 8, "probe": 4, "probe_rollouts": 2}
    return recipe


LENIENT = """
from ponderosa.core import Completion, Ended

class Lenient:
    async def propose(self, prompt, n, sampling, seed):
        return [Completion("\\\\boxed{accept}", Ended.EOS)] * n
"""


def test_the_five_stages_run_through_a_kill_and_each_is_measured(recipe: dict[str, Any], tmp_path: Path) -> None:
    file, out = tmp_path / "tiny.yaml", tmp_path / "run"
    file.write_text(yaml.safe_dump(recipe))
    (tmp_path / "lenient.py").write_text(LENIENT)
    command = [sys.executable, "-m", "ponderosa", "evolve", str(file), "--out", str(out)]
    first = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    while not (out / "round-2" / "policy" / "training.json").exists():
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first.kill()
    first.wait()
    made = (out / "round-1" / "policy" / "model.safetensors").stat().st_mtime_ns
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    assert (out / "round-1" / "policy" / "model.safetensors").stat().st_mtime_ns == made
    results = json.loads((out / "results.json").read_text())
    assert results["finished"]
    assert [entry["round"] for entry in results["rounds"]] == [0, 1, 2, 4, 5]
    assert all(len(entry["greedy"]["right"]) == 10 for entry in results["rounds"])
    records = {n: json.loads((out / f"round-{n}" / "policy" / "training.json").read_text()) for n in (1, 2, 4, 5)}
    assert records[1]["start"] == records[4]["start"]  # the base
    assert records[2]["start"] == str(out / "round-1" / "policy")
    assert records[5]["start"] == str(out / "round-4" / "policy")
    assert records[5]["report"]["rollouts"] == 16
    last = json.loads((out / "round-5" / "policy" / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"accuracy", "language", "helpfulness", "harmlessness"} <= set(last["rewards"])
    judged = json.loads((out / "round-3" / "judgement.json").read_text())
    assert judged["approved"] == judged["answers"] > 0
    preference = json.loads((out / "round-5" / "ppm" / "training.json").read_text())["report"]
    assert preference["calibration"]["reliability"]["ece"]["n"] == preference["held_out"] > 0
    measured = results["rounds"][-1]
    assert measured["calibration"] is not None
    assert {"probe_auc", "pair_accuracy"} <= set(measured["ppm"])
