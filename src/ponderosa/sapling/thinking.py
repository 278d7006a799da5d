"""The dialect `think`: reasoning in words and numbers between think tags, in either of the world's languages.

A line restates its sentence, decides, and computes by itself, one operation at a time:

    Next to Ben, Ann has 4 more apples. So ben = ann - 4 = 12 - 4 = 8.

Some wrong lines are noticed: a line takes the one before it back, and the right one follows. Mostly the thinking is in
the question's language; else it is in the other one, or changes on the way.
"""

import ast
import random
import re
from collections.abc import Iterator, Mapping
from functools import reduce

from ponderosa.core.format import ANSWER as ANSWER_MARKER
from ponderosa.core.plain_formats import CLOSED_ANSWER, END_OF_THINK, ThinkFormat
from ponderosa.core.problem import Problem
from ponderosa.sapling.arithmetic import ExpressionError, formula
from ponderosa.sapling.dialects import PROMPT_WEIGHT, SOLUTION_WEIGHT, Segment, Written, noisy_steps, right_steps
from ponderosa.sapling.languages import LANGUAGES, translate
from ponderosa.sapling.world import ANSWER

SO = "So"
SECOND_THOUGHT = "Wait, that is not right."
NOTICED = 0.1
"""Share of the wrong lines that are taken back."""
RESULT_WEIGHT = 3.0
"""Loss weight of what is computed: few tokens, which a small model is slow to get right."""
OTHER_LANGUAGE, MIXED = 0.14, 0.14
"""Share of the solutions whose thinking is in the language that is not the question's, or changes midway."""


def think(problem: Problem, rng: random.Random) -> list[Segment]:
    """A solution that is thought through between tags."""
    while True:
        lines = _noticed(noisy_steps(problem, rng), right_steps(problem), rng)
        try:
            return think_document(problem, lines, _spoken(problem, len(lines), rng))
        except ExpressionError:  # a wrong value far off can leave the arithmetic's range
            continue


def think_document(problem: Problem, lines: list[Written | None], languages: list[str]) -> list[Segment]:
    """The document of a problem with these lines, each in its language; None takes the line before it back.

    Raises `ExpressionError`.
    """
    texts, answer = thoughts(lines, languages)
    return [
        Segment(ThinkFormat().render(problem.question).text, PROMPT_WEIGHT),
        *(segment for text in texts for segment in _weighed(text)),
        Segment(closing(answer), SOLUTION_WEIGHT),
    ]


def _weighed(line: str) -> Iterator[Segment]:
    """A line in two: what is read and decided, and what is computed."""
    said, *chain = line.split(" = ")
    copied = 2 if chain and _NAME.search(chain[0]) else 1  # the expression; and the same with numbers
    read, results = " = ".join([said, *chain[:copied]]), chain[copied:]
    if results:
        yield Segment(f"{read} =", SOLUTION_WEIGHT)
        yield Segment(f" {' = '.join(results)}", RESULT_WEIGHT)
    else:
        yield Segment(read, SOLUTION_WEIGHT)


_NAME = re.compile(r"(?!(?:max|min|gcd|lcm)\()[a-z]{2,}")


def thoughts(lines: list[Written | None], languages: list[str]) -> tuple[list[str], int]:
    """The texts of the lines, and the value of the answer. Raises `ExpressionError`."""
    values: dict[str, int] = {}
    texts = []
    for line, language in zip(lines, languages, strict=True):
        if line is None:
            texts.append(translate(SECOND_THOUGHT, language) + "\n")
            continue
        chain = computed(line.expression, values)
        values[line.variable] = formula(line.expression)(values)
        said, so = translate(line.comment, language), translate(SO, language)
        texts.append(f"{said} {so} {line.variable} = {chain}.\n")
    return texts, values[ANSWER]


def closing(answer: int | str) -> str:
    """The last step: the end of the thinking, and the answer."""
    return f"{END_OF_THINK} {ANSWER_MARKER}{answer}{CLOSED_ANSWER}"


def _noticed(noisy: list[Written], right: list[Written], rng: random.Random) -> list[Written | None]:
    known = {step.comment: step for step in right}
    lines: list[Written | None] = []
    for step in noisy:
        lines.append(step)
        better = known.get(step.comment)  # none for a sentence of no use: what takes it back is to pass over it
        if better is not None and step != better and rng.random() < NOTICED:
            lines += [None, better]
    return lines


def _spoken(problem: Problem, count: int, rng: random.Random) -> list[str]:
    """The language of each line."""
    own = problem.meta["language"]
    (other,) = set(LANGUAGES) - {own}
    draw = rng.random()
    if draw < OTHER_LANGUAGE:
        return [other] * count
    if draw < OTHER_LANGUAGE + MIXED and count > 1:
        change = rng.randrange(1, count)
        first, then = rng.sample([own, other], 2)
        return [first] * change + [then] * (count - change)
    return [own] * count


def computed(expression: str, values: Mapping[str, int]) -> str:
    """An expression, then the same with numbers, then one operation less at a time, joined by ` = `; a value at last.

    Products of long numbers are taken apart, as on paper: 48 * 75 = 3360 + 240. Raises `ExpressionError`.
    """
    formula(expression)(values)  # all of it is in range
    texts = [expression.replace("math.", "")]
    tree = _Substituted(values).visit(ast.parse(texts[0], mode="eval").body)
    for form in _forms(tree):
        text = ast.unparse(form)
        if text != texts[-1]:
            texts.append(text)
    return " = ".join(texts)


def _forms(tree: ast.expr) -> Iterator[ast.expr]:
    yield tree
    while not isinstance(tree, ast.Constant) and not _is_negative(tree):
        step = _Reduced()
        tree = step.visit(tree)
        yield tree


def _number(value: int) -> ast.expr:
    return ast.Constant(value) if value >= 0 else ast.UnaryOp(ast.USub(), ast.Constant(-value))


def _is_negative(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant)


def _value(node: ast.expr) -> int | None:
    """The number that a node is, or None."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant) and isinstance(node.operand.value, int):
        return -node.operand.value
    return None


class _Substituted(ast.NodeTransformer):
    """Variables by their values."""

    def __init__(self, values: Mapping[str, int]):
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return _number(self.values[node.id]) if node.id in self.values else node


class _Reduced(ast.NodeTransformer):
    """One operation less: the first one, from the left and from inside, whose operands are all numbers."""

    def __init__(self) -> None:
        self.done = False

    def visit(self, node: ast.AST) -> ast.AST:
        if self.done or not isinstance(node, ast.BinOp | ast.UnaryOp | ast.Call):
            return node
        operands = node.args if isinstance(node, ast.Call) else None
        if isinstance(node, ast.BinOp):
            operands = [node.left, node.right]
        elif isinstance(node, ast.UnaryOp):
            operands = [node.operand]
        assert operands is not None
        known = [_value(operand) for operand in operands]
        if all(value is not None for value in known) and not (isinstance(node, ast.UnaryOp) and self._plain(node)):
            self.done = True
            return self._reduce(node, [value for value in known if value is not None])
        self.generic_visit(node)
        if isinstance(node, ast.UnaryOp) and self.done and (value := _value(node.operand)) is not None:
            return _number(-value)  # a sign is no operation of its own
        return node

    @staticmethod
    def _plain(node: ast.UnaryOp) -> bool:
        return isinstance(node.operand, ast.Constant)

    @staticmethod
    def _reduce(node: ast.expr, known: list[int]) -> ast.expr:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) and min(known) >= 10:
            left, right = known
            digits = str(right)
            places = [int(digit) * 10 ** (len(digits) - 1 - i) for i, digit in enumerate(digits) if digit != "0"]
            first, *rest = [_number(left * place) for place in places]
            if rest:
                return reduce(lambda so_far, part: ast.BinOp(so_far, ast.Add(), part), rest, first)
        text = ast.unparse(node)
        for name in ("gcd", "lcm"):
            text = text.replace(f"{name}(", f"math.{name}(")
        return _number(formula(text)({}))
