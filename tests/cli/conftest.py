"""Parts of a user's own, in a folder that is not Python's to look in by itself."""

from pathlib import Path

import pytest

MINE = '''
import asyncio
import re

from ponderosa.core import Completion, Ended, Scored, Verdict
from ponderosa.search import Method, SampleSettings, Search, sample


class Adder:
    """Adds what is in the question; every second sample, from `off` on, is one off."""

    def __init__(self, off=1, slow=0.0):
        self.off, self.slow = off, slow

    async def propose(self, prompt, n, sampling, seed):
        await asyncio.sleep(self.slow)
        total = sum(map(int, re.findall(r"\\d+", prompt.question)))
        answers = [total + (i >= self.off and i % 2) for i in range(n)]
        return [Completion(f"So it is \\\\boxed{{{answer}}}.", Ended.EOS, tokens=5) for answer in answers]


class Likes:
    """Values a step by whether it says `what`."""

    def __init__(self, format, what):
        self.what = f"{{{what}}}"

    async def score(self, paths, *, last_only=False):
        asked = [steps[-1:] if last_only else steps for _, steps in paths]
        return [Scored(tuple(0.9 if self.what in step else -0.9 for step in steps)) for steps in asked]


class AlwaysRight:
    async def grade(self, answer, problem):
        return Verdict(True)

    async def equivalent(self, a, b, problem):
        return a == b


SEARCH = Search(sample, SampleSettings)
METHOD = Method("python:mine:SEARCH", lambda settings, budget: SampleSettings(n=budget or 5, temperature=1.0))
SHARING = Method("sample", lambda settings, budget: SampleSettings(n=budget), samples=True)
'''


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """The folder, with `mine.py` and `problems.jsonl`, whose last answer is wrong."""
    (tmp_path / "mine.py").write_text(MINE)
    rows = [f'{{"question": "What is {i} + 2?", "answer": "{i + 2 + (i == 3)}"}}\n' for i in range(4)]
    (tmp_path / "problems.jsonl").write_text("".join(rows))
    return tmp_path
