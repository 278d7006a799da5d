"""Loads the modules of a tier and runs a few typical calls, so that children find code and caches warm."""

import importlib
from collections.abc import Iterable

# Diverse on purpose: each reaches other parts of sympy, which imports and caches much on first use.
_SYMPY = """
from sympy import *
x, y = symbols("x y")
solve(x**2 - 5*x + 6, x); solve([x + y - 3, x - y - 1], [x, y])
str(simplify((x**2 - 1) / (x - 1))); factor(x**3 - x); expand((x + y)**3); latex(Rational(3, 4) * sqrt(x))
integrate(x**2 * sin(x), x); diff(exp(x) * log(x), x); limit(sin(x) / x, x, 0); summation(x, (x, 1, 10))
Matrix([[1, 2], [3, 4]]).det(); binomial(10, 3); factorint(360); N(pi, 20); solve(x > 2, x)
str(solve(x**2 - 3*x + 1, x)); str(solve(2*x**2 + x + 5, x)); str(solve(x**3 - 2*x + 1, x)); str(solve(Eq(2**x, 8), x))
str(solve([x**2 + y**2 - 25, x - y - 1], [x, y])); str(simplify(sin(x)**2 + cos(x)**2)); str(nsimplify(0.75))
"""


def load(modules: Iterable[str]) -> None:
    """Imports what is installed of `modules`; a server without numpy still serves the rest."""
    for name in modules:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        if name == "sympy":
            exec(_SYMPY, {})


def stop_clock(seconds: float) -> None:
    """Every program sees this time, in seconds since 1970."""
    import time_machine

    time_machine.travel(seconds, tick=False).start()
