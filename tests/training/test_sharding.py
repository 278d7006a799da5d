"""What is spread over processes, whoever asked for it: what it rules out is refused before anything is trained."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.state import DistributedType
from accelerate.utils import FullyShardedDataParallelPlugin
from pydantic import ValidationError

from ponderosa.core import PonderosaError, Problem
from ponderosa.training import (
    DPOSettings,
    FitSettings,
    GRPOSettings,
    LauncherSettings,
    OnPolicySettings,
    PPMSettings,
    SFTSettings,
    launching,
    train_dpo,
    train_grpo,
    train_sft,
)
from ponderosa.training.accelerated import accelerate_config
from ponderosa.training.grpo import Task
from ponderosa.training.sharding import Sharding, check_sharding, configured, launched, turned_on

FSDP, STAGE_2, STAGE_3 = Sharding("FSDP"), Sharding("DeepSpeed", weights=False), Sharding("DeepSpeed")
MUON = SFTSettings(optimizer="muon")
VLLM = GRPOSettings(generation={"engine": "vllm"})


@pytest.mark.parametrize("sharding", [None, FSDP, STAGE_2, STAGE_3])
@pytest.mark.parametrize("settings", [SFTSettings(), DPOSettings(), VLLM])
def test_what_works_on_parts_of_weights_may_be_spread(settings: FitSettings, sharding: Sharding | None) -> None:
    check_sharding(settings, sharding)


@pytest.mark.parametrize(
    ("settings", "sharding", "message"),
    [
        (MUON, FSDP, "asks for FSDP: muon .* take adamw"),
        (MUON, STAGE_2, "asks for DeepSpeed: muon .* take adamw"),
        (GRPOSettings(), FSDP, "set `generation.engine: vllm`"),
        (GRPOSettings(), STAGE_3, "set `generation.engine: vllm`"),
        (OnPolicySettings(), FSDP, "cannot generate in the process that trains"),
        (OnPolicySettings(), STAGE_3, "cannot generate in the process that trains"),
        (PPMSettings(keep_best=True), STAGE_3, "`keep_best` .* set it to false, or take FSDP"),
        (SFTSettings(sharded=True), STAGE_2, "leave one of them out"),
    ],
)
def test_what_needs_whole_weights_is_refused_with_advice(
    settings: FitSettings, sharding: Sharding, message: str
) -> None:
    with pytest.raises(PonderosaError, match=message):
        check_sharding(settings, sharding)


@pytest.mark.parametrize("settings", [GRPOSettings(), OnPolicySettings()])
def test_spread_optimiser_states_alone_leave_weights_that_can_generate(settings: FitSettings) -> None:
    check_sharding(settings, STAGE_2)


@pytest.mark.parametrize("settings", [MUON, GRPOSettings(), OnPolicySettings()])
def test_the_setting_is_refused_with_the_advice_that_the_launcher_gives(settings: FitSettings) -> None:
    with pytest.raises(PonderosaError) as of_launcher:
        check_sharding(settings, FSDP)
    with pytest.raises(ValidationError) as of_setting:
        type(settings)(**settings.model_dump() | {"sharded": True})
    assert str(of_launcher.value).removeprefix("the launcher asks for FSDP: ") in str(of_setting.value)


@pytest.mark.parametrize(
    ("given", "sharding"),
    [
        ({}, None),
        ({"fsdp_config": {}}, FSDP),
        ({"fsdp_config": {}, "distributed_type": "MULTI_GPU"}, None),  # accelerate's files may have an empty one
        ({"deepspeed_config": {"zero_stage": 2}}, STAGE_2),
        ({"deepspeed_config": {"zero_stage": 3}}, STAGE_3),
        ({"deepspeed_config": {"zero_stage": 2, "deepspeed_config_file": "zero3.json"}}, STAGE_3),
    ],
)
def test_a_configuration_says_what_is_spread(
    given: dict[str, Any], sharding: Sharding | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zero3.json").write_text('{"zero_optimization": {"stage": 3}}')
    assert configured(accelerate_config(LauncherSettings(accelerate=given), 2)) == sharding


def test_a_deepspeed_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "zero.json").write_text("{")
    with pytest.raises(PonderosaError, match=r"cannot read the DeepSpeed configuration .*zero\.json"):
        configured(
            {
                "distributed_type": "DEEPSPEED",
                "deepspeed_config": {"deepspeed_config_file": str(tmp_path / "zero.json")},
            }
        )


@pytest.mark.parametrize(
    ("environment", "sharding"),
    [
        ({}, None),
        ({"ACCELERATE_USE_FSDP": "true"}, FSDP),
        ({"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "2"}, STAGE_2),
        ({"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3"}, STAGE_3),
    ],
)
def test_a_process_is_told_by_its_environment(
    environment: dict[str, str], sharding: Sharding | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert launched() == sharding


async def test_a_launcher_refuses_before_it_starts_anything(tmp_path: Path) -> None:
    settings = LauncherSettings(accelerate={"fsdp_config": {}})
    with pytest.raises(PonderosaError, match="take adamw"):
        launching(2, settings, [SFTSettings(), MUON])
    job = {"kind": "grpo", "start": "none", "rows": "none", "out": str(tmp_path / "out"), "seed": 0}
    async with launching(2, settings) as launcher:
        with pytest.raises(PonderosaError, match=r"set `generation\.engine: vllm`"):
            await launcher.run(job)


def test_a_training_that_was_launched_otherwise_refuses_itself(
    base: Path, trajectories: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(PonderosaError, match="take adamw"):
        train_sft(base, trajectories, tmp_path / "sft", MUON, 0)
    problems = [Problem(f"p{i}", f"{i}?", str(i)) for i in range(8)]
    settings = GRPOSettings(batch_size=32, group=8)
    with pytest.raises(PonderosaError, match=r"set `generation\.engine: vllm`"):
        train_grpo(base, problems, tmp_path / "grpo", settings, 0, task=Task(format="think"))


def test_a_second_model_that_only_the_first_process_would_read_is_refused(
    base: Path, pairs: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", "true")
    with pytest.raises(PonderosaError, match="lack the weights of the reference: set it to false"):
        train_dpo(base, pairs, tmp_path / "out", DPOSettings(), 0)


def test_fsdp_that_was_not_turned_on_is_one_clear_error(
    base: Path, trajectories: list[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a single process, with which accelerate trains as if it had not been asked."""
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(PonderosaError, match=r"FSDP was asked for.* did not turn it on \(NO, processes: 1\): train in"):
        train_sft(base, trajectories, tmp_path / "out", SFTSettings(), 0)


def test_gradients_are_added_up_in_32_bits_and_losses_not_rounded() -> None:
    plugin = FullyShardedDataParallelPlugin(fsdp_version=2, mixed_precision_policy="bf16")
    assert plugin.mixed_precision_policy.output_dtype == torch.bfloat16
    state = SimpleNamespace(fsdp_plugin=plugin)
    turned_on(SimpleNamespace(distributed_type=DistributedType.FSDP, state=state))
    policy = plugin.mixed_precision_policy
    assert (policy.param_dtype, policy.reduce_dtype, policy.output_dtype) == (torch.bfloat16, torch.float32, None)


def test_processes_without_fsdp_are_told_from_those_with_it() -> None:
    plugin = SimpleNamespace(fsdp_version=2, mixed_precision_policy=None)
    state = SimpleNamespace(fsdp_plugin=plugin)
    turned_on(SimpleNamespace(distributed_type=DistributedType.FSDP, num_processes=2, state=state))
    with pytest.raises(PonderosaError, match=r"MULTI_CPU, processes: 2"):
        turned_on(SimpleNamespace(distributed_type=DistributedType.MULTI_CPU, num_processes=2, state=state))
