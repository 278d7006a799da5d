"""From where the plain loops train, and on what."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ponderosa.core import Problem
from ponderosa.evolution import self_training as module
from ponderosa.evolution.loops import LOOPS, parse_recipe
from ponderosa.evolution.stages import Stages
from ponderosa.search import MCTSSettings, SampleSettings


class Recorder:
    base = "base"

    def __init__(self) -> None:
        self.solved: list[tuple[type, str]] = []
        self.trained: list[tuple[str, list[str]]] = []

    def fresh(self, number: int) -> list[Problem]:
        return []

    async def solve(self, number: int, problems: Any, tries: list[Any], policy: str) -> list[Any]:
        self.solved.append((type(tries[0]), policy))
        return []

    async def write_trajectories(self, number: int, forests: Any, settings: Any) -> None: ...

    def data(self, name: str, number: int, history: bool = False) -> list[Path]:
        return [Path(f"{n}-{name}") for n in range(1 if history else number, number + 1)]

    async def train(self, number: int, role: str, *, start: str, rows: list[Path], settings: Any) -> str:
        self.trained.append((start, [str(path) for path in rows]))
        return f"policy {number}"


@pytest.mark.parametrize(
    ("loop", "how", "second_start"),
    [("rejection-sampling", SampleSettings, "base"), ("expert-iteration", MCTSSettings, "policy 1")],
)
def test_one_begins_anew_each_round_and_the_other_goes_on(
    loop: str, how: type, second_start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = Recorder()
    measured: list[tuple[int, str, str]] = []

    @asynccontextmanager
    async def opened(run: Any, observer: Any) -> AsyncIterator[Recorder]:
        yield stages

    class Results:
        def __init__(self, stages: Any) -> None: ...

        async def of_base(self, policy: str) -> None: ...

        async def of_round(self, number: int, forests: Any, proposer: str, policy: str) -> None:
            measured.append((number, proposer, policy))

        def finish(self, policy: str, ppm: None) -> dict[str, Any]:
            return {"policy": policy}

    monkeypatch.setattr(Stages, "open", opened)
    monkeypatch.setattr(module, "Results", Results)
    recipe = parse_recipe({"loop": loop, "policy": "base", "rounds": [{}, {}]}, "test")
    found: Any = asyncio.run(LOOPS[loop].evolve(SimpleNamespace(recipe=recipe), None))  # type: ignore[arg-type]
    assert found == {"policy": "policy 2"}
    assert stages.solved == [(how, "base"), (how, "policy 1")]
    assert stages.trained == [("base", ["1-sft"]), (second_start, ["2-sft"])]
    assert measured == [(1, "base", "policy 1"), (2, "policy 1", "policy 2")]
