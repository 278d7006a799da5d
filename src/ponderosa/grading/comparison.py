"""The process that compares answers symbolically, with math-verify: a template that forks one comparer after another.

math-verify's own time-outs raise from a signal handler, which needs the main thread and which code can swallow. Here
the comparer asks the kernel for SIGALRM, unhandled: whatever it is doing then, it ends, and the template forks a new
one at once, with sympy loaded. Requests come as JSON lines on standard input, `[gold, answer, tolerance]`, and answers
leave as JSON lines on standard output, `[correct, status, detail]`, one for each, after a first one that says that it
is ready.
"""

import json
import logging
import os
import re
import resource
import signal
import sys
import warnings
from typing import Any

from ponderosa.core import Graded
from ponderosa.grading.elements import alike, list_elements


def compare(gold: str, answer: str) -> bool:
    """Whether two LaTeX expressions, equations, or lists of either in any order, say the same.

    math-verify looks at the last side of an equation only, and takes lists for sets. Prose is compared as text alone.
    Raises whatever sympy raises.
    """
    if all(_PROSE.search(text) for text in (gold, answer)):
        return gold == answer
    if gold.count("'") != answer.count("'"):  # f' is not f
        return False
    united = any("\\cup" in text for text in (gold, answer))
    brackets = {text[:2] == "\\{" for text in (gold, answer)}, {text[:1] in "([" for text in (gold, answer)}
    if not united and brackets == ({True, False}, {True, False}):
        return False  # a set, and a tuple or an interval
    wanted, found = alike(list_elements(gold), list_elements(answer))
    if len(wanted) == len(found) == 1:
        if same_equation(*wanted, *found):
            return True
    elif len(wanted) == len(found):
        return _matched(wanted, found)
    elif any(map(_GROUPED.search, (gold, answer))) and same_equation(*map(_ungrouped, (gold, answer))):
        return True
    if united:
        pieces = [list_elements(text.replace("\\cup", ",")) for text in (gold, answer)]
        return len(pieces[0]) == len(pieces[1]) > 1 and _matched(*pieces)
    return False


def _matched(wanted: list[str], found: list[str]) -> bool:
    """Are two lists of the same length equal in any order?"""
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


_PROSE = re.compile(r"(?<![\\a-zA-Z{])[a-zA-Z]{8,}")
_GROUPED = re.compile(r"(?<!\d)\d{1,3}(?:,\d{3})+(?!\d)")
_DEGREES = re.compile(r"(\d+(?:\.\d+)?|\\pi) ?\^(?:\\circ|\{\\circ\})")
_SIDES = re.compile(r"(?<![<>!:=\\])=(?!=)|\\approx(?![a-z])")


def _ungrouped(text: str) -> str:
    """The text without the commas in 1,234."""
    return _GROUPED.sub(lambda match: match.group().replace(",", ""), text)


def _multiples(gold: str, answer: str) -> bool:
    """Is one expression a constant times the other, and neither constant? Not if one of them cannot be read."""
    from latex2sympy2_extended import latex2sympy
    from sympy import simplify

    try:
        one, two = (latex2sympy(text) for text in (gold, answer))
    except Exception:  # of a parser: many kinds
        return False
    if simplify(one).is_number or simplify(two).is_number:
        return False
    ratio = simplify(one / two)
    return bool(ratio.is_number and ratio.is_finite and ratio != 0)


def same_value(gold: str, answer: str) -> bool:
    """Whether two LaTeX expressions denote the same value. Raises whatever sympy raises."""
    from math_verify import verify
    from sympy import Float

    sides = [_read(text) for text in (gold, answer)]
    if not all(sides):
        return False
    if not verify(*sides, timeout_seconds=None, raise_on_error=True, allow_set_relation_comp=True):
        return _same_complex(sides[0][0], sides[1][0])
    one, two = (found[0] for found in sides)
    if any(not getattr(value, "is_rational", False) or value.atoms(Float) for value in (one, two)):
        return True
    return bool((one - two).doit() == 0)  # math-verify rounds what is exact


def _same_complex(one: Any, two: Any) -> bool:
    """Are two expressions in i alone the same number? To math-verify i is a variable like others."""
    from sympy import Expr, I, expand_complex

    symbols = {symbol for value in (one, two) for symbol in getattr(value, "free_symbols", ())}
    if {symbol.name for symbol in symbols} != {"i"} or not all(isinstance(value, Expr) for value in (one, two)):
        return False
    return bool(expand_complex((one - two).subs(dict.fromkeys(symbols, I))) == 0)


def near(gold: str, answer: str, tolerance: float) -> bool:
    """Are two LaTeX expressions numbers, the answer off by at most `tolerance` of the first, or by itself of 0?"""
    sides = [_read(text) for text in (gold, answer)]
    if not all(found and getattr(found[0], "is_number", False) for found in sides):
        return False
    one, two = (found[0].n() for found in sides)
    return bool(abs(one - two) <= tolerance * (abs(one) or 1))


def _read(text: str) -> list[Any]:
    """What math-verify reads in LaTeX: the expression, and its text; nothing if there is none."""
    from math_verify import LatexExtractionConfig, parse

    # LaTeX alone: reading other notations would hand the text to `eval`.
    text = _DEGREES.sub(r"(\1\\pi/180)", text)  # which math-verify would drop
    found: list[Any] = parse(f"${text}$", extraction_config=[LatexExtractionConfig()], parsing_timeout=None)
    return found


def _reply(correct: bool, status: Graded = Graded.OK, detail: str = "") -> None:
    sys.stdout.write(json.dumps([correct, status, detail]) + "\n")
    sys.stdout.flush()


def _comparer(timeout_s: float) -> None:
    """Answers until the requests end. It may be killed in the middle of any, and then has not answered it."""
    while line := sys.stdin.buffer.readline():
        gold, answer, tolerance = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, timeout_s)
        try:
            reply = compare(gold, answer) or bool(tolerance and near(gold, answer, tolerance)), Graded.OK, ""
        except MemoryError:
            reply = False, Graded.OUT_OF_MEMORY, "out of memory"
        except Exception as error:
            reply = False, Graded.ERROR, f"{type(error).__name__}: {error}"[:200]
        signal.setitimer(signal.ITIMER_REAL, 0)
        _reply(*reply)


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
        _reply(False, Graded.TIMED_OUT, f"timed out after {timeout_s:g} s")
