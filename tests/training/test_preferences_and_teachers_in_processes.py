"""Optimisation by preferences, and distillation, in processes of their own."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from ponderosa.core import Problem
from ponderosa.problems import write_problems
from ponderosa.training import Launcher, run_job

pytestmark = pytest.mark.slow

FAST = {
    "epochs": 6,
    "batch_size": 20,
    "micro_batch_size": 5,
    "max_length": 300,
    "learning_rate": 1e-2,
    "precision": "float32",
    "save_precision": "float32",
}


@pytest.fixture(params=["dpo", "distillation", "on-policy"])
def job(
    request: pytest.FixtureRequest, base: Path, tokenizer: Any, trajectories: list[dict[str, str]], tmp_path: Path
) -> dict[str, Any]:
    torch.manual_seed(7)
    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base)).save_pretrained(tmp_path / "teacher")
    tokenizer.save_pretrained(tmp_path / "teacher")
    rows = tmp_path / "rows.jsonl"
    job = {"kind": request.param, "start": str(base), "rows": [str(rows)], "out": str(tmp_path / "out" / "one")}
    job |= {"seed": 3, "settings": dict(FAST)}
    if request.param == "dpo":
        pairs = [{"prompt": f"Q{i}:", "chosen": "a", "rejected": "z", "weight": 1} for i in range(20)]
        rows.write_text("\n".join(map(json.dumps, pairs)), encoding="utf-8")
        return job
    job["teacher"] = str(tmp_path / "teacher")
    if request.param == "on-policy":
        write_problems(rows, [Problem(str(i), f"{i}?", "1") for i in range(20)])
        job["settings"]["rollout"] = {"max_tokens": 8, "max_depth": 2}
    else:
        rows.write_text("\n".join(map(json.dumps, trajectories)), encoding="utf-8")
    return job


async def test_two_processes_share_the_work(job: dict[str, Any], tmp_path: Path) -> None:
    one = await run_job(job)
    two = await run_job(job | {"out": str(tmp_path / "out" / "two")}, processes=2)
    assert two["steps"] == one["steps"] == 6
    if job["kind"] == "on-policy":  # each process draws its own solutions
        assert two["generated_tokens"] > 6 * 20
        assert two["loss_start"] == pytest.approx(one["loss_start"], rel=0.2)
    else:
        assert two["tokens"] == one["tokens"]
        assert two["loss_end"] == pytest.approx(one["loss_end"], rel=1e-2)  # all rows are in every step


async def test_a_training_that_is_ended_leaves_no_checkpoint(job: dict[str, Any]) -> None:
    out = Path(job["out"])
    begun = asyncio.Event()
    async with Launcher() as launcher:
        forever = job | {"settings": job["settings"] | {"epochs": 100_000}}
        training = asyncio.create_task(launcher.run(forever, lambda _: begun.set()))
        await asyncio.wait_for(begun.wait(), 300)
        training.cancel()
        with pytest.raises(asyncio.CancelledError):
            await training
    assert not out.exists()
    await run_job(job)
    assert [path.name for path in out.parent.iterdir()] == ["one"]
