"""Values that a program computes, drops and computes anew: what became of a line of reasoning, read from its code.

Programs are read, never run. A value counts as redone only if nothing that comes later rests on the old one, so that
variables that are used again for something else, counters and loops are left out; and so is what comes to the same
number, as far as that can be told from arithmetic.
"""

import ast
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

SCRATCH = frozenset({"_", "i", "j", "k", "tmp", "temp"})
"""Names that everybody uses again for something else."""

_DECLARED = frozenset({"symbols", "Symbol", "Function", "var", "input", "range"})
"""Calls that make no value that could be wrong."""


@dataclass(frozen=True, slots=True)
class Redone:
    """`name` was set by the program part `dropped` and set anew, not from itself, by the part `anew`."""

    name: str
    dropped: int
    anew: int


@dataclass(slots=True, eq=False)
class _Value:
    """What a name was set to: `made` where everything is known of it (a plain assignment outside of any block)."""

    name: str
    part: int
    time: int
    made: ast.expr | None
    uses: list["_Value"]
    number: float | None = None
    """What it is, where that can be told."""
    used_at: list[int] = field(default_factory=list)
    shown: bool = False
    """Was it printed or asserted, and so a result of its own?"""


def redone(parts: Sequence[str]) -> list[Redone]:
    """The values that are redone from one part of a program to a later one; none if it is not Python."""
    reader = _Reader()
    for part, code in enumerate(parts):
        try:
            tree = ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return []
        for statement in tree.body:
            reader.read(statement, part)
    return [Redone(new.name, old.part, new.part) for old, new in reader.replaced if _dropped(old, new, reader.values)]


def _dropped(old: _Value, new: _Value, values: Sequence[_Value]) -> bool:
    """Does nothing after `new` use the old value, or what was made from it?"""
    stale = {id(old)}
    for value in values:  # in the order in which they were made
        if value.time < new.time and any(id(used) in stale for used in value.uses):
            stale.add(id(value))
    return not any(
        value.shown or any(time >= new.time for time in value.used_at) for value in values if id(value) in stale
    )


class _Reader:
    def __init__(self) -> None:
        self.values: list[_Value] = []
        self.replaced: list[tuple[_Value, _Value]] = []
        self._now: dict[str, _Value] = {}
        self._time = 0

    def read(self, statement: ast.stmt, part: int) -> None:
        self._time += 1
        used = self._used(statement)
        for value in used:
            value.used_at.append(self._time)
            value.shown |= isinstance(statement, ast.Expr | ast.Assert)
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=made):
                self._set(name, part, made, used)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as made):
                self._set(name, part, made, used)
            case _:
                for name in _stored(statement):
                    self._set(name, part, None, used)

    def _used(self, statement: ast.stmt) -> list[_Value]:
        names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            made = statement.value
            names = set() if made is None else {n.id for n in ast.walk(made) if isinstance(n, ast.Name)}
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:  # of x[i] = ... what is changed is used
                if not isinstance(target, ast.Name | ast.Tuple):
                    names |= {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}
        return [self._now[name] for name in names if name in self._now]

    def _set(self, name: str, part: int, made: ast.expr | None, used: list[_Value]) -> None:
        old = self._now.get(name)
        new = _Value(name, part, self._time, made, used, None if made is None else self._number(made))
        self._now[name] = new
        self.values.append(new)
        if old is None or old.part == part or name in SCRATCH or old in used:
            return
        if old.made is None or new.made is None or _is_beginning(old.made) or _is_beginning(new.made):
            return
        same = old.number == new.number if None not in (old.number, new.number) else False
        if not same and ast.dump(old.made) != ast.dump(new.made):
            self.replaced.append((old, new))

    def _number(self, made: ast.expr) -> float | None:
        """The value of plain arithmetic over numbers that are known; None for all else."""
        match made:
            case ast.Constant(value=int() | float() as number):
                return _calculated(float, [number])
            case ast.Name(id=name):
                return self._now[name].number if name in self._now else None
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _calculated(operator.neg, [self._number(operand)])
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
                return _calculated(_OPERATIONS[type(op)], [self._number(left), self._number(right)])
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS and args:
                return _calculated(_FUNCTIONS[name], [self._number(arg) for arg in args])
        return None


_OPERATIONS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {"max": max, "min": min, "abs": abs}
_LARGEST = 1e15
"""Larger numbers are not calculated with."""


def _calculated(function: Callable[..., Any], of: list[float | None]) -> float | None:
    if any(number is None or abs(number) > _LARGEST for number in of):
        return None
    try:
        return float(function(*of))
    except (ArithmeticError, TypeError, ValueError):
        return None


def _stored(statement: ast.stmt) -> Iterator[str]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name


def _is_beginning(made: ast.expr) -> bool:
    """Is it what names are set to before they get their value, or a declaration?"""
    match made:
        case ast.Constant(value=value):
            return value in (0, 1, "", None)
        case ast.List(elts=[]) | ast.Dict(keys=[]) | ast.Tuple(elts=[]):
            return True
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name in _DECLARED
    return False
