"""The machinery of search, with models that cost nothing or are simulated: `python benchmarks/search.py`.

(a) Nodes a second and bytes a node with a scripted policy, execution included, on one core; 400 problems of 8 rollouts
    with 4 candidates, as the official code was measured (1,041 nodes per CPU second in one process, 108 through its
    process pool; its disk grows with the square of the rollouts).
(b) How busy a server with continuous batching is kept, in simulated time: slots, heavy-tailed lengths, prefill.
(c) One problem alone: 16 expansions at a time against one, and what they find.
(d) What a node costs in trees of 10^2 to 10^5 nodes.
"""

import asyncio
import heapq
import math
import os
import random
import re
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from ponderosa.core import CodeFormat, Completion, Ended, Execution, Prompt, Sampling, Scored, Status, Tree
from ponderosa.evaluation.statistics import paired_difference
from ponderosa.execution import ForkServer, Limits, Shortcuts, UnsafeInProcessExecutor
from ponderosa.forest import write_forest
from ponderosa.search import Backends, MCTSSettings, mcts, search_all

FORMAT = CodeFormat()
STEPS = 4


class Dice:
    """Steps that assign numbers, then a print, then the answer that was printed: a function of the seed alone."""

    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        draw = random.Random(seed)
        return [self.one(prompt.body, draw) for _ in range(n)]

    def one(self, body: str, draw: random.Random) -> Completion:
        depth = body.count("<end_of_step>")
        if "<output>" in body:
            answer = body.rpartition("<output>")[2].partition("<")[0]
            return Completion(f"\n<answer>It is \\boxed{{{answer}}}.\n", Ended.STOP, "<end_of_answer>", 12)
        if depth < STEPS:
            text = f"\n# Step {depth + 1}: add what is known\nx{depth} = {draw.randint(0, 9)} * {depth + 2}\n"
            return Completion(text, Ended.STOP, "<end_of_step>", 20)
        return Completion(f"\nprint({' + '.join(f'x{i}' for i in range(STEPS))})\n", Ended.STOP, "<end_of_code>", 10)


async def judge(answer: str) -> float:
    return 1.0 if int(answer) % 7 == 0 else -1.0


async def forest(executor: Any, problems: int, settings: MCTSSettings) -> list[Tree]:
    backends = Backends(Dice(), executor, FORMAT, judge=judge)

    async def one(i: int) -> Tree:
        return await mcts(f"p{i}", f"Question {i}?", backends, settings, seed=i)

    return [tree async for tree in search_all(range(problems), one, 256)]


def nodes_a_second() -> None:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    settings = MCTSSettings(candidates=4, rollouts=8, max_depth=8)
    print("\n| execution | nodes/s, one core | to official pool | to official in-process | bytes a node on disk |")
    print("|---|---|---|---|---|")
    ways = {
        "steps share processes": lambda: ForkServer(Limits()),
        "a process for each": lambda: ForkServer(Limits(), shortcuts=Shortcuts(share=False, snapshots=False)),
        "in-process, unsafe": UnsafeInProcessExecutor,
    }
    for name, make in ways.items():

        async def measure(make: Any = make) -> tuple[float, list[Tree]]:
            async with make() as executor:
                await executor.run("print(1)")
                started = time.perf_counter()
                trees = await forest(executor, 400, settings)
                return time.perf_counter() - started, trees

        seconds, trees = asyncio.run(measure())
        count = sum(len(tree.nodes) for tree in trees)
        with tempfile.TemporaryDirectory() as folder:
            write_forest(Path(folder) / "forest.parquet", trees)
            size = (Path(folder) / "forest.parquet").stat().st_size
        rate = count / seconds
        print(f"| {name} | {rate:,.0f} | {rate / 108:.1f}x | {rate / 1041:.1f}x | {size / count:.0f} |")
    os.sched_setaffinity(0, cores)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time jumps to the next thing that is due."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self.now = max(self.now, self._scheduled[0]._when)  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def simulated(work: Coroutine[Any, Any, Any]) -> Any:
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


class Free:
    """An executor that takes no time."""

    async def run(self, code: str, after: str | None = None, group: str | None = None) -> Execution:
        if "print" not in code:
            return Execution(Status.OK)
        values: dict[str, Any] = {}
        exec("\n".join(line for line in code.splitlines() if not line.startswith("print")), values)
        return Execution(Status.OK, f"{sum(values[f'x{i}'] for i in range(STEPS))}\n")


class Server(Dice):
    """A server with `slots` sequences at a time: 10 ms a token, 1 ms of prefill for 10 characters of the prompt that it
    has not seen, lengths log-normal with a median of 40 tokens, sigma 1, at most 2,048."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.free = asyncio.Semaphore(slots)
        self.busy = 0.0
        self.requests: dict[str, list[list[float]]] = {}

    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        draw = random.Random(seed)
        completions = [self.one(prompt.body, draw) for _ in range(n)]
        lengths = [min(2048, round(math.exp(draw.gauss(math.log(40), 1)))) for _ in range(n)]
        prefill = 0.0001 * (len(prompt.text) if not prompt.body else 100)
        durations = [prefill + 0.01 * length for length in lengths]
        self.requests.setdefault(prompt.question, []).append(durations)
        await asyncio.gather(*map(self._serve, durations))
        return completions

    async def _serve(self, seconds: float) -> None:
        async with self.free:
            self.busy += seconds
            await asyncio.sleep(seconds)


def makespan(durations: Sequence[float], slots: int) -> float:
    """When `slots` servers that take the next as they get free are done."""
    ends = [0.0] * slots
    for seconds in durations:
        heapq.heapreplace(ends, ends[0] + seconds)
    return max(ends)


def occupancy() -> None:
    print("\n| problems | slots | occupancy | wall to lower bound | lockstep to ours |\n|---|---|---|---|---|")
    settings = MCTSSettings(candidates=4, rollouts=8, max_depth=8)
    for problems, slots in ((100, 16), (400, 64), (400, 200)):

        async def run(problems: int = problems, slots: int = slots) -> tuple[Server, float]:
            server = Server(slots)
            backends = Backends(server, Free(), FORMAT, judge=judge)

            async def one(i: int) -> Tree:
                return await mcts(f"p{i}", f"Question {i}?", backends, settings, seed=i)

            async for _ in search_all(range(problems), one, 4096):
                pass
            return server, asyncio.get_running_loop().time()

        server, wall = simulated(run())
        longest = max(sum(max(request) for request in requests) for requests in server.requests.values())
        bound = max(server.busy / slots, longest)
        rounds = max(len(requests) for requests in server.requests.values())
        lockstep = sum(
            makespan([d for r in server.requests.values() if step < len(r) for d in r[step]], slots)
            for step in range(rounds)
        )
        share = server.busy / slots / wall
        print(f"| {problems} | {slots} | {100 * share:.1f} % | {wall / bound:.2f} | {lockstep / wall:.1f} |")


class Hints:
    """A reward model that is half right: digits of 5 and more are good, with noise as large as the difference."""

    async def score(self, paths: Sequence[tuple[str, tuple[str, ...]]], *, last_only: bool = False) -> list[Scored]:
        return [Scored((self.value(question, steps),)) for question, steps in paths]

    def value(self, question: str, steps: tuple[str, ...]) -> float:
        digits = first_factors("".join(steps))
        noise = random.Random(question + "".join(steps)).uniform(-0.5, 0.5)
        return 0.5 * (sum(1 if digit >= 5 else -1 for digit in digits) / max(len(digits), 1)) + noise


def first_factors(text: str) -> list[int]:
    """The digits that the steps drew."""
    return [int(digit) for digit in re.findall(r"= (\d) \*", text)]


def one_problem() -> None:
    print("\n| expansions at a time | simulated seconds | speed | chosen answer right |\n|---|---|---|---|")
    found: dict[int, tuple[float, list[float]]] = {}
    problems = 400
    for parallel in (1, 4, 16):
        settings = MCTSSettings(candidates=4, rollouts=64, max_depth=8, parallel=parallel)
        seconds, solved = 0.0, []
        for i in range(problems):

            async def run(i: int = i, settings: MCTSSettings = settings) -> tuple[Tree, float]:
                backends = Backends(Server(256), Free(), FORMAT, Hints())
                tree = await mcts(f"p{i}", f"Question {i}?", backends, settings, seed=i)
                return tree, asyncio.get_running_loop().time()

            tree, wall = simulated(run())
            seconds += wall
            best = max(tree.answered(), key=lambda node, tree=tree: tree.nodes[node].q)
            solved.append(float(min(first_factors("".join(tree.steps(best)))) >= 5))
        found[parallel] = seconds / problems, solved
        speed = found[1][0] / found[parallel][0]
        print(f"| {parallel} | {seconds / problems:.1f} | {speed:.1f}x | {100 * sum(solved) / problems:.1f} % |")
    difference = paired_difference(found[1][1], found[16][1])
    low, high = 100 * difference.low, 100 * difference.high
    print(f"\n16 at a time against one: {100 * difference.value:+.1f} points [{low:+.1f}, {high:+.1f}], n = {problems}")


def growth() -> None:
    print("\n| nodes | µs a node since the row before | bytes a node |\n|---|---|---|")

    class Wide(Dice):
        async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
            draw = random.Random(seed)
            step = f"\nx{prompt.body.count('<end_of_step>')} = {{}}\n"
            texts = [step.format(draw.random()) for _ in range(n)]
            if prompt.body.count("<end_of_step>") >= 10:
                texts = [f"\n<answer>\\boxed{{{draw.randint(0, 99)}}}\n" for _ in range(n)]
                return [Completion(text, Ended.STOP, "<end_of_answer>", 5) for text in texts]
            return [Completion(text, Ended.STOP, "<end_of_step>", 5) for text in texts]

    async def grow(rollouts: int) -> tuple[int, float, float]:
        backends = Backends(Wide(), Free(), FORMAT, judge=judge)
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        settings = MCTSSettings(candidates=8, rollouts=rollouts, max_depth=16)
        tree = await mcts("p", "?", backends, settings)
        memory = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        started = time.process_time()
        tree = await mcts("p", "?", backends, settings)
        return len(tree.nodes), time.process_time() - started, memory / len(tree.nodes)

    nodes, seconds = 0, 0.0
    for rollouts in (2, 16, 160, 1600):
        count, took, memory = asyncio.run(grow(rollouts))
        print(f"| {count:,} | {1e6 * (took - seconds) / (count - nodes):.0f} | {memory:.0f} |")
        nodes, seconds = count, took


if __name__ == "__main__":
    parts = {"a": nodes_a_second, "b": occupancy, "c": one_problem, "d": growth}
    for name in sys.argv[1:] or parts:
        print(f"\n({name})")
        parts[name]()
