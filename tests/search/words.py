"""A scripted world of words: a policy that answers in plain text, as a function of prompt and seed."""

import asyncio
import random
import re
from collections.abc import Sequence

from ponderosa.core import Completion, Ended, Execution, Path, Prompt, Sampling, Scored, Status
from ponderosa.search.actions import ANSWER, FINAL, REPHRASE, SUBQUESTION


class WordsPolicy:
    """Says that x is one of `answers`. What it was asked for is kept in `asked`; a prompt has a token a word."""

    def __init__(self, *answers: int) -> None:
        self.answers = answers
        self.asked: list[Prompt] = []

    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        self.asked.append(prompt)
        await asyncio.sleep(random.random() * 0.001)
        rng = random.Random(seed)
        return [self._one(prompt, sampling, rng) for _ in range(n)]

    def _one(self, prompt: Prompt, sampling: Sampling, rng: random.Random) -> Completion:
        text, size = self._text(prompt, rng), len(prompt.text.split())
        for stop in sampling.stop:
            before, found, _ = text.partition(stop)
            if found:
                return Completion(before, Ended.STOP, stop, tokens=len(before.split()), prompt_tokens=size)
        words = text.split(" ")
        if len(words) > sampling.max_tokens:
            cut = " ".join(words[: sampling.max_tokens])
            return Completion(cut, Ended.LENGTH, tokens=sampling.max_tokens, prompt_tokens=size)
        return Completion(text, Ended.EOS, tokens=len(words), prompt_tokens=size)

    def _text(self, prompt: Prompt, rng: random.Random) -> str:
        value = rng.choice(self.answers)
        last = prompt.body.rpartition("\n")[2]
        if REPHRASE in prompt.question:
            return "Given is x. Find it."
        if last == SUBQUESTION:
            return f" {FINAL}: what is x?\n" if SUBQUESTION in prompt.body[:-20] else " What is half of x?\n"
        if last == ANSWER:
            final = FINAL in prompt.body.rsplit(SUBQUESTION, 1)[1]
            return f" So x is \\boxed{{{value}}}." if final else f" Half of it. The answer is {value / 2}.\n\n"
        if prompt.body.endswith("\\boxed{"):
            return f"{value}}}."
        return f" Let me think {rng.randint(0, 2)}.\n\nSo x is \\boxed{{{value}}}."


class NothingRuns:
    async def run(self, code: str, after: str | None = None, group: str | None = None) -> Execution:
        return Execution(Status.OK)


class BoxReward:
    """Doubts every step that says 5."""

    async def score(self, paths: Sequence[Path], *, last_only: bool = False) -> list[Scored]:
        asked = [steps[-1:] if last_only else steps for _, steps in paths]
        return [Scored(tuple(-0.9 if re.search(r"boxed\{5\}", step) else 0.95 for step in steps)) for steps in asked]
