"""Policy and PPM on real vLLM servers, on CPUs: `make test-servers`. VLLM_PYTHON names a Python that has vLLM."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prm_checkpoints import MAKERS

from ponderosa.cluster.model_server import ModelServer, free_port, vllm_command
from ponderosa.core import PonderosaError
from ponderosa.forest import read_forest
from ponderosa.models import load_reward
from ponderosa.models.served.prm import SERVED
from ponderosa.sapling import base_path

from .running import FORMAT, begun, completions, ended, questions, search, served

VLLM = os.environ.get("VLLM_PYTHON", "")
pytestmark = [pytest.mark.servers, pytest.mark.skipif(not VLLM, reason="VLLM_PYTHON names no Python with vLLM")]
SETTINGS = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
# On CPUs vLLM fails at seeded requests whose prompts it reads in parts.
WHOLE_PROMPTS = ("--no-enable-chunked-prefill", "--max-num-batched-tokens", "8192")


def server(model: Path, log: Path, *arguments: str, port: int = 0) -> ModelServer:
    port = port or free_port()
    command = vllm_command(VLLM, str(model), port, "--enforce-eager", "--dtype", "float32", *arguments)
    return ModelServer(command, f"http://127.0.0.1:{port}", log, environment=SETTINGS)


@pytest.fixture(scope="module")
def ppm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward model on the sapling base. Its head is random: what is compared is how it is served."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("ppm")
    model = AutoModelForSequenceClassification.from_pretrained(str(base_path()), num_labels=1)
    model.config.reward_scale = 0.5
    model.save_pretrained(path)
    AutoTokenizer.from_pretrained(str(base_path())).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def servers(ppm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ModelServer, ModelServer]]:
    logs = tmp_path_factory.mktemp("logs")
    policy = server(base_path(), logs / "policy.log", *WHOLE_PROMPTS)
    reward = server(ppm, logs / "reward.log", "--runner", "pooling")
    with served(policy, reward):
        yield policy, reward


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_greedy_solutions_are_those_of_the_model_in_process(servers, problems: Path, api: str) -> None:
    """Chat goes through the model's own template, with the steps so far as the assistant's turn."""
    prompts = [FORMAT.render(question) for question in questions(problems)]
    ours = completions(str(base_path()), prompts)
    prompts += begun(prompts, ours)
    ours += completions(str(base_path()), prompts[50:])
    theirs = completions(f"{servers[0].url}?api={api}", prompts)
    assert [ended(one) for one in theirs] == [ended(one) for one in ours]
    assert len(ours) == 100


def test_values_are_those_of_the_model_in_process(servers, ppm: Path, problems: Path) -> None:
    steps = tuple(f"\n# Step {i}: {i} more apples.\nx{i} = {i}\n<end_of_step>" for i in range(5))
    paths = [(question, steps[: 1 + i % 5]) for i, question in enumerate(questions(problems))]

    async def values(name: str) -> list[tuple[float, ...]]:
        reward = load_reward(name, FORMAT)
        scored = await reward.score(paths)
        await asyncio.to_thread(reward.close)
        return [one.values for one in scored]

    ours, theirs = asyncio.run(values(str(ppm))), asyncio.run(values(servers[1].url))
    assert len({value for one in ours for value in one}) > 50
    for a, b in zip(ours, theirs, strict=True):
        assert a == pytest.approx(b, abs=1e-3)


@pytest.mark.parametrize("kind", SERVED)
def test_values_of_other_peoples_reward_models_are_those_in_process(kind: str, problems: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = MAKERS[kind](tmp_path / "model")
    arguments: tuple[str, ...] = ()
    if kind == "qwen2.5-math-prm":  # in this small vocabulary the tag is not where vLLM expects it
        tag = AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids("<extra_0>")
        arguments = ("--runner", "pooling", "--pooler-config", json.dumps({"step_tag_id": tag}))
    steps = tuple(f"\n# Step {i}: {i} more apples.\nx{i} = {i}\n<end_of_step>" for i in range(5))
    paths = [(question, steps[: 1 + i % 5]) for i, question in enumerate(questions(problems))]

    async def values(name: str, last_only: bool = False) -> list[tuple[float, ...]]:
        reward = load_reward(f"{name}?kind={kind}", FORMAT)
        scored = await reward.score(paths, last_only=last_only)
        await asyncio.to_thread(reward.close)
        return [one.values for one in scored]

    ours = asyncio.run(values(str(folder)))
    own = server(folder, tmp_path / "server.log", *arguments)
    with served(own):
        theirs, last = asyncio.run(values(own.url)), asyncio.run(values(own.url, last_only=True))
    assert len({round(value, 3) for one in ours for value in one}) > 50
    for a, b, c in zip(ours, theirs, last, strict=True):
        assert a == pytest.approx(b, abs=1e-3)
        assert a[-1:] == pytest.approx(c, abs=1e-3)


def test_a_search_through_both_servers_outlives_the_death_of_one(servers, problems: Path, tmp_path: Path) -> None:
    """The policy's server is killed in the middle and started again: no problem is lost."""
    own = server(base_path(), tmp_path / "policy.log", *WHOLE_PROMPTS)
    port = int(own.url.rpartition(":")[2])
    with served(own):
        process = search(problems, tmp_path / "run", "--model", own.url, "--reward", servers[1].url)
        journals = tmp_path / "run" / "forest" / "tree-0"
        while sum(path.stat().st_size for path in journals.glob("*.journal")) < 100_000:
            assert process.poll() is None
            time.sleep(0.05)
        os.killpg(own.pid, signal.SIGKILL)
    with served(server(base_path(), tmp_path / "policy.log", *WHOLE_PROMPTS, port=port)):
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert f"waiting for {own.url}" in output
    trees = list(read_forest(journals))
    assert len({tree.problem_id for tree in trees}) == 50
    assert all(tree.outcome is None for tree in trees)


RECIPE = """
name: served
policy: sapling
problems: {source: sapling, levels: [1, 2, 3]}
workers: {processes: 2, concurrency: 64, shard: 50}
search: {candidates: 4, answer_candidates: 1, max_tokens: 96, temperature: 0.8}
rounds:
  - {problems: 60, rollouts: 4}
  - {problems: 40, rollouts: 4, reward: true}
data: {pairs: {min_margin: 0.5, min_edit_distance: 1}}
sft: &fit {epochs: 1, micro_batch_size: 8, attention: eager, max_length: 1024, optimizer: muon}
ppm: {<<: *fit, squash: none, scale: 1}
evaluation: {test: 40, samples: 2, max_tokens: 400, sampled: 20, final: 20, rollouts: 2, dev: 0}
"""


def test_two_rounds_serve_what_they_trained(tmp_path: Path) -> None:
    """The run starts and stops the servers itself, each with the checkpoint that the search is for."""
    recipe = tmp_path / "recipe.yaml"
    ppm = {"python": VLLM, "environment": SETTINGS, "arguments": ["--enforce-eager", "--dtype", "float32"]}
    policy = ppm | {"arguments": [*ppm["arguments"], *WHOLE_PROMPTS]}
    recipe.write_text(RECIPE + json.dumps({"servers": {"policy": policy, "ppm": ppm}})[1:-1])
    command = [sys.executable, "-m", "ponderosa", "evolve", str(recipe), "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert [record["greedy"]["n"] for record in results["rounds"]] == [40, 40, 40]
    for role, rounds in {"policy": ("sapling", "round-1", "round-2"), "ppm": ("round-1", "round-2")}.items():
        log = (tmp_path / "run" / "logs" / f"server-{role}.log").read_text()
        served = re.findall(r"'model': '([^']*)'", log)
        assert len(served) == len(rounds)
        assert all(name in path for name, path in zip(rounds, served, strict=True))
    for number in (1, 2):  # values come from the served PPM, and none is missing
        trees = list(read_forest(tmp_path / "run" / f"round-{number}" / "evaluation" / "samples"))
        assert all(tree.outcome is None for tree in trees)
        assert all(tree.nodes[end].value is not None for tree in trees for end in tree.answered())
    assert not subprocess.run(["pgrep", "-f", str(tmp_path / "run")], capture_output=True, text=True).stdout


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    broken = server(tmp_path / "no-model", tmp_path / "log")
    with pytest.raises(PonderosaError, match="ended with code"), served(broken):
        pass
