"""Scripted twins: a policy, a reward and a grader that look their answers up in a table.

They are backends like any other: golden-tree tests, replays and benchmarks of everything but the models run on them.
The files hold JSON: `{"prompt_prefix": str, "table": {...}}` for policies and rewards, the bare table for graders. Keys
are texts without `prompt_prefix`, the part that all prompts of a run share (few-shot examples, say); a look-up finds
them with it or without.
"""

import json
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path as FilePath
from typing import Any, TypeVar

from ponderosa.core import (
    Completion,
    Ended,
    Path,
    PonderosaError,
    Problem,
    Prompt,
    RefusedError,
    Sampling,
    Scored,
    StepFormat,
    Verdict,
)

V = TypeVar("V")

_TAIL = 160
"""Characters of a missing key that its error shows: the end, where prompts of one search differ."""


class ScriptedPolicy:
    """Answers a prompt with the first `n` completions of its row, whatever the sampling and the seed."""

    def __init__(self, table: Mapping[str, Sequence[Completion]], prefix: str = "") -> None:
        self._table = table
        self._prefix = prefix

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> "ScriptedPolicy":
        """Reads `{"prompt_prefix", "table": {prompt: [{"text", "stop_reason"}, ...]}}`.

        `stop_reason` is the stop string, "length" for a text that was cut off, or null for one that ended by itself.
        """
        script = _read(path)
        table = {
            prompt: [_completion(sample["text"], sample["stop_reason"]) for sample in row]
            for prompt, row in _table(script, path).items()
        }
        return cls(table, script.get("prompt_prefix", ""))

    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        row = _look_up(self._table, prompt.text, self._prefix, "prompt")
        if n > len(row):
            raise RefusedError(
                f"the script holds {len(row)} completions, {n} were asked for: ...{prompt.text[-_TAIL:]!r}"
            )
        return list(row[:n])

    def close(self) -> None:
        """There is nothing to release; the backends that hold a model have more to do."""


class ScriptedReward:
    """Scores a path by the text that `format` renders for it."""

    def __init__(self, table: Mapping[str, float], format: StepFormat, prefix: str = "") -> None:
        self._table = table
        self._format = format
        self._prefix = prefix

    @classmethod
    def from_file(cls, path: str | PathLike[str], format: StepFormat) -> "ScriptedReward":
        """Reads `{"prompt_prefix", "table": {text: score}}`."""
        script = _read(path)
        return cls(_table(script, path), format, script.get("prompt_prefix", ""))

    async def score(self, paths: Sequence[Path], *, last_only: bool = False) -> list[Scored]:
        return [Scored(self._values(question, steps, last_only)) for question, steps in paths]

    def close(self) -> None:
        """There is nothing to release; the backends that hold a model have more to do."""

    def _values(self, question: str, steps: tuple[str, ...], last_only: bool) -> tuple[float, ...]:
        first = max(len(steps), 1) if last_only else 1
        texts = (self._format.render(question, steps[:i]).text for i in range(first, len(steps) + 1))
        return tuple(_look_up(self._table, text, self._prefix, "text") for text in texts)


class ScriptedGrader:
    """Grades by a table of verdicts; answers are equivalent if they are the same string."""

    def __init__(self, table: Mapping[str, Mapping[str, bool]]) -> None:
        self._table = table

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> "ScriptedGrader":
        """Reads `{question: {answer: bool}}`."""
        return cls(_read(path))

    async def grade(self, answer: str, problem: Problem) -> Verdict:
        verdicts = _look_up(self._table, problem.question, "", "question")
        return Verdict(_look_up(verdicts, answer, "", "answer"))

    async def equivalent(self, a: str, b: str, problem: Problem) -> bool:
        return a == b


def _completion(text: str, stop_reason: str | None) -> Completion:
    if stop_reason is None:
        return Completion(text, Ended.EOS)
    if stop_reason == "length":
        return Completion(text, Ended.LENGTH)
    return Completion(text, Ended.STOP, stop_reason)


def _look_up(table: Mapping[str, V], key: str, prefix: str, what: str) -> V:
    value = table.get(key)
    if value is None:
        value = table.get(key.removeprefix(prefix))
    if value is None:
        raise RefusedError(f"the script has no {what} that reads ...{key[-_TAIL:]!r}")
    return value


def _read(path: str | PathLike[str]) -> Any:
    try:
        script = json.loads(FilePath(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PonderosaError(f"there is no script at {path}: name an existing JSON file") from None
    except (ValueError, RecursionError) as error:
        raise PonderosaError(f"{path} is not a script in JSON: {error}") from error
    if not isinstance(script, dict):
        raise PonderosaError(f"{path} is no script: a JSON object is expected")
    return script


def _table(script: dict[str, Any], path: str | PathLike[str]) -> dict[str, Any]:
    table = script.get("table")
    if not isinstance(table, dict):
        raise PonderosaError(f'{path} is no script: an object {{"prompt_prefix": ..., "table": {{...}}}} is expected')
    return table
