"""A checkpoint of each training of reward models guides every search, without a word on what it was trained on."""

import random
import re
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ponderosa.core import CodeFormat, Completion, Ended, Execution, Prompt, Sampling, Status
from ponderosa.models import load_reward
from ponderosa.search import (
    Backends,
    BeamSettings,
    MCTSSettings,
    ParticleSettings,
    SampleSettings,
    SearchSettings,
    search,
)
from ponderosa.training import PPMSettings, ValueSettings, train_ppm, train_values


class Letters:
    """Two steps of a letter each, a or z, then the program's end, then the answer."""

    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        draw = random.Random(seed)
        return [self._one(prompt.body, sampling.stop, draw) for _ in range(n)]

    def _one(self, body: str, stops: Sequence[str], draw: random.Random) -> Completion:
        steps = [f"\n{draw.choice('az')} = 1\n" for _ in range(2 - body.count("<end_of_step>"))]
        if "<output>" in body:
            letters = "".join(re.findall("([az]) = 1", body))
            return Completion(f"\n<answer>\\boxed{{{letters}}}.\n", Ended.STOP, "<end_of_answer>", tokens=5)
        if steps and "<end_of_step>" in stops:
            return Completion(steps[0], Ended.STOP, "<end_of_step>", tokens=5)
        text = "".join(f"{step}<end_of_step>" for step in steps)
        return Completion(f"{text}\nprint(1)\n", Ended.STOP, "<end_of_code>", tokens=5)


class Runs:
    async def run(self, code: str, after: str | None = None, group: str | None = None) -> Execution:
        return Execution(Status.OK, "1")


FORMAT = CodeFormat()
QUESTIONS = [f"Which is {i}?" for i in range(12)]
END = "\nprint(1)\n<end_of_code>\n<output>1<end_of_output>"
FAST: dict[str, Any] = {
    "epochs": 25,
    "batch_size": 8,
    "learning_rate": 1e-2,
    "weight_decay": 0,
    "held_out": 0.0,
    "precision": "float32",
}


def solution(letters: str) -> list[str]:
    """Its steps; it is right if all letters are a."""
    return [f"\n{x} = 1\n<end_of_step>" for x in letters] + [END, f"\n<answer>\\boxed{{{letters}}}.\n<end_of_answer>"]


def train(kind: str, base: Path, out: Path) -> None:
    """A model that likes the letter a, from labels of that kind."""
    if kind == "ppm":
        pairs = []
        for i, question in enumerate(QUESTIONS):
            for before in ("", "a", "z"):
                chosen, rejected = solution("a")[0], solution("z")[0]
                prompt = FORMAT.render(question, solution(before)[: len(before)]).text
                pairs.append(
                    {"prompt": prompt, "chosen": chosen, "rejected": rejected, "weight": 1, "problem_id": str(i)}
                )
            for wrong in ("az", "za", "zz"):
                ends = {"chosen": "".join(solution("aa")), "rejected": "".join(solution(wrong))}
                pairs.append({"prompt": FORMAT.render(question).text, "weight": 1.0, "problem_id": str(i)} | ends)
        train_ppm(base, pairs, out, PPMSettings(**FAST, squash="none", scale=1), 0)
        return
    rows = []
    for i, question in enumerate(QUESTIONS):
        for letters in ("aa", "az", "za", "zz"):
            outcome = 1.0 if letters == "aa" else -1.0
            targets = [outcome] * 4
            if kind == "prm":
                targets = [0.0 if letters[0] == "a" else -1.0, outcome, outcome, outcome]
            rows.append(
                {"prompt": FORMAT.render(question).text, "steps": solution(letters), "targets": targets}
                | {"problem_id": str(i)}
            )
    train_values(base, rows, out, ValueSettings(**FAST), 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ppm", "orm", "prm"])
async def test_a_model_of_any_training_guides_any_search(kind: str, base: Path, tmp_path: Path) -> None:
    train(kind, base, tmp_path / kind)
    settings = SearchSettings(
        sample=SampleSettings(8, 1.0),
        mcts=MCTSSettings(candidates=2, rollouts=4),
        beam=BeamSettings(width=2, candidates=2),
        particles=ParticleSettings(particles=4),
    )
    with closing(load_reward(str(tmp_path / kind), FORMAT)) as reward:
        backends = Backends(Letters(), Runs(), FORMAT, reward)
        (right, wrong) = await reward.score(
            [(QUESTIONS[0], tuple(solution("aa"))), (QUESTIONS[0], tuple(solution("zz")))]
        )
        assert len(right.values) == len(wrong.values) == 4
        assert right.values[-1] > wrong.values[-1] + 0.5
        for method in ("best_of_n", "weighted", "beam", "particles", "mcts"):
            found = []
            for seed in range(3):
                tree, choice = await search("p", QUESTIONS[0], method, backends, settings, seed)
                assert tree.outcome is None
                assert choice is not None
                found.append(choice.answer)
                if method in ("best_of_n", "mcts"):
                    assert (choice.answer == "aa") == ("aa" in {tree.nodes[end].answer for end in tree.answered()})
            assert "aa" in found, method
