"""The process that compares answers symbolically, with math-verify: a template that forks one comparer after another.

math-verify's own time-outs raise from a signal handler, which needs the main thread and which code can swallow. Here
the comparer asks the kernel for SIGALRM, unhandled: whatever it is doing then, it ends, and the template forks a new
one at once, with sympy loaded. Requests come as JSON lines on standard input, `[gold, answer]`, and answers leave as
JSON lines on standard output, `[correct, failure]`, one for each, after a first one that says that it is ready.
"""

import json
import logging
import os
import resource
import signal
import sys
import warnings


def compare(gold: str, answer: str) -> bool:
    """Whether two LaTeX expressions denote the same value. Raises whatever sympy raises."""
    from math_verify import LatexExtractionConfig, parse, verify

    # LaTeX alone: reading other notations would hand the text to `eval`.
    config = [LatexExtractionConfig()]
    sides = [parse(f"${text}$", extraction_config=config, parsing_timeout=None) for text in (gold, answer)]
    return all(sides) and verify(*sides, timeout_seconds=None, raise_on_error=True)


def _reply(correct: bool, failure: str | None = None) -> None:
    sys.stdout.write(json.dumps([correct, failure]) + "\n")
    sys.stdout.flush()


def _comparer(timeout_s: float) -> None:
    """Answers until the requests end. It may be killed in the middle of any, and then has not answered it."""
    while line := sys.stdin.buffer.readline():
        gold, answer = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, timeout_s)
        try:
            correct, failure = compare(gold, answer), None
        except MemoryError:
            correct, failure = False, "out of memory"
        except Exception as error:
            correct, failure = False, f"{type(error).__name__}: {error}"[:200]
        signal.setitimer(signal.ITIMER_REAL, 0)
        _reply(correct, failure)


def main(timeout_s: float, memory_bytes: int) -> None:
    """Serves until standard input ends, or until a comparer dies of anything but its time-out."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    _reply(compare("1", "\\sqrt{1}"))
    while True:
        pid = os.fork()
        if pid == 0:
            try:
                _comparer(timeout_s)
            finally:
                os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != -signal.SIGALRM:
            return
        _reply(False, f"timed out after {timeout_s:g} s")
