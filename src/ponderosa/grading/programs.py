"""`CodeGrader`: a program is right if it passes the tests of its problem, in the sandbox."""

import ast
import json
import re
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ponderosa.core import BackendError, Execution, Executor, Graded, Problem, Status, Verdict
from ponderosa.grading.number import read_number, same_number

_BLOCK = re.compile(r"^```(?:python|py)[ \t]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_ROUNDS = 500
_LONGEST = 100_000
"""Characters up to which two programs are compared as programs."""


class CodeGrader:
    """A `Grader` for programs. Tests are in `meta["tests"]` (see `Kind.CODE`), their limits those of `executor`.

    Of a test in two parts, the program runs in one process and the assertions in another (see `exchange`), as often as
    the tests ask for values that are not known yet; what is read and printed is compared here. So a program cannot end,
    print or redefine its way to a pass. It is wrong if it fails, runs too long or needs too much memory; a failure is
    what says nothing of it: tests that cannot be run, and a sandbox that does not work.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def grade(self, answer: str, problem: Problem) -> Verdict:
        """Does the program, or the last ```python block of the text, pass all tests?"""
        tests = problem.meta.get("tests")
        if not tests:
            return Verdict(False, Graded.NO_REFERENCE, "the problem has no tests")
        program = program_of(answer)
        try:
            for test in tests:
                verdict = await (self._printed(program, test) if "stdin" in test else self._called(program, test))
                if not verdict.correct:
                    return verdict
        except BackendError as error:
            return Verdict(False, Graded.CRASHED, str(error))
        except (KeyError, TypeError) as error:
            return Verdict(False, Graded.ERROR, f"a test is {{stdin, stdout}} or {{given, calls, code}}: {error!r}")
        return Verdict(True)

    async def equivalent(self, a: str, b: str, problem: Problem) -> bool:
        """Are two programs the same but for comments and layout?"""
        return _normal(program_of(a)) == _normal(program_of(b))

    async def _printed(self, program: str, test: Mapping[str, str]) -> Verdict:
        ended = await self._run("run_with_input", program, test["stdin"])
        if not ended.ok:
            return _failed(ended)
        right = same_output(ended.stdout, test["stdout"])
        return Verdict(right, detail="" if right else f"other output on the input {test['stdin'][:80]!r}")

    async def _called(self, program: str, test: Mapping[str, Any]) -> Verdict:
        answers: list[Any] = []
        for _ in range(_ROUNDS):
            ended = await self._run("run_tests", test["given"], test["calls"], test["code"], answers)
            found = _reported(ended)
            if found is None:
                return Verdict(False, Graded.ERROR, f"the tests do not run: {_failed(ended).detail}")
            if found["unfit"]:
                return Verdict(False, Graded.ERROR, f"the tests pass the program {found['unfit']}, no plain value")
            if not found["calls"]:
                return Verdict(False, Graded.ERROR, f"the tests call nothing of the program: {found['failure']}")
            if not found["unknown"]:
                return Verdict(found["failure"] is None, detail=found["failure"] or "")
            ended = await self._run("answer_calls", test["given"], program, found["calls"])
            said = _reported(ended)
            if said is None:
                return _failed(ended)
            given = said.get("answers")
            if not isinstance(given, list) or len(given) != len(found["calls"]):  # the program may have written it
                return Verdict(False, detail=str(said.get("error", "its answers cannot be read")))
            answers = list(zip(found["calls"], given, strict=True))
        return Verdict(False, Graded.ERROR, f"the tests still ask for values after {_ROUNDS} rounds")

    async def _run(self, function: str, *arguments: Any) -> Execution:
        return await self._executor.run(f"{_harness()}\n{function}(*json.loads({json.dumps(arguments)!r}))\n")


def program_of(text: str) -> str:
    """The last ```python block of a text, or all of it."""
    blocks = _BLOCK.findall(text)
    return blocks[-1] if blocks else text


def same_output(printed: str, expected: str) -> bool:
    """Equal line by line, but for white space at the ends of lines and of the text; or of equal words and numbers."""
    lines, wanted = ([line.split() for line in text.strip().splitlines()] for text in (printed, expected))
    return len(lines) == len(wanted) and all(
        len(a) == len(b) and all(map(_same_word, a, b)) for a, b in zip(lines, wanted, strict=True)
    )


def _same_word(a: str, b: str) -> bool:
    if a == b:
        return True
    one, two = read_number(a), read_number(b)
    return one is not None and two is not None and same_number(one, two)


@cache
def _harness() -> str:
    return Path(__file__).with_name("exchange.py").read_text(encoding="utf-8")


def _reported(ended: Execution) -> dict[str, Any] | None:
    """What the harness printed last; None if the program ended before that."""
    try:
        record = json.loads(ended.stdout.rstrip("\n").rpartition("\n")[2]) if ended.ok else None
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _failed(ended: Execution) -> Verdict:
    if ended.status is Status.REFUSED and ended.error_type is None:
        return Verdict(False, Graded.TOO_LONG, ended.error_message or "")
    return Verdict(False, detail=ended.error or "ended before it was asked for anything")


def _normal(program: str) -> str:
    """A program without comments and layout; a text that is none as it is."""
    text = program.strip()
    if len(text) > _LONGEST:
        return text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the program's own: invalid escapes
            return ast.dump(ast.parse(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text
