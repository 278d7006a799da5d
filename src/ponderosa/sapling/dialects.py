"""The dialects of the pre-training corpus: how a problem and a solution of it are written down.

As on the web, the corpus holds right and wrong ways of solving side by side. How often a sentence is solved wrongly
depends on its cell (kind, phrasing) alone, so a model that meets new problems can learn which ways are right. Nothing
else is noisy: sentences are copied, names and numbers bound, without a slip.

A dialect is a function (problem, rng) -> segments; here is `code`. `corpora.py` names all, and what a corpus mixes.
"""

import hashlib
import random
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

from ponderosa.core.format import (
    ANSWER as ANSWER_MARKER,
)
from ponderosa.core.format import (
    ASSISTANT,
    END_OF_ANSWER,
    END_OF_CODE,
    END_OF_OUTPUT,
    END_OF_STEP,
    OUTPUT,
    USER,
)
from ponderosa.core.format import (
    CODE as CODE_MARKER,
)
from ponderosa.core.problem import Problem
from ponderosa.sapling.arithmetic import ExpressionError, formula
from ponderosa.sapling.families import FAMILIES
from ponderosa.sapling.languages import translate
from ponderosa.sapling.world import ANSWER, KINDS, Sentence, sentences

PROMPT_WEIGHT, SOLUTION_WEIGHT, OUTPUT_WEIGHT = 0.1, 1.0, 0.0
"""Loss weights: reading what is asked helps a little, what the executor writes is not the model's to predict."""

RARE = (0.02, 0.10)
COMMON = (0.25, 0.40)
PREVALENT = (0.56, 0.68)
PREVALENT_SHARE = 0.26
"""Range of the wrong ways' rate in a cell of an easy kind, of a trap, and of the share of traps where most err."""


class Segment(NamedTuple):
    """A piece of a document and the weight of its tokens in the loss."""

    text: str
    weight: float


Dialect = Callable[[Problem, random.Random], list[Segment]]


@cache
def wrong_rate(kind: str, phrasing: int) -> float:
    """How often the corpus solves a sentence of this cell in a wrong way."""
    if not KINDS[kind].wrong:
        return 0.0
    digest = hashlib.sha256(f"wrong:{kind}:{phrasing}".encode()).digest()
    which, where = digest[0] / 256, digest[1] / 255
    low, high = (PREVALENT if which < PREVALENT_SHARE else COMMON) if KINDS[kind].trap else RARE
    return low + (high - low) * where


class Written(NamedTuple):
    """One step of a solution: the sentence it restates, the variable it assigns and the expression."""

    comment: str
    variable: str
    expression: str

    @property
    def code(self) -> str:
        return f"{self.variable} = {self.expression}"


def code(problem: Problem, rng: random.Random) -> list[Segment]:
    """rStar-Math's code-augmented chain of thought, with the executor's output."""
    return code_document(problem, noisy_steps(problem, rng))


def code_document(problem: Problem, steps: list[Written]) -> list[Segment]:
    """The document of a problem with these steps; the output and the answer are what the steps compute."""
    return document_of(problem, step_texts(steps), str(run(steps)[ANSWER]))


def document_of(problem: Problem, texts: list[str], output: str) -> list[Segment]:
    """The document of code steps that print `output`, which is the answer."""
    return [
        Segment(f"{USER}\n{problem.question}\n{ASSISTANT}", PROMPT_WEIGHT),
        Segment("".join(texts), SOLUTION_WEIGHT),
        Segment(f"\n{OUTPUT}{output}{END_OF_OUTPUT}", OUTPUT_WEIGHT),
        Segment(f"\n{ANSWER_MARKER}The answer is \\boxed{{{output}}}.\n{END_OF_ANSWER}", SOLUTION_WEIGHT),
    ]


def step_texts(steps: list[Written], printed: str = ANSWER) -> list[str]:
    """The texts of the code steps, markers included; the last one prints the answer, or another expression."""
    texts = []
    for i, step in enumerate(steps):
        imports = "import math\n" if "math." in step.expression else ""
        opening = CODE_MARKER if i == 0 else ""
        texts.append(f"{opening}\n# Step {i + 1}: {step.comment}\n{imports}{step.code}\n{END_OF_STEP}")
    return [*texts, f"\n# Now print the final answer\nprint({printed})\n{END_OF_CODE}"]


def run(steps: list[Written]) -> dict[str, int]:
    """The variables' values after the steps. Raises `ExpressionError`."""
    values: dict[str, int] = {}
    for step in steps:
        values[step.variable] = formula(step.expression)(values)
    return values


def noisy_steps(problem: Problem, rng: random.Random) -> list[Written]:
    """A solution as the corpus has it: each sentence wrong as often as its cell says."""
    while True:
        steps = list(_noisy_steps(problem, rng))
        try:
            run(steps)
        except ExpressionError:  # a wrong value far off can leave the arithmetic's range
            continue
        return steps


def right_steps(problem: Problem) -> list[Written]:
    """The solution that solves every sentence in the right way."""
    if "ways" in problem.meta:
        return [Written(statement(problem), ANSWER, problem.meta["ways"][0])]
    return [written(s, KINDS[s.kind].right) for s in sentences(problem) if not s.is_no_op]


def written(sentence: Sentence, way: str) -> Written:
    """The step that solves a sentence in one of its kind's ways."""
    return Written(sentence.text, sentence.entity, sentence.code(way))


def _noisy_steps(problem: Problem, rng: random.Random) -> Iterator[Written]:
    if "ways" in problem.meta:
        right, *wrong = problem.meta["ways"]
        errs = wrong and rng.random() < FAMILIES[problem.meta["family"]].wrong_rate
        yield Written(statement(problem), ANSWER, rng.choice(wrong) if errs else right)
        return
    for sentence in sentences(problem):
        kind = KINDS[sentence.kind]
        if rng.random() < wrong_rate(*sentence.cell):
            yield written(sentence, rng.choice(kind.wrong))
        elif not sentence.is_no_op:  # the right way with a no-op is to pass over it
            yield written(sentence, kind.right)


def statement(problem: Problem) -> str:
    """The question of an arithmetic family in English, less its choices and its remark on how to answer."""
    return translate(problem.question, "en").split("\n(A)", 1)[0].split(" Give only", 1)[0]
