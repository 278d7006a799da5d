import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from ponderosa.core import PonderosaError
from ponderosa.training import Launcher, Progress, run_job
from ponderosa.training.server import ENVIRONMENT

FAST = {
    "epochs": 6,
    "batch_size": 20,
    "micro_batch_size": 5,
    "learning_rate": 1e-2,
    "precision": "float32",
    "save_precision": "float32",
}


@pytest.fixture
def job(base: Path, trajectories: list[dict[str, str]], tmp_path: Path) -> dict[str, Any]:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("\n".join(map(json.dumps, trajectories)), encoding="utf-8")
    out = tmp_path / "out" / "policy"
    return {"kind": "sft", "start": str(base), "rows": str(rows), "out": str(out), "seed": 3, "settings": FAST}


def forever(job: dict[str, Any]) -> dict[str, Any]:
    return job | {"settings": FAST | {"epochs": 1_000_000}}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


@pytest.mark.parametrize("kind", ["sft", "ppm"])
async def test_sharded_processes_learn_what_whole_ones_learn(
    kind: str, job: dict[str, Any], spread: Callable[[], list[float]], tmp_path: Path
) -> None:
    """Weights, gradients and optimiser states are spread over two processes; the checkpoint is an ordinary one."""
    pairs = [
        {"prompt": f"Q{i}:", "chosen": "ab", "rejected": "z", "weight": 1, "problem_id": str(i)} for i in range(30)
    ]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)), encoding="utf-8")
    if kind == "ppm":
        job |= {"kind": "ppm", "rows": str(tmp_path / "pairs.jsonl")}
    sharded = FAST | {"sharded": True, "gradient_checkpointing": True}
    async with Launcher(processes=2) as launcher:
        whole = await launcher.run(job)
        assert spread() == [0, 0]
        parts = await launcher.run(job | {"out": str(tmp_path / "out" / "sharded"), "settings": sharded})
        assert spread() == pytest.approx([0.5, 0.5], abs=0.01)
    assert parts["tokens"] == whole["tokens"]
    assert parts["loss_end"] == pytest.approx(whole["loss_end"], rel=1e-3)
    auto = AutoModelForCausalLM if kind == "sft" else AutoModelForSequenceClassification
    paths = (job["out"], tmp_path / "out" / "sharded")
    first, second = (dict(auto.from_pretrained(path).named_parameters()) for path in paths)
    assert first.keys() == second.keys()
    for name, weight in first.items():
        assert (weight - second[name]).abs().max() < 1e-2 * weight.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"lora": {"rank": 4}, "learning_rate": 0.3}], ids=["weights", "adapters"])
async def test_sharded_processes_keep_the_best_weights_of_a_step_before_the_last(
    more: dict[str, Any], job: dict[str, Any], spread: Callable[[], list[float]], tmp_path: Path
) -> None:
    # So large steps that the loss of what is held out rises before it falls.
    settings = FAST | {"epochs": 3, "batch_size": 16, "learning_rate": 0.1, "schedule": "constant"}
    settings |= {"held_out": 0.2, "keep_best": True} | more
    paths = {sharded: tmp_path / "out" / str(sharded) for sharded in (False, True)}
    async with Launcher(processes=2) as launcher:
        whole, parts = [
            await launcher.run(job | {"out": str(path), "settings": settings | {"sharded": sharded}})
            for sharded, path in paths.items()
        ]
    assert spread() == pytest.approx([0.5, 0.5], abs=0.01)
    assert parts["kept"]["step"] == whole["kept"]["step"] < whole["steps"]
    assert parts["kept"]["loss"] == pytest.approx(whole["kept"]["loss"], rel=1e-3)
    first, second = (AutoModelForCausalLM.from_pretrained(path).state_dict() for path in paths.values())
    assert all(torch.allclose(first[name], second[name], atol=1e-2 * first[name].abs().max()) for name in first)


@pytest.mark.slow
async def test_the_losses_of_sharded_processes_are_not_rounded_to_16_bits(
    job: dict[str, Any], spread: Callable[[], list[float]]
) -> None:
    seen: list[Progress] = []
    settings = FAST | {"sharded": True, "precision": "bfloat16", "max_steps": 2}
    async with Launcher(processes=2) as launcher:
        await launcher.run(job | {"settings": settings}, seen.append)
    assert spread() == pytest.approx([0.5, 0.5], abs=0.01)
    losses = torch.tensor([progress.loss for progress in seen])
    assert not torch.equal(losses, losses.bfloat16().float())


async def test_two_processes_share_the_work_and_learn_the_same(job: dict[str, Any], tmp_path: Path) -> None:
    progress: list[Progress] = []
    one = await run_job(job)
    async with Launcher(processes=2) as launcher:
        two = await launcher.run(job | {"out": str(tmp_path / "out" / "two")}, progress.append)
        ppm = job | {"kind": "ppm", "out": str(tmp_path / "out" / "ppm"), "start": str(tmp_path / "out" / "two")}
        ppm["rows"] = str(tmp_path / "pairs.jsonl")
        pairs = [
            {"prompt": f"Q{i}:", "chosen": "a", "rejected": "z", "weight": 1, "problem_id": str(i)} for i in range(30)
        ]
        Path(ppm["rows"]).write_text("\n".join(map(json.dumps, pairs)), encoding="utf-8")
        second = await launcher.run(ppm)  # the same server goes on to serve

    assert [p.step for p in progress] == list(range(1, 7))
    assert two["tokens"] == one["tokens"]
    assert two["loss_end"] == pytest.approx(one["loss_end"], rel=1e-3)  # all rows are in every step
    weights = [dict(AutoModelForCausalLM.from_pretrained(p).named_parameters()) for p in (job["out"], ppm["start"])]
    for name, weight in weights[0].items():
        assert (weight - weights[1][name]).abs().max() < 1e-2 * weight.abs().max()
    assert second["pairs"] + second["held_out"] == 30
    assert second["kept"]["accuracy"] == 1.0


async def cancelled(launcher: Any, job: dict[str, Any], step: int, times: int = 1) -> list[Progress]:
    """The progress of a job that was cancelled after so many steps."""
    seen: list[Progress] = []
    task = asyncio.create_task(launcher.run(job, seen.append))
    while not seen or seen[-1].step < step:
        assert not task.done(), task
        await asyncio.sleep(0.005)
    for _ in range(times):
        task.cancel()
        for _ in range(5):  # until it has heard
            await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    return seen


@pytest.mark.parametrize("times", [1, 2], ids=["which saves", "at once"])
async def test_cancelling_ends_the_training_and_leaves_no_checkpoint(times: int, job: dict[str, Any]) -> None:
    async with Launcher() as launcher:
        assert launcher._server is not None
        server = launcher._server.pid
        seen = await cancelled(launcher, forever(job), 1, times)
        assert not alive(server)
        assert not Path(job["out"]).exists()
        states = list(Path(job["out"]).with_name(".policy.partial").glob("scratch/checkpoint-*/saved.json"))
        assert len(states) == (1 if times == 1 else 0)
        assert "Ctrl-C again" in seen[-1].note

        await launcher.run(job)  # a new server, which clears away what the old one left
    assert [path.name for path in Path(job["out"]).parent.iterdir()] == ["policy"]


async def test_a_training_that_was_cancelled_goes_on_from_its_last_step(job: dict[str, Any], tmp_path: Path) -> None:
    job["settings"] = FAST | {"epochs": 12}
    async with Launcher(2) as launcher:
        whole = await launcher.run(job | {"out": str(tmp_path / "out" / "whole")})
        first = await cancelled(launcher, job, 3)
        again: list[Progress] = []
        report = await launcher.run(job, again.append)
    assert whole["steps"] > again[0].step == first[-1].step + 1 > 3
    assert (report["tokens"], report["loss_end"]) == (whole["tokens"], whole["loss_end"])
    paths = (tmp_path / "out" / "whole", job["out"])
    one, two = (AutoModelForCausalLM.from_pretrained(path).state_dict() for path in paths)
    assert all(torch.equal(one[name], two[name]) for name in one)


async def test_cancelling_before_the_first_step_does_not_wait(job: dict[str, Any]) -> None:
    async with Launcher() as launcher:
        task = asyncio.create_task(launcher.run(forever(job)))
        await asyncio.sleep(0.1)
        task.cancel()
        async with asyncio.timeout(5):
            with pytest.raises(asyncio.CancelledError):
                await task


async def test_a_killed_worker_is_an_error_that_says_what_to_try(job: dict[str, Any]) -> None:
    async with Launcher(processes=2) as launcher:
        assert launcher._server is not None
        server = launcher._server.pid

        def kill(_: Progress) -> None:
            for worker in children(server)[-1:]:
                os.kill(worker, signal.SIGKILL)

        with pytest.raises(PonderosaError, match=r"training process 1 was killed.*lower `micro_batch_size`"):
            await launcher.run(forever(job), kill)
        assert children(server) == []
        report = await launcher.run(job)
    assert report["steps"] == 6


def test_the_death_of_a_worker_is_told_though_another_failed_for_want_of_it_and_was_seen_first() -> None:
    script = """
import os, signal
from ponderosa.training import server

def work(job, rank, *_):
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(1)  # it has told of a connection that was lost

def wait(pids=[], wait=os.wait):
    if not pids:
        pids += open(f"/proc/self/task/{os.getpid()}/children").read().split()
        for pid in pids:
            os.waitid(os.P_PID, int(pid), os.WEXITED | os.WNOWAIT)
    return wait()  # the eldest of those that have ended

server.work, os.wait = work, wait
print(server.serve({}, 2, 1))
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.startswith("training process 1 was killed")


def test_no_other_program_can_take_the_port_at_which_processes_meet() -> None:
    script = """
import os, socket
from contextlib import suppress
from ponderosa.training import server

def train(*_, tells):
    import torch
    port = int(os.environ["MASTER_PORT"])
    with suppress(OSError):  # what another may try while libraries and rows are loaded
        taken = socket.create_server(("127.0.0.1", port))
    torch.distributed.init_process_group("gloo")
    ranks = torch.tensor(1 << int(os.environ["RANK"]))
    torch.distributed.all_reduce(ranks)
    torch.distributed.barrier()
    if tells:
        print("met:", ranks.item(), flush=True)
    return 0

server.train = train
server.serve({}, 2, 1)
"""
    environment = os.environ | ENVIRONMENT
    run = [sys.executable, "-c", script]
    ended = subprocess.run(run, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert ended.stdout == "met: 3\n", ended.stderr


async def test_a_death_in_native_code_says_where_it_was(job: dict[str, Any]) -> None:
    async with Launcher(processes=2) as launcher:
        assert launcher._server is not None
        server = launcher._server.pid

        def crash(_: Progress) -> None:
            for worker in children(server)[-1:]:
                os.kill(worker, signal.SIGSEGV)

        with pytest.raises(PonderosaError, match="training process 1 died of SIGSEGV") as raised:
            await launcher.run(forever(job), crash)
    said = str(raised.value.__cause__)
    assert "Fatal Python error: Segmentation fault" in said
    assert "in train" in said


async def test_a_worker_that_ends_without_a_word_is_an_error(
    job: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'ponderosa.training.server' in sys.orig_argv:\n"
        "    import os, ponderosa.training.jobs as jobs\n"
        "    jobs.parse_job = lambda job: os._exit(1)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(PonderosaError, match="the training ended without a report"):
        await run_job(job)


async def test_what_the_training_raises_is_raised_here(job: dict[str, Any]) -> None:
    with pytest.raises(PonderosaError, match="there is no checkpoint at /nowhere"):
        await run_job(job | {"start": "/nowhere"}, processes=2)


async def test_a_server_that_cannot_start_is_an_error_with_its_last_words(
    job: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "trl").mkdir()
    (tmp_path / "trl" / "__init__.py").write_text("raise ImportError('no such library')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(PonderosaError, match=r"ended with exit code 1: no such library; `pip install"):
        await run_job(job)


async def test_a_wrong_job_is_refused_before_anything_starts() -> None:
    with pytest.raises(PonderosaError, match=r"not a training job: settings.epochs: Input should be greater than 0"):
        await Launcher().run({"kind": "sft", "start": "", "rows": "", "out": "", "seed": 0, "settings": {"epochs": 0}})


def test_when_the_driver_is_killed_all_training_ends(job: dict[str, Any]) -> None:
    code = """
import asyncio, json, sys
from ponderosa.training import Launcher
async def main():
    async with Launcher(2) as launcher:
        print(launcher._server.pid, flush=True)
        await launcher.run(json.loads(sys.argv[1]), lambda progress: print(progress.step, flush=True))
asyncio.run(main())
"""
    driver = subprocess.Popen([sys.executable, "-c", code, json.dumps(forever(job))], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    with driver.stdout:
        server = int(driver.stdout.readline())
        assert driver.stdout.readline() == "1\n"
        processes = [server, *children(server)]
        driver.kill()
        driver.wait()

    assert len(processes) == 3
    assert eventually(lambda: not any(map(alive, processes)))
    assert not Path(job["out"]).exists()


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import sys, ponderosa.training; sys.exit(any(name in sys.modules for name in ('torch', 'trl', 'pyarrow')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
