"""All step formats by name."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ponderosa.core.errors import PonderosaError
from ponderosa.core.format import (
    ANSWER,
    CODE,
    END_OF_ANSWER,
    END_OF_CODE,
    END_OF_OUTPUT,
    OUTPUT,
    CodeFormat,
    StepFormat,
)
from ponderosa.core.official_format import OfficialFormat
from ponderosa.core.plain_formats import (
    BLANK_LINE,
    CLOSED_ANSWER,
    CLOSING_FENCE,
    END_OF_THINK,
    OUTPUT_FENCE,
    PROOF_INSTRUCTION,
    THINK,
    FencedFormat,
    ProgramFormat,
    TextFormat,
    ThinkFormat,
)

PROOF, PROGRAM, PROGRAM_STEPS = "proof", "program", "program/steps"
"""The formats of proofs, in which all of the text is the answer, and of programs, which are the answer."""

FORMATS: dict[str, Callable[[str], StepFormat]] = {
    "rstar": lambda few_shot: CodeFormat(few_shot=few_shot),
    "text": lambda few_shot: TextFormat(few_shot=few_shot),
    PROOF: lambda few_shot: TextFormat(PROOF_INSTRUCTION, few_shot, whole=True),
    "fenced": lambda few_shot: FencedFormat(few_shot=few_shot),
    "think": lambda few_shot: ThinkFormat(few_shot=few_shot),
    "think/paragraphs": lambda few_shot: ThinkFormat(few_shot=few_shot, divider=BLANK_LINE),
    PROGRAM: lambda few_shot: ProgramFormat(few_shot=few_shot),
    PROGRAM_STEPS: lambda few_shot: ProgramFormat(few_shot=few_shot, paragraphs=True),
    "rstar-official": lambda few_shot: OfficialFormat(few_shot=few_shot),
    "rstar-official/bootstrap": lambda few_shot: OfficialFormat(bootstrap=True, few_shot=few_shot),
}
"""Name -> a function of the few-shot examples, a text that stands before every question."""


def make_format(name: str, few_shot: str = "") -> StepFormat:
    """The step format of that name. Raises `PonderosaError` that names those there are."""
    if name not in FORMATS:
        raise PonderosaError(f"there is no step format {name}: choose one of {', '.join(FORMATS)}")
    return FORMATS[name](few_shot)


EXECUTED = re.compile(
    rf"(\n?{re.escape(OUTPUT)}.*?{re.escape(END_OF_OUTPUT)}|\n{OUTPUT_FENCE}.*?^{CLOSING_FENCE}\n)",
    re.DOTALL | re.MULTILINE,
)
"""What the executor wrote into a text, in the way of any format that shows it, as the one group: never the policy's to
write."""


@dataclass(frozen=True, slots=True)
class Tags:
    """What marks the parts of a whole solution in a format: each tag of `order` once, in that order.

    What is said to the reader follows the tag `answer`. With `opened` the prompt ends: it is not the policy's to write.
    With `closed` a solution begins that has no reasoning.
    """

    order: tuple[str, ...]
    answer: str
    opened: str = ""
    closed: str = ""

    def hold(self, text: str) -> bool:
        """Does what a policy wrote, `text`, have every tag exactly once, and in order?"""
        text = self.opened + text
        places = [text.find(tag) for tag in self.order]
        return places == sorted(places) and all(text.count(tag) == 1 for tag in self.order)

    def parts(self, text: str) -> tuple[str, str]:
        """(the reasoning, the answer) without tags; the answer is empty where its tag is missing."""
        reasoning, _, answer = text.partition(self.answer)
        for tag in self.order:
            reasoning, answer = reasoning.replace(tag, ""), answer.replace(tag, "")
        return reasoning, answer

    def alone(self, answer: str) -> str:
        """A solution that says the answer and has no reasoning."""
        return f"{self.closed}{self.answer}{answer}{self.order[-1]}"


_THINK = Tags((THINK, END_OF_THINK, ANSWER, CLOSED_ANSWER), ANSWER, opened=THINK, closed=f"{END_OF_THINK} ")
TAGS: dict[str, Tags] = {
    "rstar": Tags((CODE, END_OF_CODE, OUTPUT, END_OF_OUTPUT, ANSWER, END_OF_ANSWER), ANSWER),
    "think": _THINK,
    "think/paragraphs": _THINK,
}
"""Of the formats that have any, by name."""


def answer_alone(format: str, steps: Sequence[str], answer: str | None) -> str | None:
    """What a solution in the format of that name says to its reader, as a solution without reasoning: between the tags
    for it, or, in a format without tags, its last step. None for one that came to no `answer`.
    """
    if answer is None:
        return None
    if format not in TAGS:
        return steps[-1]
    tags = TAGS[format]
    return tags.alone(tags.parts("".join(steps))[1].strip() or answer)
