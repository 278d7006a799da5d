import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from test_launch import FAST, alive, cancelled, eventually, forever
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from ponderosa.core import PonderosaError, Problem
from ponderosa.problems import write_problems
from ponderosa.training import AccelerateLauncher, Launcher, LauncherSettings, Progress, launching, run_job
from ponderosa.training.accelerated import _killed, accelerate_config

FSDP = LauncherSettings(accelerate={"fsdp_config": {}})


@pytest.fixture
def jobs(
    base: Path, trajectories: list[dict[str, str]], pairs: list[dict[str, Any]], tmp_path: Path
) -> dict[str, dict[str, Any]]:
    """A job of each kind, by kind."""
    found = {}
    for kind, rows in (("sft", trajectories), ("ppm", pairs)):
        file = tmp_path / f"{kind}.jsonl"
        file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        found[kind] = {"kind": kind, "start": str(base), "rows": str(file), "out": str(tmp_path / "out" / kind)}
        found[kind] |= {"seed": 3, "settings": FAST}
    return found


def weights(kind: str, path: Any) -> dict[str, Any]:
    auto = AutoModelForCausalLM if kind == "sft" else AutoModelForSequenceClassification
    return dict(auto.from_pretrained(path).named_parameters())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sft", "ppm"])
@pytest.mark.parametrize("how", ["plain", "sharded", "fsdp", "lora"])
async def test_two_processes_of_accelerate_learn_what_those_of_the_fork_server_learn(
    how: str, kind: str, jobs: dict[str, dict[str, Any]], spread: Callable[[], list[float]], tmp_path: Path
) -> None:
    job = jobs[kind]
    if how == "lora":
        job["settings"] = FAST | {"lora": {"rank": 4}}
    # The pairs of a PPM are packed by problem: of two processes the last batch may repeat a row, so two it is here too.
    async with Launcher(2 if kind == "ppm" else 1) as launcher:
        one = await launcher.run(job)
    more = {"sharded": True} if how == "sharded" else {}
    progress: list[Progress] = []
    job = job | {"out": str(tmp_path / "out" / "two"), "settings": job["settings"] | more}
    settings = FSDP if how == "fsdp" else LauncherSettings(accelerate={})
    async with launching(2, settings) as launcher:
        two = await launcher.run(job, progress.append)
    assert spread() == (pytest.approx([0.5, 0.5], abs=0.01) if how in ("sharded", "fsdp") else [0, 0])
    assert [p.step for p in progress] == list(range(1, two["steps"] + 1))
    assert two["tokens"] == one["tokens"]
    assert two["loss_end"] == pytest.approx(one["loss_end"], rel=1e-3)
    first, second = weights(kind, jobs[kind]["out"]), weights(kind, job["out"])
    assert first.keys() == second.keys()
    for name, weight in first.items():
        assert (weight - second[name]).abs().max() < 1e-2 * weight.abs().max()


@pytest.fixture
def others(
    jobs: dict[str, dict[str, Any]], trajectories: list[dict[str, str]], tokenizer: Any, base: Path, tmp_path: Path
) -> dict[str, dict[str, Any]]:
    """A job of each other kind, by kind."""
    torch.manual_seed(7)
    teacher = tmp_path / "teacher"
    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base)).save_pretrained(teacher)
    tokenizer.save_pretrained(teacher)
    problems, values = tmp_path / "problems.jsonl", tmp_path / "values.jsonl"
    write_problems(problems, [Problem(str(i), f"{i}?", "1") for i in range(20)])
    rows = [{"prompt": f"Q{i}:", "steps": ["a", "b"], "targets": [1.0, -1.0], "problem_id": str(i)} for i in range(20)]
    values.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    pairs = tmp_path / "equal.jsonl"
    pair = {"chosen": "ab", "rejected": "z", "weight": 1}
    rows = [pair | {"prompt": f"Q{i}:", "problem_id": str(i)} for i in range(20)]
    pairs.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    # All rows that are not held out are in every step, so that processes make no difference.
    settings = FAST | {"epochs": 2, "batch_size": 16, "micro_batch_size": 4, "learning_rate": 1e-3}
    settings |= {"held_out": 0.2, "evaluations": 1}
    drawn = settings | {"rollout": {"max_tokens": 8, "max_depth": 2}}
    of_length = {"group": 4, "rewards": [{"kind": "length", "limit": 8, "margin": 4}]}
    without = {name: drawn[name] for name in drawn if name not in ("held_out", "evaluations")}
    found: dict[str, dict[str, Any]] = {
        "values": jobs["ppm"] | {"rows": str(values), "settings": settings},
        "dpo": jobs["ppm"] | {"rows": str(pairs), "settings": settings},
        "distillation": jobs["sft"] | {"settings": settings, "teacher": str(teacher)},
        "on-policy": jobs["sft"] | {"rows": str(problems), "settings": drawn, "teacher": str(teacher)},
        "grpo": jobs["sft"] | {"rows": str(problems), "settings": without | of_length},
    }
    for kind in ("on-policy", "grpo"):
        found[kind] |= {"format": "text"}
    return {kind: job | {"kind": kind, "out": str(tmp_path / "out" / kind)} for kind, job in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["values", "dpo", "distillation", "on-policy", "grpo"])
async def test_every_other_kind_of_training_runs_in_two_processes_of_accelerate(
    kind: str, others: dict[str, dict[str, Any]], spread: Callable[[], list[float]], tmp_path: Path
) -> None:
    """Sharded, but for those that generate. What is held out is worth the same, by whichever processes."""
    generates = kind in ("on-policy", "grpo")
    job = others[kind]
    async with launching(2, LauncherSettings(accelerate={}) if generates else FSDP) as launcher:
        two = await launcher.run(job)
    assert spread() == ([0, 0] if generates else pytest.approx([0.5, 0.5], abs=0.01))
    if kind == "grpo":
        assert two["rollouts"] == two["steps"] * 16
        return
    one = await run_job(job | {"out": str(tmp_path / "out" / "one")})
    assert two["steps"] == one["steps"]
    assert two["held_out"] == one["held_out"] > 0
    pairs = list(zip(one["evaluations"], two["evaluations"], strict=True))
    assert len(pairs) == 2
    for here, there in pairs:
        assert there["step"] == here["step"]
        assert there["loss"] == pytest.approx(here["loss"], rel=0.02 if kind == "on-policy" else 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [None, LauncherSettings(accelerate={}), FSDP], ids=["fork", "accelerate", "fsdp"])
async def test_two_processes_that_were_stopped_and_killed_go_on_whoever_launched_them(
    settings: LauncherSettings | None, jobs: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    job = jobs["sft"] | {"settings": FAST | {"batch_size": 10, "sharded": settings is None}}
    async with launching(2, settings) as launcher:
        whole = await launcher.run(job | {"out": str(tmp_path / "out" / "whole")})
        stopped = await cancelled(launcher, job, 3)
        await cancelled(launcher, job, 6, times=2)
        seen: list[Progress] = []
        again = await launcher.run(job, seen.append)
    assert whole["steps"] > seen[0].step == stopped[-1].step + 1 > 3
    assert again["tokens"] == whole["tokens"]
    assert again["loss_end"] == pytest.approx(whole["loss_end"], rel=1e-5)


@pytest.mark.slow
async def test_what_is_raised_under_accelerate_is_raised_here(jobs: dict[str, dict[str, Any]]) -> None:
    async with AccelerateLauncher(LauncherSettings(accelerate={}), 2) as launcher:
        with pytest.raises(PonderosaError, match=r"^there is no checkpoint at /nowhere$"):
            await launcher.run(jobs["sft"] | {"start": "/nowhere"})


@pytest.mark.slow
async def test_a_killed_process_of_accelerate_is_an_error_that_says_what_to_try(
    jobs: dict[str, dict[str, Any]],
) -> None:
    async with AccelerateLauncher(LauncherSettings(accelerate={}), 2) as launcher:

        def kill(_: Progress) -> None:
            assert launcher._process is not None
            agent = launcher._process.pid
            workers = Path(f"/proc/{agent}/task/{agent}/children").read_text().split()
            os.kill(int(workers[-1]), signal.SIGKILL)

        with pytest.raises(PonderosaError, match=r"training process \d was killed.*lower `micro_batch_size`"):
            await launcher.run(forever(jobs["sft"]), kill)


def test_those_that_the_launcher_ended_for_want_of_another_are_not_the_cause() -> None:
    listed = """[1]:
  rank      : {rank} (local_rank: {rank})
  exitcode  : {status} (pid: 7)
"""
    ended, killed = listed.format(rank=0, status=-15), listed.format(rank=1, status=-9)
    assert _killed(deque((ended + listed.format(rank=1, status=1)).splitlines(True))) is None
    found = _killed(deque((ended + killed).splitlines(True)))
    assert found is not None
    assert found.startswith("training process 1 was killed")


@pytest.mark.slow
def test_when_the_driver_is_killed_accelerate_and_all_below_it_end(jobs: dict[str, dict[str, Any]]) -> None:
    code = """
import asyncio, json, sys
from pathlib import Path
from ponderosa.training import AccelerateLauncher, LauncherSettings
async def main():
    launcher = AccelerateLauncher(LauncherSettings(accelerate={}), 2)
    def tell(progress):
        agent = launcher._process.pid
        print(agent, *Path(f"/proc/{agent}/task/{agent}/children").read_text().split(), flush=True)
    await launcher.run(json.loads(sys.argv[1]), tell)
asyncio.run(main())
"""
    arguments = [sys.executable, "-c", code, json.dumps(forever(jobs["sft"]))]
    driver = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    with driver.stdout:
        processes = list(map(int, driver.stdout.readline().split()))
        driver.kill()
        driver.wait()
    assert len(processes) >= 3
    assert eventually(lambda: not any(map(alive, processes)), 60)


def test_a_configuration_says_what_it_must_and_keeps_what_it_is_given() -> None:
    config = accelerate_config(LauncherSettings(accelerate={"mixed_precision": "bf16", "main_process_port": 29501}), 4)
    assert config == {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": "MULTI_GPU",
        "mixed_precision": "bf16",
        "machine_rank": 0,
        "num_machines": 1,
        "num_processes": 4,
        "main_process_port": 29501,
    }
    assert accelerate_config(LauncherSettings(accelerate={}), 1)["distributed_type"] == "NO"


def test_fsdp_is_asked_for_by_its_configuration() -> None:
    given = {"num_processes": 8, "fsdp_config": {"fsdp_offload_params": True, "fsdp_version": 1}}
    config = accelerate_config(LauncherSettings(accelerate=given), 2)
    assert (config["distributed_type"], config["num_processes"]) == ("FSDP", 8)
    assert config["fsdp_config"] == {
        "fsdp_version": 1,
        "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "fsdp_cpu_ram_efficient_loading": False,
        "fsdp_offload_params": True,
    }


def test_deepspeed_is_asked_for_by_its_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zero3.json").write_text('{"zero_optimization": {"stage": 3}}')
    given = {"deepspeed_config": {"deepspeed_config_file": "zero3.json", "zero3_init_flag": True}}
    config = accelerate_config(LauncherSettings(accelerate=given), 2)
    assert config["distributed_type"] == "DEEPSPEED"
    assert config["deepspeed_config"] == {
        "deepspeed_config_file": str(tmp_path / "zero3.json"),
        "zero3_init_flag": True,
    }
    missing = LauncherSettings(accelerate={"deepspeed_config": {"deepspeed_config_file": "none.json"}})
    with pytest.raises(PonderosaError, match=r"there is no DeepSpeed configuration none\.json"):
        accelerate_config(missing, 2)


def test_each_machine_reads_its_rank_from_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = LauncherSettings(
        accelerate={"num_machines": 2, "num_processes": 16, "machine_rank": "$NODE", "main_process_ip": "$HEAD"}
    )
    with pytest.raises(PonderosaError, match=r"asks for \$NODE, which the environment does not have"):
        accelerate_config(settings, 1)
    monkeypatch.setenv("NODE", "1")
    monkeypatch.setenv("HEAD", "10.0.0.1")
    config = accelerate_config(settings, 1)
    assert (config["machine_rank"], config["main_process_ip"]) == (1, "10.0.0.1")
    assert "main_process_port" not in config


def test_accelerates_own_file_serves_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "accelerate.yaml"
    file.write_text(yaml.safe_dump({"distributed_type": "MULTI_GPU", "num_processes": 3, "debug": True}))
    config = accelerate_config(LauncherSettings(accelerate=file), 2)
    assert (config["num_processes"], config["debug"]) == (3, True)
    with pytest.raises(PonderosaError, match="cannot read accelerate's configuration"):
        accelerate_config(LauncherSettings(accelerate=tmp_path / "none.yaml"), 2)


def test_accelerate_reads_the_configurations_that_are_written(tmp_path: Path) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    for number, given in enumerate([{}, {"fsdp_config": {}}, {"deepspeed_config": {"zero_stage": 2}}]):
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump(accelerate_config(LauncherSettings(accelerate=given), 2)))
        config = load_config_from_file(str(file))
        assert config.num_processes == 2


@pytest.mark.parametrize("settings", [None, LauncherSettings()])
def test_small_models_are_trained_by_the_fork_server(settings: LauncherSettings | None) -> None:
    assert isinstance(launching(2, settings), Launcher)
