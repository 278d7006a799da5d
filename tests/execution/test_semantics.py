"""What a program prints is what CPython prints when the program is run alone from a file."""

import subprocess
import sys

import pytest

from ponderosa.core import Status

PROGRAMS = {
    "arithmetic": "x = 3*4; print(x)",
    "nothing": "",
    "no newline": "print('a', end='')",
    "unicode": "print('π ≈ 3,14 🌲')",
    "main": "if __name__ == '__main__': print(__name__, __doc__)",
    "docstring": "'''doc'''\nprint(__doc__)",
    "closures see globals": "def f(): return y\ny = 2\nprint(f(), [y for _ in range(2)])",
    "exit handlers": "import atexit\natexit.register(print, 'end')\nprint('middle')",
    "finalizers": "class A:\n    def __del__(self): print('gone')\na = A()\nprint('here')",
    "exit in the middle": "import sys\nprint(1)\nsys.exit()\nprint(2)",
    "exit code": "import sys\nprint(1)\nsys.exit(3)",
    "written before an error": "print('before')\n1/0",
    "no input": "try:\n    input('?')\nexcept EOFError as e:\n    print(type(e), e)",
    "recursion just deep enough": "def f(n): return 0 if n == 0 else 1 + f(n - 1)\nprint(f(990))",
    "recursion too deep": "def f(n): return f(n - 1) if n else 0\ntry: f(1001)\nexcept RecursionError: print('deep')",
    "dataclasses": "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\nprint(P(1))",
    "os level output": "import os, sys\nprint('first', flush=True)\nos.write(1, b'second\\n')",
    "output replaced": "import io, sys\nsys.stdout = io.StringIO()\nprint('lost')\nsys.stdout = sys.__stdout__",
    "builtins replaced": "import builtins\nbuiltins.len = lambda x: 42\nprint(len(''))",
    "hash order": "print({'b', 'a', 'c'}, hash('x'))",
    "seeded": "import random\nrandom.seed(7)\nprint(random.random())",
    "warnings": "import warnings\nwarnings.warn('beware')\nprint('on')",
    "integer too long to print": "try: print(10**5000)\nexcept ValueError as e: print(e)",
    "exact": "from fractions import Fraction\nprint(Fraction(1, 3) + Fraction(1, 6), 0.1 + 0.2)",
    "generators": "def g():\n    try: yield 1\n    finally: print('closed')\nit = g()\nprint(next(it))",
    "stderr": "import sys\nprint('no', file=sys.stderr)\nprint('yes')",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_prints_what_cpython_prints(run, tmp_path, name):
    path = tmp_path / "program.py"
    path.write_text(PROGRAMS[name])
    alone = subprocess.run(
        [sys.executable, "-P", path.name],
        cwd=tmp_path,
        env={"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
    )
    result = run(PROGRAMS[name])
    assert result.stdout == alone.stdout.decode()
    assert result.ok == (alone.returncode == 0)


@pytest.mark.parametrize(
    ("code", "error", "line"),
    [
        ("x = 1\n\ny = x / 0", "ZeroDivisionError: division by zero", 3),
        ("def f():\n    raise KeyError('a')\nf()", "KeyError: 'a'", 2),
        ("x = (\n", "SyntaxError: '(' was never closed", 1),
        ("a = 1\n  b = 2", "IndentationError: unexpected indent", 2),
        ("import sys\nsys.exit('bad')", "SystemExit: bad", 2),
        ("import json\n\njson.loads('{')", "JSONDecodeError: Expecting property name enclosed in double quotes: "
         "line 1 column 2 (char 1)", 3),
        ("import missing_module", "ModuleNotFoundError: No module named 'missing_module'", 1),
        ("input()", "EOFError: EOF when reading a line", 1),
        ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "E: <exception str() failed>", 3),
        ("import threading\nthreading.Thread(target=print).start()", "RuntimeError: can't start new thread", 2),
        ("print('\\ud800')", "UnicodeEncodeError: 'utf-8' codec can't encode character '\\ud800' in position 0: "
         "surrogates not allowed", 1),
    ],
)  # fmt: skip
def test_an_error_names_its_type_message_and_line(run, code, error, line):
    result = run(code)
    assert result.status is Status.ERROR
    assert (result.error, result.line) == (error, line)


def test_a_lone_surrogate_in_the_program_is_its_error(run):
    assert run("x = '\ud800'").error_type == "UnicodeEncodeError"


def test_a_null_byte_in_the_program_is_its_error(run):
    assert run("x = 1\0").status is Status.ERROR


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("while True: pass", Status.TIMEOUT),
        ("import time\ntime.sleep(60)", Status.TIMEOUT),
        ("import signal\nfor s in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:\n"
         "    signal.signal(s, signal.SIG_IGN)\nwhile True: pass", Status.TIMEOUT),
        ("import re\nre.match('(a+)+$', 'a' * 40 + 'b')", Status.TIMEOUT),
        ("10**10**10", Status.TIMEOUT),
        ("class A:\n    def __del__(self):\n        while True: pass\na = A()", Status.TIMEOUT),
        ("import atexit\n@atexit.register\ndef f():\n    while True: pass", Status.TIMEOUT),
        ("x = [0] * 10**9", Status.MEMORY),
        ("x = b'1'\nwhile True: x += x", Status.MEMORY),
        ("while True: print('flood')", Status.OUTPUT_LIMIT),
        ("import os\nwhile True: os.write(1, b'x' * 1000)", Status.OUTPUT_LIMIT),
        ("import os\nos._exit(0)", Status.CRASHED),
        ("import os\nos.abort()", Status.CRASHED),
        ("import ctypes\nctypes.string_at(0)", Status.CRASHED),
        ("import os\nos.kill(os.getpid(), 9)", Status.CRASHED),
        ("#" * 300_000, Status.REFUSED),
    ],
)  # fmt: skip
def test_every_bad_end_has_its_status(run, code, status):
    assert run(code).status is status


def test_what_was_printed_before_a_bad_end_is_kept(run):
    assert run("print('kept', flush=True)\nwhile True: pass").stdout == "kept\n"


def test_output_is_cut_at_the_limit_and_not_before(run):
    assert run("print('x' * 65535)").stdout == "x" * 65535 + "\n"
    over = run("print('x' * 65536)")
    assert (over.status, over.stdout) == (Status.OUTPUT_LIMIT, "x" * 65536)


def test_no_state_leaks_between_programs(run):
    assert run("import math, sys\nleak = 1\nmath.pi = 3\nsys.modules['leak'] = 1\nprint(math.pi)").stdout == "3\n"
    assert run("import math\nprint(math.pi, 'leak' in globals())").stdout == "3.141592653589793 False\n"
    assert run("import leak").error_type == "ModuleNotFoundError"


def test_a_program_that_replaces_the_way_out_still_ends_alone(run):
    hostile = (
        "import os, sys, json\nos._exit = sys.exit = lambda *a: None\nos.write = json.dumps = None\nprint('still')"
    )
    assert run(hostile).stdout == "still\n"
    assert run("import os; print(os.write is not None)").stdout == "True\n"


@pytest.mark.parametrize(
    "code",
    [
        "import random\nprint(random.random(), random.sample(range(100), 5))",
        "import numpy as np\nprint(np.random.rand(3), np.random.randint(0, 100, 5))",
        "print(hash('a'), {'a', 'b', 'c'})",
    ],
)
def test_unseeded_programs_repeat(run, code):
    first = run(code)
    assert first.ok
    assert run(code).stdout == first.stdout


def test_numpy_and_sympy_run_in_their_tiers(run):
    solved = run("from sympy import symbols, solve\nx = symbols('x')\nprint(solve(x**2 - 5*x + 6, x))")
    assert (solved.stdout, solved.tier) == ("[2, 3]\n", "sympy")
    summed = run("import numpy as np\nprint(np.arange(10).sum(), np.linalg.det(np.eye(2)))")
    assert (summed.stdout, summed.tier) == ("45 1.0\n", "numpy")


def test_a_hidden_import_works_in_the_light_tier(run):
    result = run("name = 'num' + 'py'\nprint(__import__(name).arange(3))")
    assert (result.stdout, result.tier) == ("[0 1 2]\n", "light")


def test_times_are_measured(run):
    result = run("import time\ntime.sleep(0.2)\nsum(range(10**6))")
    assert 0.2 < result.wall_s < 1.0
    assert 0.005 < result.cpu_s < result.wall_s
