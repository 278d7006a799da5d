"""From samples to roll-outs, to a data set of step values, to reward models side by side: each through its command."""

import json
from pathlib import Path

import pytest

from ponderosa.cli import main
from ponderosa.forest import ValueRow, read_forest, read_rows

PARTS = '''
import random
import re

from ponderosa.core import Completion, Ended, Scored


class Guesses:
    """A first step, then a second that guesses the sum: right in one case of three."""

    async def propose(self, prompt, n, sampling, seed):
        total = sum(map(int, re.findall(r"\\d+", prompt.question)))
        draw = random.Random(seed)
        return [self.one(prompt.body, total + draw.randint(0, 2)) for _ in range(n)]

    def one(self, body, answer):
        end = f"So it is \\\\boxed{{{answer}}}."
        return Completion(end if "Add." in body else "Add.\\n\\n" + end, Ended.EOS, tokens=5)


class Knows:
    """Values a step by whether it is right, or by the opposite."""

    def __init__(self, format, value="0.9"):
        self.value = float(value)

    async def score(self, paths, *, last_only=False):
        return [
            Scored(tuple(self.of(question, step) for step in (steps[-1:] if last_only else steps)))
            for question, steps in paths
        ]

    def of(self, question, step):
        total = sum(map(int, re.findall(r"\\d+", question)))
        return 0.0 if "boxed" not in step else self.value if f"{{{total}}}" in step else -self.value
'''


def ponderosa(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    return int(end.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "parts.py").write_text(PARTS)
    rows = [json.dumps({"id": str(i), "question": f"What is {i} + 2?", "answer": str(i + 2)}) for i in range(8)]
    (tmp_path / "problems.jsonl").write_text("\n".join(rows))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_step_values_are_made_and_reward_models_compared(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ("problems.jsonl", "--model", "python:parts:Guesses", "--format", "text", "--judged", "--processes", "1")
    sampled = ("--method", "sample", "--set", "n=6", "--set", "temperature=1.0")
    assert ponderosa("search", *common, *sampled, "--out", "samples") == 0
    rolled = ("--method", "rollouts", "--over", "samples/forest/tree-0", "--set", "completions=30")
    assert ponderosa("search", *common, *rolled, "--out", "rolled") == 0
    trees = list(read_forest(folder / "rolled" / "forest" / "tree-0"))
    assert {len(tree.rollouts) for tree in trees} == {
        30
    }  # of each problem's solutions the first step alone is completed

    assert ponderosa("export", "rolled", "--format", "values", "--min-visits", "30", "--out", "values") == 0
    rows = read_rows(folder / "values", ValueRow)
    firsts = [row.targets[0] for row in rows if row.targets[0] is not None]
    assert len(firsts) == 8
    assert sum(firsts) / 8 == pytest.approx(2 / 3 - 1, abs=0.24)  # p = 1 / 3; four standard deviations of 240 guesses
    assert {row.targets[1] for row in rows} == {1.0, -1.0}

    models = ("right=python:parts:Knows", "wrong=python:parts:Knows?value=-0.9")
    forests = ("--samples", "samples/forest/tree-0", "--rollouts", "rolled/forest/tree-0", "--format", "text")
    assert ponderosa("rewards", *models, *forests, "--k", "7", "--processes", "1", "--out", "more") == 1
    assert "8 problems have fewer than 7 samples" in capsys.readouterr().err
    assert ponderosa("rewards", *models, *forests, "--k", "6", "--processes", "1", "--out", "comparison") == 0
    found = json.loads((folder / "comparison" / "results.json").read_text())["models"]
    assert found["right"]["outcomes"]["auc"]["value"] == 1.0
    assert found["wrong"]["outcomes"]["auc"]["value"] == 0.0
    assert found["right"]["outcomes"]["ece"]["value"] == pytest.approx(0.05)
    assert (folder / "comparison" / "calibration.svg").exists()
    assert "right" in capsys.readouterr().out


def test_what_cannot_be_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ("search", "problems.jsonl", "--model", "python:parts:Guesses", "--out", "run")
    assert ponderosa(*common, "--method", "rollouts") == 1
    assert "rollouts learns from the known answers: add --judged" in capsys.readouterr().err
    assert ponderosa(*common, "--method", "sample", "--over", "forest") == 1
    assert "sample begins anew: leave --over out, or take --method rollouts" in capsys.readouterr().err
    assert ponderosa(*common, "--method", "rollouts", "--judged", "--over", "nowhere") == 1
    assert "nowhere: no such forest" in capsys.readouterr().err
    assert ponderosa("rewards", "a=x", "a=y", "--samples", "s", "--out", "o") == 1
    assert "two models are called a" in capsys.readouterr().err
