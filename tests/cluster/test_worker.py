"""The models of a worker process: what a judge said is in the journal of the shard."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from ponderosa.cluster import Shard
from ponderosa.cluster.worker import Models
from ponderosa.core import Problem, Reward, Scored, Verdict
from ponderosa.models import Journal
from ponderosa.models.judge import critique, question_of

PROBLEM, STEPS = Problem("p", "Why?"), ("Because.",)


def judged(folder: Path, replies: Mapping[str, str]) -> tuple[list[Scored], list[Scored], Verdict]:
    """What a judge with `replies` by prompt says as reward, discriminator and grader, with a journal in `folder`."""
    table = {f"{prompt}\n\n": [{"text": reply, "stop_reason": None}] for prompt, reply in replies.items()}
    (folder / "judge.json").write_text(json.dumps({"table": table}))
    name = f"judge?samples=1:scripted:{folder}/judge.json"

    async def ask() -> tuple[list[Scored], list[Scored], Verdict]:
        with Journal(folder / "journal") as journal, closing(Models()) as models:
            reward = models.reward(name, journal, Shard(None, "mcts"))
            discriminator = models.discriminator(name, journal)
            assert isinstance(discriminator, Reward)
            paths = [(PROBLEM.question, STEPS)]
            grader = models.grader(name, journal)
            return await reward.score(paths), await discriminator.score(paths), await grader.grade("Because.", PROBLEM)

    return asyncio.run(ask())


def test_a_worker_that_starts_again_asks_no_judge_again(tmp_path: Path) -> None:
    prompts = {critique(PROBLEM.question, STEPS): "\\boxed{0}", question_of("Because.", PROBLEM): "\\boxed{correct}"}
    first = judged(tmp_path, prompts)
    assert first == ([Scored((-1.0,))], [Scored((-1.0,))], Verdict(True, judged=True))
    assert judged(tmp_path, {}) == first
