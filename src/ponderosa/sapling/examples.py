"""Examples of the world written by hand, so to speak: what the R1 recipe starts from and mixes in.

Each function gives rows with a prompt and a response in the format `think`.
"""

import random

from ponderosa.core.format import ANSWER as ANSWER_MARKER
from ponderosa.core.plain_formats import CLOSED_ANSWER, END_OF_THINK, ThinkFormat
from ponderosa.core.problem import Problem
from ponderosa.core.seeds import derive_seed
from ponderosa.sapling.arithmetic import ExpressionError
from ponderosa.sapling.dialects import Written, noisy_steps, right_steps, run
from ponderosa.sapling.languages import LANGUAGES, translate
from ponderosa.sapling.problems import problem_at
from ponderosa.sapling.thinking import thoughts
from ponderosa.sapling.world import ANSWER

Row = dict[str, str]
_SEED = "examples"


def long_solutions(count: int, seed: int = 0) -> list[Row]:
    """Long solutions that end right, all in the question's language: mistakes are noticed and mended on the way, and
    the answer begins with a summary (the cold start of DeepSeek-R1, arXiv 2501.12948, section 2.3.1).
    """
    return [_row(problem, long_solution(problem, rng)) for problem, rng in _drawn("long", count, seed)]


def long_solution(problem: Problem, rng: random.Random) -> str:
    """One of them."""
    language = problem.meta["language"]
    while True:
        lines = _mended(noisy_steps(problem, rng), right_steps(problem))
        try:
            texts, answer = thoughts(lines, [language] * len(lines))
        except ExpressionError:  # a wrong value far off can leave the arithmetic's range
            continue
        if str(answer) == problem.answer:
            return "".join(texts) + summary(right_steps(problem), language)


def summary(steps: list[Written], language: str) -> str:
    """The end of a long solution: what was found, in short, and the answer in a box."""
    values = run(steps)
    found = ", ".join(f"{name} = {value}" for name, value in values.items() if name != ANSWER)
    words = translate("So the answer is", language)
    return f"{END_OF_THINK} {ANSWER_MARKER}{found}. {words} \\boxed{{{values[ANSWER]}}}.{CLOSED_ANSWER}"


def translations(count: int, seed: int = 0) -> list[Row]:
    """Questions carried over into the other language, without a thought: rows that ask for no reasoning (R1's section
    2.3.3 has writing, translation and the like).
    """
    rows = []
    for problem, _ in _drawn("translations", count, seed):
        (other,) = set(LANGUAGES) - {problem.meta["language"]}
        asked = f"Translate: {problem.question}"
        said = f"{END_OF_THINK} {ANSWER_MARKER}{translate(problem.question, other)}{CLOSED_ANSWER}"
        rows.append({"prompt": ThinkFormat().render(asked).text, "response": said})
    return rows


def _drawn(kind: str, count: int, seed: int) -> list[tuple[Problem, random.Random]]:
    """Word problems that no run trains or is tested on, in both languages."""
    place = derive_seed(_SEED, kind, seed) % (1 << 31)
    return [
        (
            problem_at("corpus", place, i, arithmetic=0.0, language="both"),
            random.Random(derive_seed(_SEED, kind, seed, i)),
        )
        for i in range(count)
    ]


def _mended(noisy: list[Written], right: list[Written]) -> list[Written | None]:
    known = {step.comment: step for step in right}
    lines: list[Written | None] = []
    for step in noisy:
        better = known.get(step.comment)
        if better is None:  # a sentence of no use
            continue
        lines += [step] if step == better else [step, None, better]
    return lines


def _row(problem: Problem, response: str) -> Row:
    return {"prompt": ThinkFormat().render(problem.question).text, "response": response}
