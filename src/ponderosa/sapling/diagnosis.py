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
from ponderosa.core.plain_formats import CLOSING_FENCE, OPENING_FENCE, tagged_answer
from ponderosa.core.problem import Kind, Problem
from ponderosa.sapling.arithmetic import ExpressionError, formula, terms
from ponderosa.sapling.choices import chosen_letter, lookup
from ponderosa.sapling.dialects import statement
from ponderosa.sapling.languages import LANGUAGES, translate
from ponderosa.sapling.programs import instructions, program
from ponderosa.sapling.thinking import SECOND_THOUGHT, SO
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
    """Not a comment with one assignment; or a printed or boxed result, or a program, that is not that of the steps."""
    MISCALCULATED = "miscalculated"
    """A line of thinking that gets its own arithmetic wrong; what is run cannot."""
    SECOND_THOUGHT = "second_thought"
    """A line of thinking that takes the one before it back."""


MISREAD = frozenset({StepClass.MISCOPIED, StepClass.MISBOUND, StepClass.MALFORMED})
"""Errors of reading, not of judgement."""


@dataclass(frozen=True, slots=True)
class StepVerdict:
    """A step's class; and whether every value that is assigned after it is the true one, of programs: whether every
    instruction so far was followed in the right way.
    """

    kind: StepClass
    values_ok: bool
    variable: str | None = None
    value: int | None = None


def diagnose(problem: Problem, steps: Sequence[str]) -> list[StepVerdict]:
    """A verdict for each step text (markers and executor output may be in it), in order.

    For problems of this package only: `problem.meta` must be what the world wrote.
    """
    if problem.kind is Kind.CODE:
        return _diagnose_program(problem, steps)
    truth = facts(problem)
    values: dict[str, int | None] = {}
    verdicts = []
    for text in steps:
        step = _Step.parse(text)
        if step is None:
            ok = _all_true(values, truth)
            verdicts.append(StepVerdict(_closing(problem, text, values), ok))
            continue
        try:
            value = formula(step.expression)({name: known for name, known in values.items() if known is not None})
        except ExpressionError:
            value = None
        kind = _classify(problem, step, value)
        if step.stated is not None and step.stated != value:
            kind = StepClass.MISCALCULATED if value is not None and kind not in MISREAD else kind
            value = step.stated  # what is thought goes on with what it wrote
        values[step.variable] = value
        verdicts.append(StepVerdict(kind, _all_true(values, truth), step.variable, value))
    return verdicts


def _all_true(values: Mapping[str, int | None], truth: Mapping[str, int]) -> bool:
    return all(value is not None and truth.get(name) == value for name, value in values.items())


def execute(steps: Sequence[str]) -> str | None:
    """What the program of the steps prints, or None if it fails or is outside the world's arithmetic."""
    values: dict[str, int] = {}
    for text in steps:
        step = _Step.parse(text)
        if step is None:
            return _printed(text, values)
        try:
            values[step.variable] = formula(step.expression)(values)
        except ExpressionError:
            return None
    return None


def _printed(text: str, values: Mapping[str, int]) -> str | None:
    bare = _bare(text)
    if (printed := _PRINT.search(bare)) and printed[1] in values:
        return str(values[printed[1]])
    if (looked_up := _LOOKUP.search(bare)) and looked_up["key"] in values:
        letters = dict(_ENTRY.findall(looked_up["entries"]))
        return letters.get(str(values[looked_up["key"]]), looked_up["other"])
    return None


@dataclass(frozen=True, slots=True)
class _Step:
    """An assignment. The comment is in English; `stated` is the value that a line of thinking says it has."""

    comment: str
    variable: str
    expression: str
    stated: int | None = None

    @classmethod
    def parse(cls, text: str) -> "_Step | None":
        bare = _bare(text)
        if match := _ASSIGNMENT.fullmatch(bare):
            return cls(translate(match["comment"], "en"), match["variable"], match["expression"])
        if match := _THOUGHT.fullmatch(bare):
            expression = re.sub(r"\b(gcd|lcm)\(", r"math.\1(", match["expression"])
            return cls(translate(match["comment"], "en"), match["variable"], expression, int(match["stated"]))
        return None


_ASSIGNMENT = re.compile(
    r"# Step \d+: (?P<comment>[^\n]+)\n(?:import math\n)?(?P<variable>[a-z_]\w*) = (?P<expression>[^\n]+)"
)
_SO = "|".join(translate(SO, language) for language in LANGUAGES)
_THOUGHT = re.compile(
    rf"(?P<comment>[^\n]+) (?:{_SO}) (?P<variable>[a-z_]\w*) = "
    r"(?=(?P<expression>[^\n=]+?)(?: = |\.$))(?:[^\n]* )?(?P<stated>-?\d+)\."
)
_SECOND_THOUGHTS = {translate(SECOND_THOUGHT, language) for language in LANGUAGES}
_PRINT = re.compile(r"(?:^|\n)print\((\w+)\)$")
_ENTRY = re.compile(r'(-?\d+): "([A-Z])"')
_LOOKUP = re.compile(
    rf'(?:^|\n)print\(\{{(?P<entries>(?:{_ENTRY.pattern}(?:, )?)+)\}}\.get\((?P<key>\w+), "(?P<other>[A-Z])"\)\)$'
)
_SHOWN = re.compile(f"{OUTPUT}(.*?){END_OF_OUTPUT}", re.DOTALL)


def _bare(text: str) -> str:
    text = _SHOWN.sub("", text)
    for marker in MARKERS:
        text = text.replace(marker, "")
    return text.strip("\n")


def _closing(problem: Problem, text: str, values: Mapping[str, int | None]) -> StepClass:
    """The class of a step that assigns nothing: it takes a line back, prints the answer, or says what was computed."""
    if text.strip() in _SECOND_THOUGHTS:
        return StepClass.SECOND_THOUGHT
    answer = values.get(ANSWER)
    tagged = tagged_answer(text)
    said = boxed_answer(text) if tagged is None else tagged
    if said is not None:
        if answer is not None and problem.kind is Kind.CHOICE:
            return StepClass.RIGHT if said == chosen_letter(problem, answer) else StepClass.MALFORMED
        return StepClass.RIGHT if said == str(answer) else StepClass.MALFORMED
    printed = lookup(problem) if problem.kind is Kind.CHOICE else ANSWER
    right = answer is not None and f"\n{_bare(text)}".endswith(f"\nprint({printed})")
    return StepClass.RIGHT if right else StepClass.MALFORMED


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


_DECISION = re.compile(r"(?P<text>[^\n]+) So (?P<line>(?:xs =|return) [^\n]+)")


def _diagnose_program(problem: Problem, steps: Sequence[str]) -> list[StepVerdict]:
    """Verdicts on paragraphs that decide an instruction each, in order, or several of them in one step, and on the
    program, which must be that of the decisions.
    """
    asked = instructions(problem)
    decided: list[str] = []
    ok = True
    verdicts = []
    for text in steps:
        words, opened, code = text.partition(OPENING_FENCE)
        if not opened and code_ends(text):
            words, code = "", text
        kinds = []
        for paragraph in filter(None, (piece.strip() for piece in words.split("\n\n"))):
            match = _DECISION.fullmatch(paragraph)
            if match is None:
                kinds.append(StepClass.MALFORMED)
                continue
            place = len(decided)
            decided.append(match["line"])
            if match["text"] not in [one.text for one in asked]:
                kinds.append(StepClass.MISCOPIED)
            elif place >= len(asked) or match["text"] != asked[place].text:
                kinds.append(StepClass.MISBOUND)
            else:
                right, *wrong = map(asked[place].statement, asked[place].ways)
                told = StepClass.WRONG_WAY if match["line"] in wrong else StepClass.MISBOUND
                kinds.append(StepClass.RIGHT if match["line"] == right else told)
        if code.strip():
            kinds.append(StepClass.RIGHT if same_program(code, program(decided)) else StepClass.MALFORMED)
        worst = next((kind for kind in kinds if kind is not StepClass.RIGHT), StepClass.RIGHT)
        ok = ok and worst is StepClass.RIGHT
        verdicts.append(StepVerdict(worst if kinds else StepClass.MALFORMED, ok and bool(kinds)))
    return verdicts


def code_ends(text: str) -> bool:
    """Is a step the code of a block whose opening was in the step before?"""
    return text.endswith(CLOSING_FENCE) or text.startswith("def ")


def same_program(code: str, expected: str) -> bool:
    """Is the code of a block this program, letter by letter? What comes after the block does not count."""
    return code.partition("```")[0].strip("\n") == expected
