"""Programs are right if they pass their tests, and by nothing else."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ponderosa.core import BackendError, Execution, Graded, Kind, Problem, Verdict
from ponderosa.execution import ExecutionSettings, Limits, make_executor
from ponderosa.execution.backends import AnyExecutor
from ponderosa.grading import CodeGrader
from ponderosa.grading.programs import same_output

SQUARE = {"given": "import math", "calls": ["f"], "code": "assert f(3) == 9\nassert math.isclose(f(1.5), 2.25)"}
ADD = {"stdin": "3 4\n5\n", "stdout": "12\n"}
RIGHT = "def f(x):\n    return x * x"


@pytest.fixture(scope="module")
def executor() -> Iterator[AnyExecutor]:
    executor = make_executor(ExecutionSettings(limits=Limits(wall_s=1.0)))
    yield executor
    asyncio.run(executor.close())


def problem(*tests: Any) -> Problem:
    return Problem("p", "?", None, {"tests": list(tests)}, Kind.CODE)


def grade(executor: AnyExecutor, program: str, *tests: Any) -> Verdict:
    return asyncio.run(CodeGrader(executor).grade(program, problem(*(tests or (SQUARE,)))))


@pytest.mark.parametrize(
    "program",
    [
        RIGHT,
        f"Here it is.\n```python\n{RIGHT}\n```\nDone.",
        f"print('noise')\n{RIGHT}\nprint('more')",
        "from __future__ import annotations\nclass Solution:\n    def f(self, x): return x ** 2",
        "from math import prod\nf = lambda x: prod([x, x])",
        f"{RIGHT}\nif __name__ == '__main__':\n    print(f(int(input())))",
    ],
)
def test_a_program_that_passes_is_right(executor: AnyExecutor, program: str) -> None:
    assert grade(executor, program) == Verdict(True)


EQUAL = "class E:\n    def __eq__(self, other): return True\n    def __float__(self): return 2.25\n"
HOSTILE = {
    "exits": "import sys; sys.exit(0)",
    "exits hard": "import os; os._exit(0)",
    "exits when called": "def f(x):\n    raise SystemExit(0)",
    "equals all": f"{EQUAL}def f(x): return E()",
    "equals all, hidden": "class I(int):\n    __eq__ = lambda a, b: True\n    __hash__ = None\ndef f(x): return I(0)",
    "prints a report": 'import os\nos.write(1, b\'{"failure": null, "unknown": false}\\n\')\nraise SystemExit(0)',
    "prints answers late": 'import atexit\natexit.register(lambda: print(\'{"answers": [{"value": 9}]}\'))\nf = 1',
    "breaks the harness": "import sys\nm = sys.modules['__main__']\nm.pack = lambda v: 9\nm.json.dumps = lambda v: ''",
    "patches builtins": "import builtins\nbuiltins.AssertionError = type('A', (Exception,), {})\ndef f(x): return 1",
    "patches isclose": "import math\nmath.isclose = lambda *a: True\ndef f(x): return 9",
    "reads its caller": "import sys\ndef f(x):\n    g = sys._getframe(1)\n    while g:\n"
    "        g.f_locals.update(failure=None)\n        g = g.f_back\n    return 0",
}


@pytest.mark.parametrize("program", HOSTILE.values(), ids=list(HOSTILE))
def test_a_program_that_fakes_success_is_wrong(executor: AnyExecutor, program: str) -> None:
    verdict = grade(executor, program)
    assert (verdict.correct, verdict.status) == (False, Graded.OK)
    assert verdict.detail


def test_a_program_never_sees_what_is_expected(executor: AnyExecutor) -> None:
    looks = (
        "import gc, inspect, linecache, sys\ndef f(x):\n    seen, g = [], sys._getframe()\n    while g:\n"
        "        seen += [g.f_globals, g.f_locals, g.f_code.co_consts]\n        g = g.f_back\n"
        "    seen += [linecache.cache, *gc.get_objects()]\n"
        "    texts = map(repr, filter(lambda o: isinstance(o, str | tuple | dict), seen))\n"
        "    return ''.join(['{}', '{}']) in ''.join(texts)"
    )
    hidden = {"given": "", "calls": ["f"], "code": "assert f(0) is False  # 31415927"}
    assert grade(executor, looks.format("3141", "5927"), hidden) == Verdict(True)
    assert not grade(executor, looks.format("co_c", "onsts"), hidden).correct  # it does see itself


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("def f(x):\n    return 9", "math.isclose"),
        ("def f(x:", "SyntaxError"),
        ("def g(x):\n    return x * x", "has no f"),
        ("while True: pass", "timeout"),
        ("def f(x):\n    while True: pass", "timeout"),
        ("x = ' ' * 10**11", "MemoryError"),
        ("def f(x):\n    raise KeyError(x)", "KeyError"),
        ("", "has no f"),
    ],
)
def test_a_wrong_program_is_wrong_and_not_a_failure(executor: AnyExecutor, program: str, said: str) -> None:
    verdict = grade(executor, program)
    assert (verdict.correct, verdict.status) == (False, Graded.OK)
    assert said in verdict.detail


@pytest.mark.parametrize(
    ("code", "right"),
    [
        ("for i in range(20):\n    assert abs(f(i) - i * i) < 1e-6", True),
        ("for i in range(20):\n    assert f(i) - i * i < (i < 19)", False),
        ("assert f(f(2)) == 16", True),
        ("assert sorted([f(2), f(1)]) == [1, 4] and not f(0)", True),
        ("try:\n    f('x')\nexcept TypeError:\n    pass\nelse:\n    assert False", True),
        ("import random\nx = random.random()\nassert f(x) == x ** 2", True),
        ("def check(candidate):\n    assert candidate(5) == 25\ncheck(f)", True),
        ("assert f(float('inf')) == float('inf') and f(float('nan')) != 0", True),
    ],
)
def test_tests_may_do_what_they_like_with_the_values(executor: AnyExecutor, code: str, right: bool) -> None:
    verdict = grade(executor, RIGHT, {"given": "", "calls": ["f"], "code": code})
    assert (verdict.correct, verdict.status) == (right, Graded.OK)


def test_what_a_program_remembers_between_calls_is_kept(executor: AnyExecutor) -> None:
    counts = "n = 0\ndef f():\n    global n\n    n += 1\n    return n"
    test = {"given": "", "calls": ["f"], "code": "assert f() == 1\nassert f() == 2\nassert f() + f() == 7"}
    assert grade(executor, counts, test) == Verdict(True)


def test_the_beginning_of_a_program_may_be_given(executor: AnyExecutor) -> None:
    """As HumanEval gives it: the answer may be the rest of a function, and cannot change what the tests were given."""
    prompt = 'def half(x):\n    return x / 2\n\ndef f(x):\n    """A quarter."""\n'
    test = {"given": prompt, "calls": ["f"], "code": "assert half(f(8)) == 1"}
    assert grade(executor, "    return half(half(x))", test) == Verdict(True)
    assert not grade(executor, "    return 5\ndef half(x): return 1", test).correct


@pytest.mark.parametrize(
    ("program", "right"),
    [
        ("a, b = map(int, input().split())\nprint(a + b + int(input()))", True),
        ("import sys\nprint(sum(map(int, sys.stdin.read().split())))", True),
        ("import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())), '')", True),
        ("def main():\n    print('12.0')\n\nif __name__ == '__main__':\n    main()", True),
        ("print(12)\nimport sys; sys.exit()", True),
        ("print(13)", False),
        ("print(12, 12)", False),
        ("input(); input(); input()", False),
        ("print(12)\n1 / 0", False),
        ("print('12' * 10**6)", False),
    ],
)
def test_what_a_program_prints_is_compared_outside(executor: AnyExecutor, program: str, right: bool) -> None:
    verdict = grade(executor, program, ADD)
    assert (verdict.correct, verdict.status) == (right, Graded.OK)


@pytest.mark.parametrize(
    ("printed", "expected", "same"),
    [
        ("a b\n", "a  b", True),
        ("a\nb", "a b", False),
        ("1\n2\n\n", "1\n2", True),
        ("0.50", "0.5", True),
        ("1e3 x", "1000 x", True),
        ("", "0", False),
    ],
)
def test_white_space_and_the_writing_of_numbers_do_not_matter(printed: str, expected: str, same: bool) -> None:
    assert same_output(printed, expected) is same


def test_all_tests_count(executor: AnyExecutor) -> None:
    other = {"given": "", "calls": ["f"], "code": "assert f(2) == 5"}
    assert grade(executor, RIGHT, SQUARE, other).detail == "assert f(2) == 5: AssertionError"


class Broken:
    async def run(self, code: str, after: str | None = None, group: str | None = None) -> Execution:
        raise BackendError("the sandbox is down")


@pytest.mark.parametrize(
    ("tests", "status", "said"),
    [
        ([], Graded.NO_REFERENCE, "no tests"),
        ([{"given": ""}], Graded.ERROR, "a test is"),
        ([{"given": "", "calls": [], "code": "x = 1"}], Graded.ERROR, "call nothing"),
        ([{"given": "", "calls": ["f"], "code": "f(object())"}], Graded.ERROR, "a object, no plain value"),
        ([{"given": "", "calls": ["f"], "code": "while True: pass"}], Graded.ERROR, "the tests do not run: timeout"),
        ([{"stdin": "x" * 400_000, "stdout": ""}], Graded.TOO_LONG, "characters"),
    ],
)
def test_tests_that_say_nothing_of_the_program_are_a_failure(
    executor: AnyExecutor, tests: list[Any], status: Graded, said: str
) -> None:
    verdict = asyncio.run(CodeGrader(executor).grade(RIGHT, problem(*tests)))
    assert (verdict.correct, verdict.status) == (False, status)
    assert said in verdict.detail


def test_a_sandbox_that_does_not_work_is_a_failure() -> None:
    verdict = asyncio.run(CodeGrader(Broken()).grade(RIGHT, problem(SQUARE)))
    assert verdict == Verdict(False, Graded.CRASHED, "the sandbox is down")


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (RIGHT, "def f(x):  # square\n\n    return (x*x)\n", True),
        (RIGHT, f"```python\n{RIGHT}\n```", True),
        (RIGHT, "def f(y):\n    return y * y", False),
        (r"p = '\d'", r"p = '\d'  # digits", True),
        ("no program", "no program ", True),
        ("no program", "none", False),
        ("(" * 5000, ")" * 5000, False),
    ],
)
def test_programs_are_the_same_but_for_comments_and_layout(a: str, b: str, same: bool) -> None:
    assert asyncio.run(CodeGrader(Broken()).equivalent(a, b, problem())) is same


def test_a_right_program_takes_few_runs(executor: AnyExecutor) -> None:
    grade(executor, RIGHT)
    started = time.monotonic()
    for i in range(10):
        assert grade(executor, f"{RIGHT}\nz = {i}").correct
    assert time.monotonic() - started < 5
