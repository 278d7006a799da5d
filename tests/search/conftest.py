"""A scripted world for search: a policy that is a pure function of prompt and seed, and an interpreter for `x = N`."""

import asyncio
import random
import re
from collections.abc import Sequence

import pytest

from ponderosa.core import (
    CodeFormat,
    Completion,
    Ended,
    Execution,
    Path,
    Prompt,
    Sampling,
    Scored,
    Status,
)
from ponderosa.search import Backends


class DicePolicy:
    """Two steps `x = N`, then `print(x)`, then the printed answer. Waits a random while, to shake up the order."""

    def __init__(self) -> None:
        self.calls = 0

    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        self.calls += 1
        await asyncio.sleep(random.random() * 0.002)
        rng = random.Random(seed)
        return [self._one(prompt.body, sampling, rng) for _ in range(n)]

    def _one(self, body: str, sampling: Sampling, rng: random.Random) -> Completion:
        if output := re.search("<output>(.*?)<end_of_output>", body):
            text, stop = f"\n<answer>It is \\boxed{{{output[1]}}}.\n", "<end_of_answer>"
        elif "<end_of_step>" not in sampling.stop:
            steps = "".join(f"\nx = {rng.randint(0, 3)}\n<end_of_step>" for _ in range(2))
            text, stop = f"{steps}\nprint(x)\n", "<end_of_code>"
        elif body.count("<end_of_step>") < 2:
            text, stop = f"\nx = {rng.choice([0, 1, 2, 3, 'boom'])}\n", "<end_of_step>"
        else:
            text, stop = "\nprint(x)\n", "<end_of_code>"
        return Completion(text, Ended.STOP, stop, tokens=len(text), prompt_tokens=10)


class LastAssignment:
    """Runs `x = N` and `print(x)`; any other value of x is a NameError."""

    async def run(self, code: str, after: str | None = None, group: str | None = None) -> Execution:
        await asyncio.sleep(random.random() * 0.001)
        values = re.findall(r"x = (\S+)", code)
        if any(not value.isdigit() for value in values):
            return Execution(Status.ERROR, error_type="NameError", error_message="boom")
        return Execution(Status.OK, f"{values[-1]}\n" if "print(x)" in code else "")


class LastDigitReward:
    """A step's value is its last digit / 3 mapped to [-1, 1]."""

    async def score(self, paths: Sequence[Path], *, last_only: bool = False) -> list[Scored]:
        await asyncio.sleep(random.random() * 0.001)
        asked = [steps[-1:] if last_only else steps for _, steps in paths]
        return [Scored(tuple(map(self.value, steps)), tokens=10, cached_tokens=4) for steps in asked]

    @staticmethod
    def value(step: str) -> float:
        digits = re.findall(r"\d", step)
        return 2 * int(digits[-1]) / 3 - 1 if digits else 0.0


async def judge(answer: str) -> float:
    return 1.0 if answer == "1" else -1.0


@pytest.fixture
def data_making() -> Backends:
    return Backends(DicePolicy(), LastAssignment(), CodeFormat(), judge=judge)


@pytest.fixture
def test_time() -> Backends:
    return Backends(DicePolicy(), LastAssignment(), CodeFormat(), LastDigitReward())
