"""Judges the steps of a solution against what the world knows: which are right, and how the others fail.

Steps are read as text; nothing of them is executed. A step solves a sentence in a way if its expression equals that
way's formula wherever it is tried, whatever its spelling; so 2 * ann and ann + ann are the same way.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ponderosa.core.format import END_OF_OUTPUT, MARKERS, OUTPUT, boxed_answer
from ponderosa.core.problem import Problem
from ponderosa.sapling.arithmetic import ExpressionError, formula, terms
from ponderosa.sapling.dialects import statement
from ponderosa.sapling.world import ANSWER, KINDS, Sentence, facts, sentences


class StepClass(StrEnum):
    """How a step fares."""

    RIGHT = "right"
    WRONG_WAY = "wrong_way"
    """A known misconception: what was read is right, how it is solved is not."""
    MISCOPIED = "miscopied"
    """The comment is not a sentence of the question, word for word."""
    MISBOUND = "misbound"
    """A wrong name or number, or an expression that is no known way of the sentence."""
    MALFORMED = "malformed"
    """Not a comment with one assignment; or a printed or boxed result that is not the program's."""


MISREAD = frozenset({StepClass.MISCOPIED, StepClass.MISBOUND, StepClass.MALFORMED})
"""Errors of reading, not of judgement."""


@dataclass(frozen=True, slots=True)
class StepVerdict:
    """A step's class; and whether every value assigned so far, this step's included, is the true one."""

    kind: StepClass
    values_ok: bool
    variable: str | None = None
    value: int | None = None


def diagnose(problem: Problem, steps: Sequence[str]) -> list[StepVerdict]:
    """A verdict for each step text (markers and executor output may be in it), in order.

    For problems of this package only: `problem.meta` must be what the world wrote.
    """
    truth = facts(problem)
    values: dict[str, int] = {}
    values_ok = True
    verdicts = []
    for text in steps:
        step = _Step.parse(text)
        if step is None:
            verdicts.append(StepVerdict(_closing(text, values), values_ok))
            continue
        try:
            value = formula(step.expression)(values)
        except ExpressionError:
            value = None
        values_ok = values_ok and value is not None and truth.get(step.variable) == value
        if value is not None:
            values[step.variable] = value
        verdicts.append(StepVerdict(_classify(problem, step, value), values_ok, step.variable, value))
    return verdicts


def execute(steps: Sequence[str]) -> str | None:
    """What the program of the steps prints, or None if it fails or is outside the world's arithmetic."""
    values: dict[str, int] = {}
    for text in steps:
        step = _Step.parse(text)
        if step is None:
            printed = _PRINT.search(_bare(text))
            return str(values[printed[1]]) if printed and printed[1] in values else None
        try:
            values[step.variable] = formula(step.expression)(values)
        except ExpressionError:
            return None
    return None


@dataclass(frozen=True, slots=True)
class _Step:
    comment: str
    variable: str
    expression: str

    @classmethod
    def parse(cls, text: str) -> "_Step | None":
        match = _ASSIGNMENT.fullmatch(_bare(text))
        return cls(match["comment"], match["variable"], match["expression"]) if match else None


_ASSIGNMENT = re.compile(
    r"# Step \d+: (?P<comment>[^\n]+)\n(?:import math\n)?(?P<variable>[a-z_]\w*) = (?P<expression>[^\n]+)"
)
_PRINT = re.compile(r"(?:^|\n)print\((\w+)\)$")
_SHOWN = re.compile(f"{OUTPUT}(.*?){END_OF_OUTPUT}", re.DOTALL)


def _bare(text: str) -> str:
    text = _SHOWN.sub("", text)
    for marker in MARKERS:
        text = text.replace(marker, "")
    return text.strip("\n")


def _closing(text: str, values: Mapping[str, int]) -> StepClass:
    """The class of a step that assigns nothing: it must print the answer, or box what was printed."""
    boxed = boxed_answer(text)
    if boxed is not None:
        return StepClass.RIGHT if boxed == str(values.get(ANSWER)) else StepClass.MALFORMED
    printed = _PRINT.search(_bare(text))
    return StepClass.RIGHT if printed and printed[1] == ANSWER in values else StepClass.MALFORMED


def _classify(problem: Problem, step: _Step, value: int | None) -> StepClass:
    if "ways" in problem.meta:
        return _classify_arithmetic(problem, step, value)
    sentence = next((s for s in sentences(problem) if s.text == step.comment), None)
    if sentence is None:
        return StepClass.MISCOPIED
    if step.variable != sentence.entity:
        return StepClass.MISBOUND
    kind = KINDS[sentence.kind]
    if not sentence.is_no_op and _same(step.expression, sentence, kind.right):
        return StepClass.RIGHT
    if any(_same(step.expression, sentence, way) for way in kind.wrong):
        return StepClass.WRONG_WAY
    return StepClass.MISBOUND


def _classify_arithmetic(problem: Problem, step: _Step, value: int | None) -> StepClass:
    if step.comment != statement(problem):
        return StepClass.MISCOPIED
    right, *wrong = problem.meta["ways"]
    if step.variable != ANSWER or value is None:
        return StepClass.MISBOUND
    if terms(step.expression) != terms(right):
        # A way may leave a number out; any other expression of other numbers was misread.
        return StepClass.WRONG_WAY if step.expression in wrong else StepClass.MISBOUND
    if value == formula(right)({}):
        return StepClass.RIGHT
    return StepClass.WRONG_WAY if any(value == formula(way)({}) for way in wrong) else StepClass.MISBOUND


_PROBES = 4


def _same(expression: str, sentence: Sentence, way: str) -> bool:
    """Whether an expression computes what a way of the sentence does, tried on several values of the entities."""
    try:
        names = terms(expression)[0]
        if not names <= set(sentence.uses):
            return False
        for probe in range(_PROBES):
            rng = random.Random(probe)
            values = {name: rng.randint(100, 999) for name in sentence.uses}
            if formula(expression)(values) != sentence.evaluate(way, values):
                return False
    except ExpressionError:
        return False
    return True
