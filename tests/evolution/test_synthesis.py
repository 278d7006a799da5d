"""New problems from solved ones, through the workers, with models that are written down."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ponderosa.core import Kind, PonderosaError, Problem
from ponderosa.evolution.settings import parse
from ponderosa.evolution.synthesis import KeepSettings, SynthesisRun, Votes, synthesize
from ponderosa.problems import read_problems
from ponderosa.view.progress import Progress

MODELS = r'''
import re

from ponderosa.core import Completion, Ended

NEW = ["Say 7.", "Say  7 !", "Say 1.", "Say 50.", "Say 9.", "Say 8.", "Say 6.", "no problem"]


class Writer:
    async def propose(self, prompt, n, sampling, seed):
        texts = [f"Problem: {text}" if text != "no problem" else text for text in NEW[:n]]
        return [Completion(text, Ended.EOS, tokens=4) for text in texts]


class Solver:
    """Agrees with itself about 7, nearly so about 9, half and half about 8, and never about 6."""

    async def propose(self, prompt, n, sampling, seed):
        number = int(re.findall(r"\d+", prompt.question)[0])
        right = {7: n, 9: n * 3 // 4, 8: n // 2, 6: 0}.get(number, n)
        answers = [number if i < right else (0 if number == 8 else 100 + i) for i in range(n)]
        return [Completion(f" So \\boxed{{{answer}}}.", Ended.EOS, tokens=2) for answer in answers]
'''


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    Path("writers.py").write_text(MODELS)
    return {
        "writer": "python:writers:Writer",
        "writing": {"proposals": 8},
        "solving": {
            "search": "sample",
            "settings": {"n": 8, "temperature": 1.0},
            "format": "text",
            "policy": "python:writers:Solver",
        },
        "contamination": {"n": 0},
        "workers": {"processes": 1, "shard": 3},
    }


def made(path: Path, settings: dict[str, Any], solved: Sequence[Problem]) -> dict[str, Any]:
    run = parse(SynthesisRun, settings, "test")
    return asyncio.run(synthesize(path, run, solved, {"test": [Problem("t", "say 50")]}, Progress()))


def test_what_is_new_clean_and_agreed_on_is_kept_with_its_answer(tmp_path: Path, settings: dict[str, Any]) -> None:
    report = made(tmp_path / "out", settings, [Problem("s", "Say 1.", "1")])
    kept = list(read_problems(tmp_path / "out" / "problems.jsonl"))
    assert [(problem.question, problem.answer) for problem in kept] == [("Say 7.", "7"), ("Say 9.", "9")]
    assert [problem.meta["agreement"] for problem in kept] == [1.0, 0.75]
    assert {problem.meta["from"] for problem in kept} == {"s"}
    counts = {"proposals": 8, "written": 7, "duplicates": 2, "contaminated": 1, "solved": 4, "kept": 2}
    assert counts.items() <= report.items()
    assert report["disagreement"] == 2
    assert report["agreement"] == {"0.1": 1, "0.5": 1, "0.7": 1, "1.0": 1}
    assert report["contamination"] == {"test": {"same": 1, "overlap": 0}}
    assert report["tokens"] == {"writing": 32, "solving": 4 * 8 * 2}
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == report


def test_the_same_call_again_asks_nobody(tmp_path: Path, settings: dict[str, Any]) -> None:
    solved = [Problem("s", "Say 1.", "1")]
    first = made(tmp_path / "out", settings, solved)
    Path("writers.py").write_text("raise SystemExit")
    assert made(tmp_path / "out", settings, solved) == first


def test_other_settings_on_the_same_folder_are_an_error_that_names_them(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    made(tmp_path / "out", settings, [Problem("s", "Say 1.", "1")])
    with pytest.raises(PonderosaError, match=r"keep\.agreement: 0\.6 -> 0\.9"):
        made(tmp_path / "out", settings | {"keep": {"agreement": 0.9}}, [Problem("s", "Say 1.", "1")])


def test_problems_without_a_value_to_agree_on_are_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(PonderosaError, match="answers are values"):
        made(tmp_path / "out", settings, [Problem("s", "Which?", "A", kind=Kind.CHOICE), Problem("t", "How?")])


def test_a_search_that_knows_answers_is_refused(settings: dict[str, Any]) -> None:
    settings["solving"]["judged"] = True
    with pytest.raises(PonderosaError, match="cannot be judged"):
        parse(SynthesisRun, settings, "test")


@pytest.mark.parametrize(
    ("counts", "keep", "verdict"),
    [
        ({}, {}, "no_answer"),
        ({"7": 10}, {}, "kept"),
        ({"7": 6, "8": 4}, {}, "kept"),
        ({"7": 5, "8": 1}, {}, "disagreement"),
        ({"7": 5, "8": 4}, {"agreement": 0.5}, "near_tie"),
        ({"7": 10}, {"too_easy": 1.0}, "too_easy"),
        ({"7": 9, "8": 1}, {"too_easy": 1.0}, "kept"),
    ],
)
def test_a_problem_is_kept_by_the_shares_of_its_answers(
    counts: dict[str, int], keep: dict[str, float], verdict: str
) -> None:
    assert Votes(10, counts).verdict(KeepSettings(**keep)) == verdict
