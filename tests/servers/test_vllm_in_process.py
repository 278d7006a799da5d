"""The policy on a vLLM in this process, on CPUs: `make test-servers`. VLLM_PYTHON names a Python that has vLLM."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

import ponderosa
from ponderosa.forest import read_forest
from ponderosa.sapling import base_path

from .in_process import GREEDY
from .running import FORMAT, completions, questions, search

VLLM = os.environ.get("VLLM_PYTHON", "")
pytestmark = [pytest.mark.servers, pytest.mark.skipif(not VLLM, reason="VLLM_PYTHON names no Python with vLLM")]
PROBLEMS = 10
MODEL = f"{base_path()}?engine=vllm"


@pytest.fixture(autouse=True, scope="module")
def _environment():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(ponderosa.__file__).parent.parent))
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        patch.setenv("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def said(problems: Path) -> dict[str, Any]:
    script = Path(__file__).with_name("in_process.py")
    asked = json.dumps(questions(problems)[:PROBLEMS])
    ran = subprocess.run(
        [VLLM, str(script), "ask", MODEL], input=asked, stdout=subprocess.PIPE, text=True, timeout=600, check=True
    )
    return json.loads(ran.stdout)


def test_greedy_solutions_are_those_of_transformers(said: dict[str, Any], problems: Path) -> None:
    prompts = [FORMAT.render(question) for question in questions(problems)[:PROBLEMS]]
    ours = completions(str(base_path()), prompts, GREEDY)
    names = ("text", "ended", "stop", "tokens", "prompt_tokens")
    assert [[one[name] for name in names] for one in said["greedy"]] == [
        [getattr(one, name) for name in names] for one in ours
    ]
    assert [one["logprob"] for one in said["greedy"]] == pytest.approx([one.logprob for one in ours], abs=1e-3)
    assert said["greedy from two loops"] == [one.text for one in ours]


def test_greedy_samples_are_one(said: dict[str, Any]) -> None:
    first, second, third = said["copies"]
    assert second == third == first | {"cached_tokens": first["prompt_tokens"]}


def test_a_seed_gives_the_same_samples_and_another_gives_others(said: dict[str, Any]) -> None:
    assert said["seed 5"] == said["seed 5 again"] != said["seed 6"]
    assert len(set(said["seed 5"])) > 1
    assert len(set(said["top 1"])) == 1


def test_how_a_text_ended_is_said(said: dict[str, Any]) -> None:
    assert {one["ended"] for one in said["greedy"]} == {"stop"}
    assert {one["stop"] for one in said["greedy"]} <= set(FORMAT.chain_stops)
    assert (said["cut off"]["ended"], said["cut off"]["tokens"]) == ("length", 5)
    assert said["no sample"] == []


def test_what_vllm_will_not_do_is_refused(said: dict[str, Any]) -> None:
    assert said["too long"].startswith("RefusedError: vLLM refused a request: ")
    assert "maximum context length is 1024 tokens" in said["too long"]
    assert said["too hot"].startswith("RefusedError: vLLM refused a request: temperature must be")


def test_the_engines_end_is_an_error_and_so_is_asking_a_closed_policy(said: dict[str, Any]) -> None:
    assert said["dead while asked"].startswith("BackendError: vLLM's engine for ")
    assert said["dead"].startswith("BackendError: vLLM's engine for ")
    assert said["closed"].startswith("BackendError: ")
    assert said["closed"].endswith("is closed")


def test_an_engine_does_not_outlive_a_killed_process() -> None:
    script = Path(__file__).with_name("in_process.py")
    ran = subprocess.run([VLLM, str(script), "orphan", MODEL], stdout=subprocess.PIPE, text=True, timeout=600)
    processes = [Path("/proc") / pid for pid in ran.stdout.split()]
    assert processes
    deadline = time.monotonic() + 30
    while any(process.exists() for process in processes) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not any(process.exists() for process in processes)


def test_a_search_in_worker_processes_solves_problems(problems: Path, tmp_path: Path) -> None:
    """Chat is in the model's own template, which is the format's prompt."""
    few = tmp_path / "problems.jsonl"
    few.write_text("".join(problems.read_text().splitlines(keepends=True)[:PROBLEMS]))
    words = ["--model", f"{MODEL}&api=chat", "--processes", "1"]
    process = search(few, tmp_path / "run", *words, python=VLLM)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    trees = list(read_forest(tmp_path / "run" / "forest" / "tree-0"))
    assert len(trees) == PROBLEMS
    assert all(tree.outcome is None for tree in trees)
