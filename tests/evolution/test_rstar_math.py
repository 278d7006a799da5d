import asyncio
from pathlib import Path
from typing import Any

import pytest

from ponderosa.evolution.rstar_math import RStarMath, train_policy
from ponderosa.training import DPOSettings, SFTSettings


class Recorder:
    base = "base"

    def __init__(self) -> None:
        self.trained: list[tuple[str, str, list[str], type]] = []

    def data(self, name: str, number: int, history: bool = False) -> list[Path]:
        return [Path(f"{n}-{name}") for n in range(1 if history else number, number + 1)]

    async def train(self, number: int, role: str, *, start: str, rows: list[Path], settings: Any) -> str:
        self.trained.append((role, start, [str(path) for path in rows], type(settings)))
        return f"{number}-{role}"


SFT = ("base", ["1-sft", "2-sft"], SFTSettings)


@pytest.mark.parametrize(
    ("update", "trained"),
    [
        ("sft", [("policy", *SFT)]),
        ("dpo", [("policy", "1-policy", ["2-pairs"], DPOSettings)]),
        ("sft+dpo", [("sft", *SFT), ("policy", "2-sft", ["2-pairs"], DPOSettings)]),
    ],
)
def test_a_rounds_policy_is_made_as_the_update_says(update: Any, trained: list[Any]) -> None:
    stages: Any = Recorder()
    made = asyncio.run(train_policy(stages, RStarMath(policy="p", update=update), 2, "1-policy"))
    assert made == "2-policy"
    assert stages.trained == trained
