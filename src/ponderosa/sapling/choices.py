"""The world's problems as multiple choice: the right value, values that wrong ways give, and none of these.

The dialect solves them with the steps of `code`, whose last one looks the value up among the choices and prints its
letter: to find by itself what stands beside a value is more than a small model learns (`docs/log.md`).
"""

import random
from collections.abc import Iterator
from dataclasses import replace

from ponderosa.core.problem import Kind, Problem
from ponderosa.core.seeds import derive_seed
from ponderosa.sapling.arithmetic import ExpressionError
from ponderosa.sapling.dialects import (
    Segment,
    Written,
    document_of,
    noisy_steps,
    right_steps,
    run,
    step_texts,
    written,
)
from ponderosa.sapling.world import ANSWER, KINDS, sentences

VALUES = 4
NONE = "none of these"
"""The last choice, for a value that is not listed; never the right one."""


def choice_problem(problem: Problem) -> Problem:
    """The problem with choices; its answer is a letter, its value the text of that choice. A pure function."""
    assert problem.answer is not None
    rng = random.Random(derive_seed("choices", problem.id))
    wrong = list(dict.fromkeys(value for value in _wrong_values(problem) if value != int(problem.answer)))
    chosen = rng.sample(wrong, min(len(wrong), VALUES - 1))
    while len(chosen) < VALUES - 1:  # few ways: numbers near by
        near = int(problem.answer) + rng.choice((-10, -2, -1, 1, 2, 10))
        if near not in chosen and near != int(problem.answer):
            chosen.append(near)
    values = [problem.answer, *map(str, chosen)]
    rng.shuffle(values)
    texts = [*values, NONE]
    return replace(
        problem,
        id=f"choice:{problem.id}",
        question="\n".join([problem.question, *(f"({letter(i)}) {text}" for i, text in enumerate(texts))]),
        answer=letter(texts.index(problem.answer)),
        kind=Kind.CHOICE,
        meta={**problem.meta, "choices": texts},
    )


def letter(place: int) -> str:
    """A for the first choice, B for the second."""
    return chr(ord("A") + place)


def chosen_letter(problem: Problem, value: int) -> str:
    """The letter of a value, or that of none."""
    texts = problem.meta["choices"]
    return letter(texts.index(str(value)) if str(value) in texts else texts.index(NONE))


def lookup(problem: Problem) -> str:
    """The Python expression of the letter that the answer's value has, or of that of none."""
    texts = problem.meta["choices"]
    letters = ", ".join(f'{text}: "{letter(i)}"' for i, text in enumerate(texts) if text != NONE)
    return f'{{{letters}}}.get({ANSWER}, "{letter(texts.index(NONE))}")'


def choice(problem: Problem, rng: random.Random) -> list[Segment]:
    """Code steps, and the executor's output, which is the letter of a choice."""
    return choice_document(problem, noisy_steps(problem, rng))


def choice_document(problem: Problem, steps: list[Written]) -> list[Segment]:
    """The document of a problem of choices with these steps."""
    return document_of(problem, step_texts(steps, lookup(problem)), chosen_letter(problem, run(steps)[ANSWER]))


def _wrong_values(problem: Problem) -> Iterator[int]:
    """What the solutions with one wrong way give."""
    for steps in _one_wrong(problem):
        try:
            yield run(steps)[ANSWER]
        except ExpressionError:
            continue


def _one_wrong(problem: Problem) -> Iterator[list[Written]]:
    steps = right_steps(problem)
    if "ways" in problem.meta:
        yield from ([steps[0]._replace(expression=way)] for way in problem.meta["ways"][1:])
        return
    read = [s for s in sentences(problem) if not s.is_no_op]
    for i, sentence in enumerate(read):
        for way in KINDS[sentence.kind].wrong:
            yield [*steps[:i], written(sentence, way), *steps[i + 1 :]]
