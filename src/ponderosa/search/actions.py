"""The five actions of rStar's mutual reasoning, and how each is put to a policy (arXiv 2408.06195, section 3.2).

Steps, and the rest of a solution, are asked for as in any search, in the format's own words. Sub-questions, their
answers and a rephrased question are words, and take a format whose steps are.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from ponderosa.core import Prompt, Tree
from ponderosa.core.plain_formats import BLANK_LINE

SUBQUESTION = "Sub-question:"
ANSWER = "Answer:"
FINAL = "Now we can answer the question"
DECOMPOSE = (
    f"Break the problem into sub-questions, one a paragraph: a line '{SUBQUESTION} ...', then a line '{ANSWER} ...' "
    "that ends with 'The answer is ...'. When the problem itself can be answered, its sub-question begins "
    f"'{FINAL}', and the final answer stands in \\boxed{{}}."
)
REPHRASE = "Say the problem above in other words: list what is given, one condition a line, then state the question."


class Action(StrEnum):
    """What the policy may be asked for; A1 to A5 in the paper."""

    STEP = "step"
    """A1: one more step."""
    FINISH = "finish"
    """A2: all that is left."""
    SUBQUESTION = "subquestion"
    """A3: the next sub-question with its answer."""
    REANSWER = "reanswer"
    """A4: another answer to the sub-question, reasoned out by itself."""
    REPHRASE = "rephrase"
    """A5: the question in other words."""


IN_WORDS = (Action.SUBQUESTION, Action.REANSWER, Action.REPHRASE)
"""Actions that need a format whose steps are words."""

NEXT: Mapping[str, tuple[Action, ...]] = {
    "": (Action.STEP, Action.FINISH, Action.SUBQUESTION, Action.REPHRASE),
    Action.STEP: (Action.STEP, Action.FINISH),
    Action.SUBQUESTION: (Action.STEP, Action.FINISH, Action.SUBQUESTION, Action.REANSWER),
    Action.REANSWER: (Action.STEP, Action.FINISH, Action.SUBQUESTION),
    Action.REPHRASE: (Action.STEP, Action.FINISH, Action.SUBQUESTION),
}
"""What may follow on an action; on the question itself under ""."""


def context(tree: Tree, node: int) -> tuple[str, tuple[str, ...]]:
    """The question, as it was rephrased on the way to `node`, and the steps, answers that were given anew in place."""
    question = tree.question
    steps: list[str] = []
    for record in map(tree.nodes.__getitem__, tree.path(node)):
        if record.action == Action.REPHRASE:
            question = record.text
            continue
        if record.action == Action.REANSWER:
            steps.pop()
        steps.append(record.text)
    return question, tuple(steps)


def ask_subquestion(question: str, steps: Sequence[str], few_shot: str = "") -> Prompt:
    """To be continued by a sub-question, up to the end of the line."""
    asked = f"{question}{BLANK_LINE}{DECOMPOSE}"
    return Prompt(asked, f"{few_shot}{asked}{BLANK_LINE}", f"{''.join(steps)}{SUBQUESTION}")


def ask_answer(question: str, steps: Sequence[str], subquestion: str, few_shot: str = "") -> Prompt:
    """To be continued by the sub-question's answer, up to the end of the paragraph."""
    before = ask_subquestion(question, steps, few_shot)
    return Prompt(before.question, before.head, f"{before.body} {subquestion}\n{ANSWER}")


def ask_rephrased(question: str) -> Prompt:
    """To be continued by the question in other words."""
    asked = f"{question}{BLANK_LINE}{REPHRASE}"
    return Prompt(asked, f"{asked}{BLANK_LINE}")


def answered(subquestion: str, answer: str) -> str:
    """The step of a sub-question and its answer."""
    return f"{SUBQUESTION} {subquestion.strip()}\n{ANSWER} {answer.strip()}{BLANK_LINE}"


def subquestion_of(step: str) -> str:
    """The sub-question of a step made by `answered`."""
    return step.removeprefix(SUBQUESTION).partition(f"\n{ANSWER}")[0].strip()
