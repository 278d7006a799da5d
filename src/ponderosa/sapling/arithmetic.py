"""Exact integer arithmetic of the expressions that appear in steps, parsed with `ast` and never executed.

Formulas of relations and expressions that a model wrote go through the same parser, so that a written step can be
judged by what it computes, whatever its spelling. Only names, integers, `+ - * // % **`, unary minus and a few
functions are known; anything else is an `ExpressionError`.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache

Formula = Callable[[Mapping[str, int]], int]
"""A parsed expression: its value given the variables' values. May raise `ExpressionError`."""


class ExpressionError(ValueError):
    """An expression that cannot be parsed or has no integer value."""


_LARGEST = 10**12
_LONGEST = 200
"""Characters of an expression; keeps the parser's recursion shallow."""
_BINARY: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_FUNCTIONS: dict[str, Callable[..., int]] = {
    "max": max,
    "min": min,
    "abs": abs,
    "math.gcd": math.gcd,
    "math.lcm": math.lcm,
}


@lru_cache(maxsize=65536)
def formula(expression: str) -> Formula:
    """The formula of an expression such as `"2 * ann + 7"`. Raises `ExpressionError` if it is none."""
    return _build(_parse(expression))


@lru_cache(maxsize=65536)
def terms(expression: str) -> tuple[frozenset[str], tuple[int, ...]]:
    """The variables and the integer literals (sorted, with repeats) of an expression. Raises `ExpressionError`."""
    nodes = list(ast.walk(_parse(expression)))
    functions = {name for f in _FUNCTIONS for name in f.split(".")}
    names = frozenset(n.id for n in nodes if isinstance(n, ast.Name)) - functions
    return names, tuple(sorted(n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, int)))


def _parse(expression: str) -> ast.expr:
    if len(expression) > _LONGEST:
        raise ExpressionError("too long")
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise ExpressionError(f"not an arithmetic expression: {expression!r}") from error


def _build(node: ast.expr) -> Formula:
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            return lambda env: value
        case ast.Name(id=name):
            return lambda env: _look_up(env, name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _build(operand)
            return lambda env: -inner(env)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            base, exponent = _build(left), _build(right)
            return lambda env: _power(base(env), exponent(env))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            apply, first, second = _BINARY[type(op)], _build(left), _build(right)
            return lambda env: _bounded(apply, first(env), second(env))
        case ast.Call(func=func, args=args, keywords=[]) if args and ast.unparse(func) in _FUNCTIONS:
            function, values = _FUNCTIONS[ast.unparse(func)], [_build(a) for a in args]
            if len(values) == 1 and function in (max, min):
                raise ExpressionError("max and min need two values")
            return lambda env: _bounded(function, *[v(env) for v in values])
    raise ExpressionError(f"not known here: {ast.unparse(node)}")


def _look_up(env: Mapping[str, int], name: str) -> int:
    try:
        return env[name]
    except KeyError:
        raise ExpressionError(f"{name} has no value") from None


def _power(base: int, exponent: int) -> int:
    if not 0 <= exponent <= 64:
        raise ExpressionError(f"exponent {exponent}")
    return _bounded(operator.pow, base, exponent)


def _bounded(apply: Callable[..., int], *values: int) -> int:
    try:
        result = apply(*values)
    except (ZeroDivisionError, TypeError) as error:
        raise ExpressionError(str(error)) from error
    if abs(result) > _LARGEST:
        raise ExpressionError("too large")
    return result
