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
from typing import Any

FILENAME = "program.py"
_MESSAGE = 2048
"""Characters of an exception's message that are kept."""

Record = dict[str, Any]
"""`status`, and for an exception that nothing caught `error_type`, `error_message` and `line`."""


def run(code: str) -> Record:
    """Runs `code` from its start to its end, exit handlers and finalizers included."""
    program = Program()
    record = program.go_on(code)
    ended = program.end()
    return record if record["status"] != "ok" else ended


class Program:
    """A program that runs as `__main__`, in one piece or in several, with nothing of its caller in sight.

    What it prints goes to the standard output of the moment when the program was made, flushed after each piece.
    """

    def __init__(self) -> None:
        self._main = types.ModuleType("__main__")
        self._main.__dict__.update(__file__=FILENAME, __builtins__=builtins)
        sys.modules["__main__"] = self._main
        sys.argv = [FILENAME]
        self._source = ""
        self._stdout = sys.stdout
        self._depth = 0
        seed_generators()

    def go_on(self, code: str) -> Record:
        """Runs `code`, which follows on what ran before as in one file, from the start of a line."""
        padding = "\n" * self._source.count("\n")  # so that lines are numbered as in the file
        self._source += code
        # Lets tracebacks and `inspect` see the source, split into lines only if one of them asks.
        linecache.cache[FILENAME] = (lambda: self._source,)
        self._leave_room()
        record = _outcome(
            lambda: exec(compile(padding + code, FILENAME, "exec", dont_inherit=True), self._main.__dict__)
        )
        if record["status"] == "ok":
            record = _outcome(self._flush)
        return record

    def end(self) -> Record:
        """Does what CPython does at exit as far as a program can see it: exit handlers, then finalizers."""
        return _outcome(self._shut_down)

    def _leave_room(self) -> None:
        """The program gets as many frames to itself as it would have alone."""
        depth = 2  # the two of the call that runs it
        frame: types.FrameType | None = sys._getframe(1)
        while frame is not None:
            depth, frame = depth + 1, frame.f_back
        sys.setrecursionlimit(sys.getrecursionlimit() + depth - self._depth)
        self._depth = depth

    def _flush(self) -> None:
        if not self._stdout.closed:
            self._stdout.flush()

    def _shut_down(self) -> None:
        atexit._run_exitfuncs()
        sys.stdout = self._stdout
        if self._stdout.closed:
            return
        self._stdout.flush()
        for name in list(self._main.__dict__):
            if name != "__builtins__":
                self._main.__dict__[name] = None
        gc.collect()
        self._stdout.flush()


def seed_generators() -> None:
    """The same draws in every run; generators that a program makes itself without a seed stay random."""
    random.seed(0)
    for name in ("numpy.random", "sympy.core.random"):
        if name in sys.modules:
            sys.modules[name].seed(0)


# Bound now, for a program may replace them.
_BUILTINS = builtins.__dict__
_PRISTINE = _BUILTINS.copy()
_ANYTHING = BaseException


def restore_builtins() -> dict[str, Any]:
    """Undoes what the program made of the builtins, and returns that."""
    theirs = _BUILTINS.copy()
    _BUILTINS.update(_PRISTINE)
    return theirs


def _outcome(act: Callable[[], None]) -> Record:
    try:
        act()
    except _ANYTHING as error:
        restore_builtins()
        return _failure(error)
    return {"status": "ok"}


def _failure(error: BaseException) -> Record:
    if isinstance(error, SystemExit) and not error.code:
        return {"status": "ok"}
    status = "error"
    if isinstance(error, MemoryError):
        status = "memory"
    elif isinstance(error, OSError) and error.errno in (errno.EPERM, errno.EACCES):
        status = "refused"
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
