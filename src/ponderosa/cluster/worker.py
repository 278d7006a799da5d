"""A worker process: shards come as JSON lines on standard input, progress and results go out as JSON lines.

`python -m ponderosa.cluster.worker`. It has its own event loop, models and executor, keeps models loaded between
shards, and ends when its input ends or its parent dies.
"""

import asyncio
import ctypes
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ponderosa.cluster.shard import SHOWN, SOLUTION, Shard, ShardProgress
from ponderosa.core import (
    Executor,
    Graded,
    Grader,
    Judge,
    Policy,
    PonderosaError,
    Problem,
    Reward,
    Tree,
    close,
    make_format,
)
from ponderosa.problems import read_problems
from ponderosa.search import (
    AGREEMENT,
    POOLED,
    WRITING,
    AgreementSettings,
    Backends,
    Budget,
    SampleSettings,
    WritingSettings,
    agree,
    find_search,
    sample_pooled,
    score_paths,
    search_all,
    write,
)

if TYPE_CHECKING:
    from ponderosa.models import Asks, Journal

PROGRESS_EVERY_S = 0.5
logger = logging.getLogger("ponderosa.cluster.worker")  # its own name, also where it is the main module


class Models:
    """The models of a process, kept between shards; the last one of a role is dropped when another is wanted."""

    def __init__(self) -> None:
        self._loaded: dict[tuple[str, str], Any] = {}

    def policy(self, spec: str, journal: "Journal", role: str = "policy") -> Policy:
        """The policy at `spec`, answering from `journal` what that holds and recording the rest."""
        from ponderosa.models import JournaledPolicy, load_policy

        return JournaledPolicy(self._get(role, spec, load_policy), journal, role)

    def reward(self, spec: str, journal: "Journal", shard: Shard, role: str = "reward") -> Reward:
        """The reward model at `spec`, likewise, for paths in the format of `shard`."""
        from ponderosa.models import JournaledReward, load_reward, split_judge

        format = make_format(shard.format, shard.few_shot)
        if split_judge(spec):
            return load_reward(spec, format, lambda name: self.policy(name, journal, role))
        name = f"{spec} {shard.format} {shard.few_shot}"
        return JournaledReward(self._get(role, name, lambda _: load_reward(spec, format)), journal, role)

    def discriminator(self, spec: str, journal: "Journal") -> Policy | Reward:
        """The second model of mutual reasoning, likewise."""
        from ponderosa.models import load_discriminator

        return load_discriminator(spec, lambda name: self.policy(name, journal, "discriminator"))

    def grader(self, spec: str, journal: "Journal", asks: "Asks | None" = None) -> Grader:
        """The grader at `spec`; if it is a judge, likewise, and asked what `asks` says (see `JudgeGrader`)."""
        from ponderosa.models import load_grader, split_judge

        if split_judge(spec):
            return load_grader(spec, lambda name: self.policy(name, journal, "grader"), asks)
        grader: Grader = self._get("grader", spec, load_grader)
        return grader

    def close(self) -> None:
        """Ends their threads and connections, and frees their memory."""
        from ponderosa.models import free_memory

        for model in self._loaded.values():
            close(model)
        self._loaded.clear()
        free_memory()

    def _get(self, role: str, spec: str, load: Callable[[str], Any]) -> Any:
        if (role, spec) not in self._loaded:
            for key in [key for key in self._loaded if key[0] == role]:
                close(self._loaded.pop(key))
            self._loaded[role, spec] = load(spec)
        return self._loaded[role, spec]


class Executors:
    """The executors of a process by their settings, closed with `stack`."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._made: dict[str, Executor] = {}

    async def get(self, settings: dict[str, Any]) -> Executor:
        """The executor with these settings (`ExecutionSettings` as JSON), or the defaults."""
        from ponderosa.execution import ExecutionSettings, make_executor

        key = json.dumps(settings, sort_keys=True)
        if key not in self._made:
            made = make_executor(ExecutionSettings.from_json(settings) if settings else None)
            self._made[key] = await self._stack.enter_async_context(made)
        return self._made[key]


async def run_shard(shard: Shard, models: Models, executor: Executor, grader: Grader, progress: ShardProgress) -> None:
    """Searches (or scores) the shard and writes its forest; counts in `progress` as trees end.

    A search that was killed replays what its journal holds. Raises `BackendError` if a backend cannot serve: running
    again costs only what is missing. A problem whose request was refused keeps its tree, which says so.
    """
    from ponderosa.forest import read_forest, write_forest
    from ponderosa.models import Journal

    out = Path(shard.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with Journal(shard.journal) as journal:
        if shard.kind == "score":
            reward = models.reward(shard.reward or "", journal, shard)
            given = list(read_forest(Path(shard.problems)))
            order = [tree.problem_id for tree in given]
            trees = [tree async for tree in search_all(given, _scoring(reward), 64)]
            progress.done = shard.stop - shard.start
        else:
            problems = list(read_problems(Path(shard.problems), shard.start, shard.stop))
            order = [problem.id for problem in problems]
            trees = await _search(shard, problems, models, journal, executor, grader, progress)
        logger.info("%s: %d answers replayed, %d new", out, journal.replayed, journal.recorded)
    # However the problems were split, a forest has their order, by which evaluations are compared problem by problem.
    places = {id: place for place, id in enumerate(order)}
    write_forest(out, sorted(trees, key=lambda tree: (places[tree.problem_id], tree.id)))
    shard.journal.unlink(missing_ok=True)


async def _search(
    shard: Shard,
    problems: Sequence[Problem],
    models: Models,
    journal: "Journal",
    executor: Executor,
    grader: Grader,
    progress: ShardProgress,
) -> list[Tree]:
    policy = models.policy(shard.policy or "", journal)
    if shard.grader is not None:
        grader = models.grader(shard.grader, journal)
    reward = models.reward(shard.reward, journal, shard) if shard.reward else None
    outcome = models.reward(shard.outcome_reward, journal, shard, "ORM") if shard.outcome_reward else None
    format = make_format(shard.format, shard.few_shot)
    second = models.discriminator(shard.discriminator, journal) if shard.discriminator else None
    budget = Budget(**shard.budget)

    def backends(problem: Problem) -> Backends:
        judge = _judge(grader, problem) if shard.judged else None
        equivalent = partial(grader.equivalent, problem=problem)
        return Backends(policy, executor, format, reward, judge, second, outcome, equivalent, budget)

    search_one = _one(shard, backends, _given(shard.over, {problem.id for problem in problems}))

    async def search_each(problems: Iterable[Problem]) -> AsyncIterator[Tree]:
        if shard.kind == POOLED:
            for tree in await sample_pooled(
                list(problems), backends, SampleSettings(**shard.settings), shard.concurrency, shard.seed, shard.index
            ):
                yield tree
        else:
            async for tree in search_all(problems, search_one, shard.concurrency):
                yield tree

    trees = []
    async for tree in search_each(problems):
        trees.append(tree)
        progress.done += 1
        progress.solved += shard.judged and any((tree.nodes[end].reward or 0) > 0 for end in tree.answered())
        progress.tokens += tree.usage.generated_tokens
        progress.executions += tree.usage.executions
    return trees


def _given(over: str, problems: Collection[str]) -> dict[str, Tree]:
    """The trees of the forest `over` by their problems; of several of one problem the last."""
    from ponderosa.forest import read_forest

    found = read_forest(Path(over)) if over else ()
    return {tree.problem_id: tree for tree in found if tree.problem_id in problems}


def _one(
    shard: Shard, backends: Callable[[Problem], Backends], given: Mapping[str, Tree]
) -> Callable[[Problem], Awaitable[Tree]]:
    """What is done with a problem of the shard; those `given` have a tree already, to go on from."""
    seed, index = shard.seed, shard.index
    if shard.kind == AGREEMENT:
        asked = AgreementSettings(**shard.settings)

        async def ask(problem: Problem) -> Tree:
            solution, answer = problem.meta[SOLUTION], problem.answer or ""
            return await agree(problem.id, problem.question, solution, answer, backends(problem), asked, seed, index)

        return ask
    if shard.kind == WRITING:
        writing = WritingSettings(**shard.settings)

        async def write_like(problem: Problem) -> Tree:
            return await write(
                problem.id, problem.question, problem.meta[SHOWN], backends(problem), writing, seed, index
            )

        return write_like
    search = find_search(shard.kind)
    settings = search.settings(**shard.settings)

    async def search_one(problem: Problem) -> Tree:
        more = {"given": given.get(problem.id)} if given else {}
        return await search.run(problem.id, problem.question, backends(problem), settings, seed, index, **more)

    return search_one


def _scoring(reward: Reward) -> Callable[[Tree], Awaitable[Tree]]:
    async def score(tree: Tree) -> Tree:
        leaves = [index for index, node in enumerate(tree.nodes) if index and not node.children]
        await score_paths(tree, leaves, reward)
        return tree

    return score


def _judge(grader: Grader, problem: Problem) -> Judge:
    async def judge(answer: str) -> float | None:
        verdict = await grader.grade(answer, problem)
        if verdict.status is not Graded.OK:
            return None
        return 1.0 if verdict.correct else -1.0

    return judge


async def _serve(protocol: TextIO) -> None:
    from ponderosa.grading import MathGrader, ProblemGrader

    def send(**message: Any) -> None:
        protocol.write(json.dumps(message) + "\n")
        protocol.flush()

    models = Models()
    async with MathGrader() as math, AsyncExitStack() as stack:
        stack.callback(models.close)
        executors = Executors(stack)

        async def work(number: int, shard: Shard) -> None:
            progress = ShardProgress()
            ticker = asyncio.create_task(_report(number, progress, send))
            try:
                executor = await executors.get(shard.execution)
                await run_shard(shard, models, executor, ProblemGrader(math, executor), progress)
                send(shard=number, done=True, progress=_plain(progress))
            except PonderosaError as error:
                send(shard=number, error=str(error))
            except OSError as error:
                send(shard=number, error=f"cannot write {shard.out}: {error.strerror or error}")
            except Exception as error:  # a fault of ours: the driver must not wait for ever
                logger.exception("shard %s", shard.out)
                send(shard=number, error=f"{shard.out} failed with {error!r}; the worker's log has the traceback")
            finally:
                ticker.cancel()

        tasks: set[asyncio.Task[None]] = set()
        async for line in _lines(sys.stdin):
            message = json.loads(line)
            if "free" in message:
                models.close()
                continue
            task = asyncio.create_task(work(message["shard"], Shard(**message["job"])))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _report(number: int, progress: ShardProgress, send: Any) -> None:
    while True:
        await asyncio.sleep(PROGRESS_EVERY_S)
        send(shard=number, progress=_plain(progress))


def _plain(progress: ShardProgress) -> dict[str, Any]:
    from ponderosa.models.notices import NOTICES

    return asdict(replace(progress, note=", ".join(NOTICES.values())))


async def _lines(stream: TextIO) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), stream)
    while line := await reader.readline():
        yield line


def main() -> None:
    """Serves shards until standard input ends."""
    if sys.platform == "linux":  # die with the driver, also when it is killed
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the driver, which ends its workers
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("ponderosa").setLevel(logging.INFO)
    protocol = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints goes to the log
    asyncio.run(_serve(protocol))


if __name__ == "__main__":
    main()
