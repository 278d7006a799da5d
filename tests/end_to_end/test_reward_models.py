"""Rounds whose search another reward model than a PPM guides, through the public command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ponderosa.forest import ValueRow, read_forest, read_rows
from ponderosa.training import read_record

pytestmark = pytest.mark.slow

FIT = {"epochs": 1, "batch_size": 8, "max_length": 1024, "learning_rate": 1e-4}
RECIPE = {
    "name": "tiny-prm",
    "seed": 5,
    "policy": "sapling",
    "problems": {"levels": [1, 2]},
    "workers": {"processes": 1, "shard": 20, "concurrency": 32},
    "search": {"candidates": 4, "answer_candidates": 1, "max_tokens": 96},
    "rounds": [{"problems": 20, "rollouts": 4}, {"problems": 6, "rollouts": 2, "reward": True}],
    "reward_model": "prm-rollouts",
    "values": {"rollouts": {"solutions": 2, "completions": 2, "max_tokens": 96}, "training": FIT},
    "sft": FIT,
    "evaluation": {"test": 0, "samples": 4, "sampled": 8, "final": 8, "dev": 0, "probe": 6, "probe_rollouts": 2}
    | {"max_tokens": 400},
}


def test_a_model_of_roll_outs_takes_the_ppms_place(tmp_path: Path) -> None:
    recipe, out = tmp_path / "tiny.yaml", tmp_path / "run"
    recipe.write_text(yaml.safe_dump(RECIPE))
    command = [sys.executable, "-m", "ponderosa", "evolve", str(recipe), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr

    record = read_record(out / "round-1/ppm")
    assert record["kind"] == "values"
    rows = read_rows(out / "round-1/data/values", ValueRow)
    rolled = {tree.id: tree for tree in read_forest(out / "round-1/rollouts/tree-0")}
    assert record["report"]["rows"] + record["report"]["held_out"] == len(rows)
    for row in rows:
        tree = rolled[row.tree_id]
        assert tree.method == "rollouts"
        for node, target in zip(row.nodes, row.targets, strict=True):
            found = tree.nodes[node]
            assert target is None or target == (found.reward if found.answer else found.q)
    assert any(node.value is not None for tree in read_forest(out / "round-2/search/tree-0") for node in tree.nodes)
    entry = json.loads((out / "results.json").read_text())["rounds"][1]
    assert entry["calibration"]["ece"]["n"] > 0
    assert 0 <= entry["ppm"]["probe_auc"]["value"] <= 1
