"""The process that compares answers symbolically, with math-verify: a template that forks one comparer after another.

math-verify's own time-outs raise from a signal handler, which needs the main thread and which code can swallow. Here
the comparer asks the kernel for SIGALRM, unhandled: whatever it is doing then, it ends, and the template forks a new
one at once, with sympy loaded. Requests come as JSON lines on standard input, `[gold, answer]`, and answers leave as
JSON lines on standard output, `[correct, failure]`, one for each, after a first one that says that it is ready.
"""

import json
import logging
import os
import re
import resource
import signal
import sys
import warnings


def compare(gold: str, answer: str) -> bool:
    """Whether two LaTeX expressions, equations, or lists of equations in any order, say the same.

    math-verify looks at the last side of an equation only. Raises whatever sympy raises.
    """
    if "=" not in gold or "=" not in answer:
        return same_value(gold, answer)
    wanted, found = _elements(gold), _elements(answer)
    if len(wanted) != len(found):
        return False
    for one in wanted:
        match = next((other for other in found if one == other or same_equation(one, other)), None)
        if match is None:
            return False
        found.remove(match)
    return True


def same_equation(gold: str, answer: str) -> bool:
    """Are all sides of two equations the same, one by one, or do they hold for the same values: is the difference of
    one's sides a multiple of the other's? Of chains of other lengths (t = a = b, t = b) the ends must be the same.
    """
    sides = [_SIDES.split(text) for text in (gold, answer)]
    if min(map(len, sides)) < 2:
        return same_value(gold, answer)
    lengths = {len(parts) for parts in sides}
    pairs = zip(*(sides if len(lengths) == 1 else [(parts[0], parts[-1]) for parts in sides]), strict=True)
    if all(a == b or same_value(a, b) for a, b in pairs):
        return True
    return lengths == {2} and _multiples(*(f"({left})-({right})" for left, right in sides))


_SIDES = re.compile(r"(?<![<>!:=\\])=(?!=)|\\approx(?![a-z])")
_OPEN, _CLOSE = "([{", ")]}"


def _elements(text: str) -> list[str]:
    """The parts of a list, which commas and semicolons outside of brackets divide."""
    depth, parts = 0, [""]
    for char in text:
        depth += (char in _OPEN) - (char in _CLOSE)
        if char in ",;" and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts if part.strip()]


def _multiples(gold: str, answer: str) -> bool:
    """Is one expression a constant times the other, and neither 0? Not if one of them cannot be read."""
    from latex2sympy2_extended import latex2sympy
    from sympy import simplify

    try:
        one, two = (latex2sympy(text) for text in (gold, answer))
    except Exception:  # of a parser: many kinds
        return False
    if simplify(one) == 0 or simplify(two) == 0:
        return False
    ratio = simplify(one / two)
    return bool(ratio.is_number and ratio.is_finite and ratio != 0)


def same_value(gold: str, answer: str) -> bool:
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
