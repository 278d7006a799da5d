"""Policy and PPM on real vLLM servers, on CPUs: `make test-servers`. VLLM_PYTHON names a Python that has vLLM."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ponderosa.cluster.model_server import ModelServer, free_port, vllm_command
from ponderosa.core import CodeFormat, PonderosaError, Sampling
from ponderosa.forest import read_forest
from ponderosa.models import load_policy, load_reward
from ponderosa.sapling import base_path

VLLM = os.environ.get("VLLM_PYTHON", "")
pytestmark = [pytest.mark.servers, pytest.mark.skipif(not VLLM, reason="VLLM_PYTHON names no Python with vLLM")]
FORMAT = CodeFormat()
# On CPUs vLLM fails at seeded requests whose prompts it reads in parts.
WHOLE_PROMPTS = ("--no-enable-chunked-prefill", "--max-num-batched-tokens", "8192")


def server(model: Path, log: Path, *arguments: str, port: int = 0) -> ModelServer:
    port = port or free_port()
    command = vllm_command(VLLM, str(model), port, "--enforce-eager", "--dtype", "float32", *arguments)
    settings = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
    words = [f"{name}={value}" for name, value in settings.items()]
    return ModelServer(["env", *words, *command], f"http://127.0.0.1:{port}", log)


@contextmanager
def served(*servers: ModelServer) -> Iterator[None]:
    """Servers that start together, and end whatever happens. Their loop runs only to start and to end them."""
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(asyncio.wait_for(_all(s.start() for s in servers), 600))
        yield
    finally:
        loop.run_until_complete(_all(s.stop() for s in servers))
        loop.close()


async def _all(parts) -> None:
    await asyncio.gather(*parts)


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


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("problems") / "problems.jsonl"
    command = [sys.executable, "-m", "ponderosa", "sapling", "problems", "test", "--count", "50"]
    path.write_text(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return path


def questions(problems: Path) -> list[str]:
    return [json.loads(line)["question"] for line in problems.read_text().splitlines()]


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_greedy_solutions_are_those_of_the_model_in_process(servers, problems: Path, api: str) -> None:
    """Chat goes through the model's own template, with the steps so far as the assistant's turn."""
    prompts = [FORMAT.render(question) for question in questions(problems)]
    sampling = Sampling(0.0, max_tokens=400, stop=FORMAT.chain_stops)

    async def solutions(name: str) -> list[tuple]:
        policy = load_policy(name)
        first = await asyncio.gather(*(policy.propose(prompt, 1, sampling, 0) for prompt in prompts))
        begun = [
            FORMAT.render(prompt.question, (one.text[: len(one.text) // 2],))
            for prompt, (one,) in zip(prompts, first, strict=True)
        ]
        second = await asyncio.gather(*(policy.propose(prompt, 1, sampling, 0) for prompt in begun))
        await asyncio.to_thread(policy.close)
        return [(one.text, one.ended, one.stop, one.tokens) for (one,) in [*first, *second]]

    ours = asyncio.run(solutions(str(base_path())))
    theirs = asyncio.run(solutions(f"{servers[0].url}?api={api}"))
    assert sum(a == b for a, b in zip(ours, theirs, strict=True)) == len(ours) == 100


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


def search(problems: Path, policy: str, reward: str, out: Path) -> subprocess.Popen[str]:
    words = [
        "search",
        str(problems),
        "--policy",
        policy,
        "--reward",
        reward,
        "--preset",
        "rstar-math",
        "--out",
        str(out),
    ]
    sizes = ["--rollouts", "8", "--candidates", "5", "--set", "max_tokens=96"]
    command = [sys.executable, "-m", "ponderosa", *words, *sizes]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_search_through_both_servers_outlives_the_death_of_one(servers, problems: Path, tmp_path: Path) -> None:
    """The policy's server is killed in the middle and started again: no problem is lost."""
    own = server(base_path(), tmp_path / "policy.log", *WHOLE_PROMPTS)
    port = int(own.url.rpartition(":")[2])
    with served(own):
        process = search(problems, own.url, servers[1].url, tmp_path / "run")
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


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    broken = server(tmp_path / "no-model", tmp_path / "log")
    with pytest.raises(PonderosaError, match="ended with code"), served(broken):
        pass
