"""What a stage asks its workers for."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ponderosa.cluster import Shard, WorkerPool
from ponderosa.core import Kind, PonderosaError, Problem
from ponderosa.evolution import stages as module
from ponderosa.evolution.loops import parse_recipe
from ponderosa.evolution.serving import Servers
from ponderosa.evolution.stages import SearchPlan, Stages
from ponderosa.search import MCTSSettings


@pytest.fixture
def searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Shard]:
    """What a search of one problem asks of the workers, in a run of a recipe with the given settings."""
    asked: list[Shard] = []

    async def run_shards(pool: Any, work: Sequence[Shard], title: str, observer: Any, unit: str = "") -> None:
        asked.extend(work)

    def search(problem: Problem, policy: str, **settings: Any) -> Shard:
        recipe = parse_recipe({"policy": "scripted:base", **settings}, "test")
        stages = Stages(SimpleNamespace(recipe=recipe, path=tmp_path), None, None, None)  # type: ignore[arg-type]
        asyncio.run(stages.search("search", [SearchPlan(tmp_path / "tree-0", [problem], MCTSSettings())], policy, None))
        (shard,) = asked
        return shard

    monkeypatch.setattr(module, "run_shards", run_shards)
    return search


@pytest.mark.parametrize(
    ("policy", "shown"), [("scripted:base", "Look: "), ("scripted:big", "Look: "), ("trained", "")]
)
def test_examples_stand_before_the_questions_of_models_that_were_not_trained(
    searched: Callable[..., Shard], policy: str, shown: str
) -> None:
    shard = searched(Problem("1", "What is 1?", "1"), policy, bootstrap="scripted:big", few_shot="Look: ")
    assert shard.few_shot == shown


def test_a_second_model_that_must_agree_is_shown_them_too(searched: Callable[..., Shard]) -> None:
    problem, mutual = Problem("1", "What is 1?", "1"), {"policy": "scripted:second"}
    shard = searched(problem, "scripted:second", few_shot="Look: ", data={"mutual": mutual})
    assert shard.few_shot == "Look: "


def test_programs_are_searched_in_the_recipes_format_and_no_other(searched: Callable[..., Shard]) -> None:
    program = Problem("1", "Print 1.", kind=Kind.CODE, meta={"tests": [{"stdin": "", "stdout": "1"}]})
    with pytest.raises(PonderosaError, match="solved by a program"):
        searched(program, "trained")
    assert searched(program, "trained", format="program").format == "program"


def test_servers_end_after_those_who_ask_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []

    def note(kind: type[Any], method: str) -> None:
        done = getattr(kind, method)

        async def noted(self: Any) -> None:
            ended.append(kind.__name__)
            await done(self)

        monkeypatch.setattr(kind, method, noted)

    note(WorkerPool, "close")
    note(Servers, "stop")
    workers = {"processes": 1}
    recipe = parse_recipe({"policy": "scripted:base", "workers": workers}, "test")

    async def interrupted() -> None:
        async with Stages.open(SimpleNamespace(recipe=recipe, path=tmp_path), None):  # type: ignore[arg-type]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(interrupted())
    assert ended[:2] == ["WorkerPool", "Servers"]


def test_a_training_that_its_launcher_cannot_do_is_told_before_anything_is_searched(tmp_path: Path) -> None:
    workers = {"launcher": {"accelerate": {"fsdp_config": {}}}}
    recipe = parse_recipe({"loop": "r1-zero", "policy": "base", "format": "think", "workers": workers}, "test")

    async def opened() -> None:
        async with Stages.open(SimpleNamespace(recipe=recipe, path=tmp_path), None):  # type: ignore[arg-type]
            pass

    with pytest.raises(PonderosaError, match=r"the launcher asks for FSDP: .* set `generation\.engine: vllm`"):
        asyncio.run(opened())
