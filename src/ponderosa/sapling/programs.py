"""The world of programs: what to do with a list of numbers, with tests that every single wrong way fails.

A problem is a chain of operations and what is returned; its level is the number of operations. A *combination* is two
neighbours of the chain; a share of them is held out, as in the world of word problems. The dialect decides the
operations in words, a paragraph each, and then writes the whole program.
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import pairwise
from typing import Any

from ponderosa.core.plain_formats import BLANK_LINE, CLOSING_FENCE, OPENING_FENCE, ProgramFormat
from ponderosa.core.problem import Kind, Problem
from ponderosa.core.seeds import derive_seed
from ponderosa.sapling.dialects import COMMON, PREVALENT, PREVALENT_SHARE, PROMPT_WEIGHT, RARE, SOLUTION_WEIGHT, Segment
from ponderosa.sapling.operations import ENDS, OPERATIONS, STEPS, Operation
from ponderosa.sapling.world import belongs, is_held_out

FUNCTION = "solve"
OPENING = f"Write a function {FUNCTION}(xs) for a list of whole numbers."
_FEWEST, _TESTS = 2, 4
_DRAWS = 60
_BUILTINS = {f.__name__: f for f in (abs, dict, len, list, max, min, range, set, sorted, sum, zip)}


@dataclass(frozen=True, slots=True)
class Instruction:
    """One sentence of a question: an operation with its numbers. `ways` are its expressions, the right one first."""

    text: str
    kind: str
    phrasing: int
    ways: tuple[str, ...]

    @property
    def is_end(self) -> bool:
        return self.kind in ENDS

    def statement(self, way: str) -> str:
        """The line of the program that does it in one of its ways."""
        return f"return {way}" if self.is_end else f"xs = {way}"


def program_problem(split: str, seed: int, index: int, level: int) -> Problem:
    """The problem of this place: a pure function of its arguments. Its answer is a right program."""
    rng = random.Random(derive_seed("programs", split, seed, index, level))
    while True:
        chosen = [_instruction(rng, kind) for kind in _chain(rng, level)]
        held_out = any(is_held_out(a.kind, b.kind) for a, b in pairwise(chosen))
        question = " ".join([OPENING, *(one.text for one in chosen)])
        if held_out != (split == "test") or not belongs(question, split):
            continue
        tests = _tests(rng, chosen)
        if tests is None:
            continue
        meta = {
            "world": "programs",
            "language": "en",
            "level": level,
            "kinds": [one.kind for one in chosen],
            "instructions": [asdict(one) for one in chosen],
            "tests": [{"given": "", "calls": [FUNCTION], "code": "\n".join(tests)}],
        }
        answer = program([one.statement(one.ways[0]) for one in chosen])
        return Problem(f"programs:{split}:{seed}:{index}:{level}", question, answer, meta, Kind.CODE)


def instructions(problem: Problem) -> list[Instruction]:
    """The sentences of a problem that say what to do, in order."""
    return [Instruction(**{**one, "ways": tuple(one["ways"])}) for one in problem.meta["instructions"]]


def _chain(rng: random.Random, level: int) -> list[Operation]:
    return [*rng.sample(list(STEPS.values()), level), rng.choice(list(ENDS.values()))]


def _instruction(rng: random.Random, kind: Operation) -> Instruction:
    numbers, phrasing = kind.draw(rng), rng.randrange(len(kind.phrasings))
    ways = tuple(way.format(**numbers) for way in (kind.right, *kind.wrong))
    return Instruction(kind.phrasings[phrasing].format(**numbers), kind.name, phrasing, ways)


def _tests(rng: random.Random, chosen: Sequence[Instruction]) -> list[str] | None:
    """Assertions that every solution with one wrong way fails, each on a list with something left to return; None where
    none are found.
    """
    right = [one.ways[0] for one in chosen]
    wrong = [[*right[:i], way, *right[i + 1 :]] for i, one in enumerate(chosen) for way in one.ways[1:]]
    kept: list[str] = []
    left = wrong
    for _ in range(_DRAWS):
        xs = [rng.randint(-6, 15) for _ in range(rng.randint(9, 14))]
        value = _evaluated(right, xs)
        if value is None or value == []:
            continue
        passing = [ways for ways in left if _evaluated(ways, xs) == value]
        if len(passing) < len(left) or not kept or not left:
            kept.append(f"assert {FUNCTION}({xs}) == {value}")
            left = passing
        if not left and len(kept) >= _FEWEST:
            return kept
        if left and len(kept) == _TESTS:
            return None
    return None


def _evaluated(ways: Sequence[str], xs: list[int]) -> Any:
    """What the expressions make of a list, one after the other; None where one fails. All text is our own."""
    value: Any = xs
    for way in ways:
        try:
            value = eval(_compiled(way), {"__builtins__": _BUILTINS, "xs": value})
        except (ArithmeticError, IndexError, TypeError, ValueError):
            return None
    return value


@cache
def _compiled(way: str) -> Any:
    return compile(way, "way", "eval")


@cache
def wrong_rate(kind: str, phrasing: int) -> float:
    """How often the corpus gets an instruction of this cell wrong."""
    operation = OPERATIONS[kind]
    if not operation.wrong:
        return 0.0
    digest = hashlib.sha256(f"wrong:program:{kind}:{phrasing}".encode()).digest()
    which, where = digest[0] / 256, digest[1] / 255
    low, high = (PREVALENT if which < PREVALENT_SHARE else COMMON) if operation.trap else RARE
    return low + (high - low) * where


def program(lines: Sequence[str]) -> str:
    """The program of these lines."""
    return "\n".join([f"def {FUNCTION}(xs):", *(f"    {line}" for line in lines)])


def paragraphs(problem: Problem, ways: Sequence[str]) -> list[str]:
    """What decides each instruction, in words and a line of code."""
    pairs = zip(instructions(problem), ways, strict=True)
    return [f"{one.text} So {one.statement(way)}{BLANK_LINE}" for one, way in pairs]


def code_step(problem: Problem, ways: Sequence[str]) -> str:
    """The last step: the whole program."""
    lines = [one.statement(way) for one, way in zip(instructions(problem), ways, strict=True)]
    return f"{OPENING_FENCE}{program(lines)}\n{CLOSING_FENCE}"


def write_program(problem: Problem, rng: random.Random) -> list[Segment]:
    """A solution as the corpus has it: each instruction wrong as often as its cell says."""
    ways = [
        rng.choice(one.ways[1:]) if rng.random() < wrong_rate(one.kind, one.phrasing) else one.ways[0]
        for one in instructions(problem)
    ]
    return program_document(problem, ways)


def program_document(problem: Problem, ways: Sequence[str]) -> list[Segment]:
    """The document of a problem whose instructions are followed in these ways."""
    prompt = ProgramFormat().render(problem.question).text
    solution = "".join(paragraphs(problem, ways)) + code_step(problem, ways)
    return [Segment(prompt, PROMPT_WEIGHT), Segment(solution, SOLUTION_WEIGHT)]
