"""Runs one program in this process as CPython would run it from a file, and tells how it ended."""

import atexit
import builtins
import errno
import gc
import linecache
import random
import sys
import types
from collections.abc import Callable
from typing import Any, TextIO

FILENAME = "program.py"
_MESSAGE = 2048
"""Characters of an exception's message that are kept."""

Record = dict[str, Any]
"""`status`, and for an exception that nothing caught `error_type`, `error_message` and `line`."""


def run(code: str) -> Record:
    """Runs `code` as `__main__`, with nothing of the caller in sight; what it prints goes to `sys.stdout`, flushed."""
    main = types.ModuleType("__main__")
    main.__dict__.update(__file__=FILENAME, __builtins__=builtins)
    sys.modules["__main__"] = main
    sys.argv = [FILENAME]
    # Lets tracebacks and `inspect` see the source, split into lines only if one of them asks.
    linecache.cache[FILENAME] = (lambda: code,)
    # The program has as many frames to itself as it would have alone.
    sys.setrecursionlimit(sys.getrecursionlimit() + _depth())
    _seed()
    stdout = sys.stdout
    record = _outcome(lambda: exec(compile(code, FILENAME, "exec", dont_inherit=True), main.__dict__))
    ended = _outcome(lambda: _shut_down(main, stdout))
    return record if record["status"] != "ok" else ended


def _depth() -> int:
    depth = 0
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    return depth + 2  # and the two of the call below


def _seed() -> None:
    """The same draws in every run; generators that a program makes itself without a seed stay random."""
    random.seed(0)
    for name in ("numpy.random", "sympy.core.random"):
        if name in sys.modules:
            sys.modules[name].seed(0)


def _shut_down(main: types.ModuleType, stdout: TextIO) -> None:
    """What CPython does at exit as far as a program can see it: exit handlers, then finalizers of what is left."""
    atexit._run_exitfuncs()
    sys.stdout = stdout
    if stdout.closed:
        return
    stdout.flush()
    for name in list(main.__dict__):
        if name != "__builtins__":
            main.__dict__[name] = None
    gc.collect()
    stdout.flush()


def _outcome(act: Callable[[], None]) -> Record:
    try:
        act()
    except SystemExit as end:
        if end.code is None or end.code == 0:
            return {"status": "ok"}
        return _failure(end, "error")
    except MemoryError as error:
        return _failure(error, "memory")
    except OSError as error:
        return _failure(error, "refused" if error.errno in (errno.EPERM, errno.EACCES) else "error")
    except BaseException as error:
        return _failure(error, "error")
    return {"status": "ok"}


def _failure(error: BaseException, status: str) -> Record:
    line = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILENAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    try:
        message = error.msg if isinstance(error, SyntaxError) else str(error)
    except Exception:  # the message is the program's own code
        message = "<exception str() failed>"
    return {
        "status": status,
        "error_type": type(error).__name__,
        "error_message": str(message)[:_MESSAGE],
        "line": line,
    }
