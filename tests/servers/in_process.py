"""A policy of vLLM in this process, asked what the tests want to know: questions on standard input, answers as JSON.

It runs under a Python that has vLLM, and imports of the project what needs nothing else.
"""

import asyncio
import json
import multiprocessing
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ponderosa.core import BackendError, CodeFormat, Completion, Prompt, Sampling
from ponderosa.models import load_policy

FORMAT = CodeFormat()
GREEDY = Sampling(0.0, max_tokens=400, stop=FORMAT.chain_stops, logprobs=True)
WARM = Sampling(1.5, max_tokens=40)


def answers(model: str, prompts: list[Prompt]) -> dict[str, Any]:
    policy = load_policy(model)

    def ask(prompts: list[Prompt], sampling: Sampling, n: int = 1, seed: int = 5) -> list[list[Completion]]:
        """All at once, from an event loop of its own."""

        async def go() -> list[list[Completion]]:
            return await asyncio.gather(*(policy.propose(prompt, n, sampling, seed) for prompt in prompts))

        return asyncio.run(go())

    def refusal(prompts: list[Prompt], sampling: Sampling = WARM) -> str:
        try:
            ask(prompts, sampling)
        except BackendError as error:
            return f"{type(error).__name__}: {error}"
        return "nothing"

    half = len(prompts) // 2
    with ThreadPoolExecutor(2) as threads:
        greedy = [one for (some,) in [threads.map(lambda part: ask(part, GREEDY), [prompts])] for (one,) in some]
        parts = list(threads.map(lambda part: ask(part, GREEDY), [prompts[:half], prompts[half:]]))
    said = {
        "greedy": [asdict(one) for one in greedy],
        "greedy from two loops": [one.text for part in parts for (one,) in part],
        "copies": [asdict(one) for one in ask(prompts[:1], GREEDY, n=3)[0]],
        "seed 5": [one.text for one in ask(prompts[:1], WARM, n=6)[0]],
        "seed 5 again": [one.text for one in ask(prompts[:1], WARM, n=6)[0]],
        "seed 6": [one.text for one in ask(prompts[:1], WARM, n=6, seed=6)[0]],
        "top 1": [one.text for one in ask(prompts[:1], replace(WARM, top_k=1), n=2)[0]],
        "cut off": asdict(ask(prompts[:1], replace(GREEDY, max_tokens=5))[0][0]),
        "no sample": ask(prompts[:1], WARM, n=0)[0],
        "too long": refusal([FORMAT.render("many words " * 2000)]),
        "too hot": refusal(prompts[:1], Sampling(1000.0)),
    }
    (engine,) = multiprocessing.active_children()
    assert engine.pid is not None
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(refusal, prompts * 20, replace(GREEDY, stop=()))
        time.sleep(0.3)
        os.kill(engine.pid, signal.SIGKILL)
        said["dead while asked"] = waiting.result(60)
    said["dead"] = refusal(prompts[:1])
    policy.close()
    policy.close()
    said["closed"] = refusal(prompts[:1])
    return said


def orphan(model: str) -> None:
    """Says which processes the engine and its workers are, and is killed."""
    policy = load_policy(model)
    (engine,) = multiprocessing.active_children()
    workers = Path(f"/proc/{engine.pid}/task/{engine.pid}/children").read_text().split()
    print(engine.pid, *workers, flush=True)
    assert policy
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":  # vLLM's engine is spawned, and imports this again
    if sys.argv[1] == "orphan":
        orphan(sys.argv[2])
    print(json.dumps(answers(sys.argv[2], [FORMAT.render(question) for question in json.load(sys.stdin)])))
