import asyncio
import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from ponderosa.cluster import Shard, ShardProgress, WorkerPool
from ponderosa.core import CodeFormat, PonderosaError, Problem
from ponderosa.forest import read_forest
from ponderosa.problems import write_problems

COUNT = 12
FORMAT = CodeFormat()


@pytest.fixture
def shard(tmp_path: Path) -> Shard:
    """Problems that a scripted policy solves with x = i or gets wrong with x = 0."""
    table = {}
    problems = []
    for i in range(1, COUNT + 1):
        problem = Problem(f"p{i}", f"What is {i}?", str(i))
        problems.append(problem)
        prompt = FORMAT.render(problem.question).text
        codes = [f"<code>\nx = {value}\nprint(x)\n" for value in (i, 0)]
        table[prompt] = [{"text": code, "stop_reason": "<end_of_code>"} for code in codes]
        for code, value in zip(codes, (i, 0), strict=True):
            shown = FORMAT.with_output(f"{code}<end_of_code>", str(value))
            said = {"text": f"\n<answer>\\boxed{{{value}}}\n", "stop_reason": "<end_of_answer>"}
            table[prompt + shown] = [said, said]
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"prompt_prefix": "", "table": table}))
    write_problems(tmp_path / "problems.jsonl", problems)
    return Shard(
        problems=str(tmp_path / "problems.jsonl"),
        start=0,
        stop=COUNT,
        out=str(tmp_path / "forest" / "shard-00000.parquet"),
        policy=f"scripted:{policy}",
        kind="mcts",
        settings={"candidates": 2, "rollouts": 4},
        judged=True,
    )


def run(shards: list[Shard], tmp_path: Path, seen: list[ShardProgress] | None = None) -> ShardProgress:
    async def go() -> ShardProgress:
        async with WorkerPool(2, tmp_path / "logs") as pool:
            return await pool.run(shards, (seen if seen is not None else []).append)

    return asyncio.run(go())


def test_a_shard_becomes_a_forest_of_all_its_problems(shard: Shard, tmp_path: Path) -> None:
    seen: list[ShardProgress] = []
    progress = run([shard], tmp_path, seen)
    trees = list(read_forest(Path(shard.out)))
    assert {tree.problem_id for tree in trees} == {f"p{i}" for i in range(1, COUNT + 1)}
    assert all(
        {(tree.nodes[end].answer, tree.nodes[end].reward) for end in tree.answered()}
        == {(tree.problem_id[1:], 1.0), ("0", -1.0)}
        for tree in trees
    )
    assert (progress.done, progress.solved) == (COUNT, COUNT)
    assert seen[-1] == progress
    assert not shard.journal.exists()


def test_shards_of_one_search_make_the_same_trees_as_one(shard: Shard, tmp_path: Path) -> None:
    run([shard], tmp_path)
    whole = {tree.problem_id: tree for tree in read_forest(Path(shard.out))}
    parts = [
        Shard(**{**shard.to_json(), "start": start, "stop": start + 3, "out": str(tmp_path / f"parts/{start}.parquet")})
        for start in range(0, COUNT, 3)
    ]
    run(parts, tmp_path)
    assert {tree.problem_id: tree for tree in read_forest(tmp_path / "parts")} == whole


def test_every_worker_has_a_shard_before_any_has_two(shard: Shard, tmp_path: Path) -> None:
    halves = [
        replace(shard, start=start, stop=start + COUNT // 2, out=str(tmp_path / f"halves/{start}.parquet"))
        for start in (0, COUNT // 2)
    ]
    run(halves, tmp_path)
    logs = [log.read_text() for log in (tmp_path / "logs").iterdir()]
    assert [log.count(".parquet: ") for log in logs] == [1, 1]


def test_a_shard_that_is_done_is_not_done_again(shard: Shard, tmp_path: Path) -> None:
    run([shard], tmp_path)
    changed = Path(shard.out).stat().st_mtime_ns
    assert run([shard], tmp_path) == ShardProgress()
    assert Path(shard.out).stat().st_mtime_ns == changed


def test_an_error_in_a_worker_reaches_the_caller_as_one_line(shard: Shard, tmp_path: Path) -> None:
    lost = Shard(**{**shard.to_json(), "policy": "scripted:/gone.json"})
    with pytest.raises(PonderosaError, match=r"/gone\.json"):
        run([lost], tmp_path)


def test_a_fault_in_a_worker_is_an_error_and_not_a_wait_for_ever(shard: Shard, tmp_path: Path) -> None:
    broken = Shard(**{**shard.to_json(), "settings": {"nonsense": 1}})
    with pytest.raises(PonderosaError, match=r"failed with TypeError.*nonsense.*the worker's log has the traceback"):
        run([broken], tmp_path)
    assert "Traceback" in "".join(log.read_text() for log in (tmp_path / "logs").iterdir())


def test_a_worker_that_dies_is_an_error_that_says_so(shard: Shard, tmp_path: Path) -> None:
    async def go() -> None:
        async with WorkerPool(1, tmp_path / "logs") as pool:
            await pool.start()
            (child,) = [int(p) for p in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()]
            task = asyncio.create_task(pool.run([shard]))
            await asyncio.sleep(0.05)
            os.kill(child, signal.SIGKILL)
            await task

    with pytest.raises(PonderosaError, match="worker ended"):
        asyncio.run(go())
    run([shard], tmp_path)
    assert len(list(read_forest(Path(shard.out)))) == COUNT
