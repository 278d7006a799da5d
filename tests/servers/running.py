"""What the tests against real servers share: servers that start and end, problems, and a search through them."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ponderosa.cluster.model_server import ModelServer
from ponderosa.core import CodeFormat, Completion, Prompt, Sampling
from ponderosa.models import load_policy

FORMAT = CodeFormat()
GREEDY = Sampling(0.0, max_tokens=400, stop=FORMAT.chain_stops)


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


async def _all(parts: Iterable[Coroutine]) -> None:
    await asyncio.gather(*parts)


def questions(problems: Path) -> list[str]:
    return [json.loads(line)["question"] for line in problems.read_text().splitlines()]


def completions(model: str, prompts: list[Prompt], sampling: Sampling = GREEDY, n: int = 1) -> list[Completion]:
    """Those of the policy `model`, in order, all prompts at once."""

    async def go() -> list[Completion]:
        policy = load_policy(model)
        try:
            found = await asyncio.gather(*(policy.propose(prompt, n, sampling, 7) for prompt in prompts))
        finally:
            await asyncio.to_thread(policy.close)
        return [one for some in found for one in some]

    return asyncio.run(go())


def ended(one: Completion) -> tuple[object, ...]:
    return one.text, one.ended, one.stop, one.tokens


def begun(prompts: list[Prompt], solutions: list[Completion]) -> list[Prompt]:
    """The prompts, each with the first half of its solution."""
    return [
        FORMAT.render(prompt.question, (one.text[: len(one.text) // 2],))
        for prompt, one in zip(prompts, solutions, strict=True)
    ]


def search(
    problems: Path, out: Path, *words: str, rollouts: int = 8, python: str = sys.executable
) -> subprocess.Popen[str]:
    """`ponderosa search` with these words, small."""
    sizes = ["--rollouts", str(rollouts), "--candidates", "5", "--set", "max_tokens=96", "--preset", "rstar-math"]
    command = [python, "-m", "ponderosa", "search", str(problems), "--out", str(out), *words, *sizes]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
