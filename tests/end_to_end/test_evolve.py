"""The main job through the public command: whole, repeated, killed and gone on with."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from ponderosa.forest import PairRow, SFTRow, read_forest, read_rows

pytestmark = pytest.mark.slow

RECIPE = {
    "name": "tiny",
    "seed": 5,
    "policy": "sapling",
    "problems": {"levels": [1, 2]},
    "workers": {"processes": 2, "shard": 10, "concurrency": 16},
    "search": {"candidates": 4, "answer_candidates": 1, "max_tokens": 96},
    "rounds": [
        {"problems": 40, "rollouts": 4},
        {"problems": 20, "rollouts": 4, "reward": True, "retries": [6]},
    ],
    "data": {"pairs": {"min_edit_distance": 1}},
    "sft": {"epochs": 1, "batch_size": 8, "max_length": 1024, "learning_rate": 1e-4},
    "ppm": {"epochs": 1, "batch_size": 8, "max_length": 1024, "learning_rate": 1e-4, "squash": "none"},
    "evaluation": {
        "test": 20,
        "samples": 4,
        "sampled": 10,
        "searched": 6,
        "rollouts": 2,
        "dev": 8,
        "probe": 10,
        "probe_rollouts": 2,
        "max_tokens": 400,
        "final": 10,
    },
}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    return path


def command(recipe: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "ponderosa", "evolve", str(recipe), "--out", str(out), *more]


def evolve(recipe: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(recipe, out, *more), capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def run(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "tiny"
    done = evolve(recipe, out)
    assert done.returncode == 0, done.stderr
    assert "report.html" in done.stdout
    return out


def test_the_results_hold_every_round_and_every_method(run: Path) -> None:
    results = json.loads((run / "results.json").read_text())
    assert [entry["round"] for entry in results["rounds"]] == [0, 1, 2]
    base, *rounds = results["rounds"]
    assert base["coverage"] is None
    assert base["mcts"] is None
    for entry in results["rounds"]:
        assert entry["greedy"]["n"] == 20
        assert entry["greedy"]["low"] <= entry["greedy"]["accuracy"] <= entry["greedy"]["high"]
        assert entry["majority"]["k"] == entry["pass_at_k"]["k"] == 4
        assert entry["majority"]["accuracy"] <= entry["pass_at_k"]["accuracy"]
        assert entry["probe_coverage"]["n"] == 10
    for entry in rounds:
        assert entry["best_of_n"]["n"] == entry["weighted"]["n"] == 10
        assert entry["mcts"]["n"] == (10 if entry["round"] == 2 else 6)
        assert 0 <= entry["ppm"]["probe_auc"]["value"] <= 1
        assert entry["coverage"]["n"] in (20, 40)
        assert entry["sft"]["rows"] > 0


def test_every_row_leads_back_to_its_tree(run: Path) -> None:
    trees = {tree.id: tree for shards in (run / "round-2/search").iterdir() for tree in read_forest(shards)}
    rows = read_rows(run / "round-2/data/sft", SFTRow)
    assert rows
    for row in rows:
        tree = trees[row.tree_id]
        assert row.response == "".join(tree.nodes[node].text for node in row.nodes)
        assert (tree.nodes[row.nodes[-1]].reward or 0) > 0
    for pair in read_rows(run / "round-2/data/pairs", PairRow):
        nodes = trees[pair.tree_id].nodes
        assert pair.chosen.endswith(nodes[pair.chosen_node].text)
        assert pair.rejected.endswith(nodes[pair.rejected_node].text)


def test_a_run_goes_on_from_another_with_other_settings(recipe: Path, run: Path, tmp_path: Path) -> None:
    kept = f"reuse={{of: {run}, keep: [round-0, round-1, round-2/search]}}"
    changes = ("--set", "sft.learning_rate=5e-5")
    refused = evolve(recipe, run, *changes)
    assert refused.returncode == 1
    assert "sft.learning_rate: 0.0001 -> 5e-05" in refused.stderr
    assert "by `reuse`" in refused.stderr
    done = evolve(recipe, tmp_path / "new", *changes, "--set", kept)
    assert done.returncode == 0, done.stderr
    old_weights, weights = (folder / "round-2/policy/model.safetensors" for folder in (run, tmp_path / "new"))
    assert old_weights.read_bytes() != weights.read_bytes()
    for path in run.glob("round-[012]/search/**/*.parquet"):
        assert (tmp_path / "new" / path.relative_to(run)).samefile(path)
    results = [json.loads((folder / "results.json").read_text())["rounds"] for folder in (run, tmp_path / "new")]
    assert results[0][1]["greedy"] == results[1][1]["greedy"]


def test_what_the_trainers_write_is_what_transformers_load(run: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    assert AutoModelForCausalLM.from_pretrained(run / "round-2/policy").num_parameters() > 1_000_000
    ppm = AutoModelForSequenceClassification.from_pretrained(run / "round-2/ppm")
    assert ppm.config.num_labels == 1
    assert ppm.config.reward_scale == 5.0


def test_a_second_call_does_nothing_again(recipe: Path, run: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.suffix in (".parquet", ".safetensors")}
    started = time.monotonic()
    assert evolve(recipe, run).returncode == 0
    assert time.monotonic() - started < 30
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_another_recipe_is_refused(recipe: Path, run: Path) -> None:
    refused = evolve(recipe, run, "--set", "search.c=1.0")
    assert refused.returncode == 1
    assert "search.c: 2.0 -> 1.0" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_evolved_model_solves_and_shows(run: Path) -> None:
    words = [sys.executable, "-m", "ponderosa"]
    problem = next(iter(read_forest(run / "round-1/search/tree-0")))
    solved = subprocess.run([*words, "solve", problem.question, "--model", str(run)], capture_output=True, text=True)
    assert solved.returncode == 0, solved.stderr
    assert "Answer:" in solved.stdout
    shown = subprocess.run([*words, "show", str(run), "--problem", problem.problem_id], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert problem.problem_id in shown.stdout


def finished_tables(out: Path) -> list[Path]:
    """The tables of a run, less those in hidden folders, where what is not whole yet is put together."""
    return [path for path in out.rglob("*.parquet") if not any(p[0] == "." for p in path.relative_to(out).parts)]


def recorded(out: Path) -> dict[Path, int]:
    """The whole lines of every journal whose shard is not done."""
    journals = [path for path in out.rglob("*.journal") if not path.with_suffix(".parquet").exists()]
    return {path: path.read_bytes().count(b"\n") for path in journals}


def descendants(pid: int) -> set[int]:
    """The processes below a process, however deep."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in map(int, task.read_text().split()):
                found |= {child} | descendants(child)
        except OSError:  # it ended meanwhile
            continue
    return found


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_it_goes_on_without_doing_anything_again(seed: int, recipe: Path, tmp_path: Path) -> None:
    rng = random.Random(seed)
    out = tmp_path / "run"
    finished: dict[Path, int] = {}
    for _ in range(4):
        process = subprocess.Popen(
            command(recipe, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            process.wait(timeout=rng.uniform(2, 14))
        except subprocess.TimeoutExpired:
            below = descendants(process.pid)
            process.send_signal(signal.SIGKILL)
            process.wait()
            deadline = time.monotonic() + 10
            while any(map(alive, below)) and time.monotonic() < deadline:
                time.sleep(0.1)
            assert not [pid for pid in below if alive(pid)], "processes were left behind"
        for path, changed in finished.items():
            assert path.stat().st_mtime_ns == changed, f"{path} was made again"
        finished = {path: path.stat().st_mtime_ns for path in finished_tables(out)}
        at_kill = recorded(out)
    done = evolve(recipe, out)
    assert done.returncode == 0, done.stderr
    log = "".join(path.read_text() for path in (out / "logs").glob("worker-*.log"))
    for path, lines in at_kill.items():
        shard = re.escape(str(path.with_suffix(".parquet")))
        replayed = [int(n) for n in re.findall(f"{shard}: (\\d+) answers replayed", log)]
        assert replayed
        assert replayed[-1] >= lines, f"{path}: {lines} answers were recorded"
    assert json.loads((out / "results.json").read_text())["finished"]


def test_ctrl_c_is_one_line_and_keeps_what_is_done(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = subprocess.Popen(
        command(recipe, out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not finished_tables(out):
        time.sleep(0.1)
        assert process.poll() is None
    os.kill(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=90)
    assert process.returncode == 130
    assert stderr.strip().splitlines() == [
        "ponderosa: stopped; what is finished is kept, and the same command goes on from there"
    ]
    assert finished_tables(out)
