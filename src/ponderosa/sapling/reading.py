"""From a question's text back to what it says: the world reads what others write in its words.

Whoever writes new problems knows no answers; the world does, as far as it can read them.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from fractions import Fraction
from functools import cache

from ponderosa.core.problem import Problem
from ponderosa.sapling.arithmetic import ExpressionError, formula
from ponderosa.sapling.families import FAMILIES
from ponderosa.sapling.kinds import Kind
from ponderosa.sapling.questions import QUESTIONS
from ponderosa.sapling.relations import RELATIONS
from ponderosa.sapling.vocabulary import NAMES, NO_OPS
from ponderosa.sapling.world import ANSWER, KINDS, Sentence

ROUNDED = frozenset({"bags_needed", "bags_for_all", "both_ends"})
"""Kinds whose division has a remainder by intent; with any other it is no question of the world."""


class UnreadableError(ValueError):
    """A text that is no question of the world: it says why."""


def read(question: str) -> Problem:
    """The problem that a text asks, with its answer, and the sentences as `world` knows them.

    Raises `UnreadableError` for other texts: unknown sentences, entities that were not introduced or are so twice,
    several sorts of things, values that are not whole or less than 0.
    """
    if (found := _arithmetic(question)) is not None:
        return found
    why = "no sentences of the world"
    for written in _sentences(question.strip(), ()):
        try:
            return _problem(question, written)
        except UnreadableError as error:
            why = str(error)
    raise UnreadableError(why)


_Part = tuple[str, str, int, Mapping[str, str]]
"""A sentence's text, kind and phrasing, and what stands in its slots."""


def _sentences(text: str, before: tuple[_Part, ...]) -> Iterator[tuple[_Part, ...]]:
    """The ways to read a text as sentences of the world with a question at the end."""
    for kind in KINDS.values():
        for phrasing in range(len(kind.phrasings)):
            match = _pattern(kind.name, phrasing).match(text)
            if match is None:
                continue
            part = (match[0], kind.name, phrasing, match.groupdict())
            rest = text[match.end() :]
            if kind.name in QUESTIONS:
                if not rest:
                    yield (*before, part)
            elif rest.startswith(" "):
                yield from _sentences(rest[1:], (*before, part))


@cache
def _pattern(kind: str, phrasing: int) -> re.Pattern[str]:
    pieces, seen = [], set()
    for piece in re.split(r"(\{\w\})", KINDS[kind].phrasings[phrasing]):
        slot = piece[1:-1] if piece.startswith("{") else ""
        if not slot:
            pieces.append(re.escape(piece))
        elif slot in seen:
            pieces.append(f"(?P={slot})")
        else:
            seen.add(slot)
            what = r"[A-Z][a-z]+" if slot in "eabc" else "[a-z]+" if slot == "o" else r"\d+"
            pieces.append(f"(?P<{slot}>{what})")
    return re.compile("".join(pieces))


def _problem(question: str, parts: tuple[_Part, ...]) -> Problem:
    values: dict[str, int] = {}
    written = []
    if len({slots["o"] for *_, slots in parts if "o" in slots}) > 1:
        raise UnreadableError("several sorts of things")
    for text, name, phrasing, slots in parts:
        kind = KINDS[name]
        uses = tuple(slots[slot].lower() for slot in "abc"[: kind.arity])
        entity = ANSWER if name in QUESTIONS else (slots["e"].lower() if "e" in slots else uses[0] if uses else "")
        numbers = tuple(int(slots[slot]) for slot in "kmn" if slot in slots)
        if unknown := [use for use in uses if use not in values]:
            raise UnreadableError(f"{unknown[0]} was not introduced")
        if name in RELATIONS and (entity in values or entity.capitalize() not in NAMES):
            raise UnreadableError(f"{entity} is introduced twice, or is nobody")
        if len(set(uses)) < len(uses):
            raise UnreadableError("somebody is compared with themselves")
        sentence = Sentence(text, name, phrasing, entity, uses, numbers, 0)
        value = _value(sentence, kind, values)
        written.append(replace(sentence, value=value))
        if name not in NO_OPS:
            values[entity] = value
    meta = {
        "world": "sapling",
        "level": sum(s.kind in RELATIONS and bool(s.uses) for s in written),
        "kinds": [s.kind for s in written],
        "sentences": [asdict(s) for s in written],
    }
    return Problem(f"sapling:read:{question}", question, str(values[ANSWER]), meta)


def _value(sentence: Sentence, kind: Kind, values: Mapping[str, int]) -> int:
    try:
        value = sentence.evaluate(kind.right, values)
    except ExpressionError as error:
        raise UnreadableError(str(error)) from error
    env = dict(zip("abc", [values[use] for use in sentence.uses], strict=False))
    env |= dict(zip("kmn", sentence.numbers, strict=False))
    if value < 0 or (kind.name not in ROUNDED and exact(kind.right, env) != value):
        raise UnreadableError(f"a value that is not whole, or less than 0: {sentence.text}")
    return value


def exact(way: str, values: Mapping[str, int]) -> Fraction:
    """A formula's value where a division leaves no remainder out. Raises `UnreadableError` for a division by 0."""

    def at(node: ast.expr) -> Fraction:
        match node:
            case ast.Constant(value=int(number)):
                return Fraction(number)
            case ast.Name(id=name):
                return Fraction(values[name])
            case ast.UnaryOp(operand=operand):
                return -at(operand)
            case ast.BinOp(left=left, op=ast.FloorDiv(), right=right):
                return at(left) / at(right)
            case ast.BinOp(left=left, op=ast.Mod(), right=right):
                return at(left) % at(right)
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                return Fraction(at(left) ** int(at(right)))
            case ast.BinOp(left=left, op=op, right=right):
                sign = -1 if isinstance(op, ast.Sub) else 1
                return at(left) * at(right) if isinstance(op, ast.Mult) else at(left) + sign * at(right)
            case ast.Call(func=ast.Name(id=name), args=args):
                return {"max": max, "min": min}[name](map(at, args))
        raise UnreadableError(f"no formula: {way}")

    try:
        return at(ast.parse(way, mode="eval").body)
    except ZeroDivisionError as error:
        raise UnreadableError("a division by 0") from error


_EXPRESSION = re.compile(
    r"(?:Calculate|[A-Z][a-z ]*(?:problem|multiplication|calculation|expression)[a-z ]*:) "
    r"(?P<is>[-+*() \d]+?)(?: =)?\.?(?: Give only[^.]*\.)?"
)
_EQUATION = re.compile(r"[A-Z][a-z ]*: (?P<is>[-+* \da-z]+ = -?\d+)")
_DIVISORS = re.compile(
    r"Find the (?:Greatest Common Divisor \(GCD\)|Least Common Multiple \(LCM\)) of these numbers: \d+, \d+"
    r"(?:\. Give only[^.]*\.)?"
)


def _arithmetic(question: str) -> Problem | None:
    """A question of reasoning-gym's families, in its words; None for others."""
    text = question.strip()
    if match := _EXPRESSION.fullmatch(text):
        family, way = "chain_sum", match["is"]
    elif _DIVISORS.fullmatch(text):
        family = "gcd" if "GCD" in text else "lcm"
        (way, *_) = FAMILIES[family].ways(text)
    elif _EQUATION.fullmatch(text):
        family = "simple_equations"
        try:
            (way, *_) = FAMILIES[family].ways(text)
        except ValueError:
            return None
    else:
        return None
    try:
        value = formula(way)({})
        if family == "simple_equations" and exact(way, {}) != value:
            raise UnreadableError(f"an equation without a whole solution: {text}")
    except ExpressionError as error:
        raise UnreadableError(str(error)) from error
    meta = {"world": "reasoning-gym", "family": family, "level": 0, "kinds": [family], "ways": [way]}
    return Problem(f"sapling:read:{question}", question, str(value), meta)
