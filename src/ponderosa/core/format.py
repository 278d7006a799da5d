"""Step formats: how a question and its steps become a prompt, and how a completion becomes a step.

The code-augmented chain of thought is that of rStar-Math (arXiv 2501.04519, section 3.2 and figure 2): each step is a
thought as a Python comment with the code for it. Layout:

    <code>
    # Step 1: ...
    x = 12 * 7
    <end_of_step>
    # Now print the final answer
    print(x)
    <end_of_code>
    <output>84<end_of_output>
    <answer>... \\boxed{84}.
    <end_of_answer>
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar, Protocol

from ponderosa.core.outcome import Ended, Outcome
from ponderosa.core.protocols import Completion, Prompt

CODE = "<code>"
END_OF_STEP = "<end_of_step>"
END_OF_CODE = "<end_of_code>"
OUTPUT = "<output>"
END_OF_OUTPUT = "<end_of_output>"
ANSWER = "<answer>"
END_OF_ANSWER = "<end_of_answer>"
MARKERS = (CODE, END_OF_STEP, END_OF_CODE, OUTPUT, END_OF_OUTPUT, ANSWER, END_OF_ANSWER)

USER = "<|user|>:"
ASSISTANT = "<|assistant|>: Let's think step by step and solve the problem with code."


class StepKind(StrEnum):
    """What a step asks of the search."""

    CODE = "code"
    """Run the program so far; it must not fail."""
    CODE_END = "code_end"
    """Run the program so far and show its output to the policy."""
    TEXT = "text"
    """Nothing: it is words alone, and the trajectory goes on."""
    ANSWER = "answer"
    """The trajectory ends with this answer."""
    END = "end"
    """The trajectory ends; all of its text is the answer."""
    MALFORMED = "malformed"
    """The trajectory ends without one."""


@dataclass(frozen=True, slots=True)
class ParsedStep:
    """A completion as a step. `answer` is set where `kind` is ANSWER; `outcome` where the step ends its trajectory."""

    text: str
    kind: StepKind
    answer: str | None = None

    @property
    def outcome(self) -> Outcome | None:
        ended = {
            StepKind.ANSWER: Outcome.ANSWERED,
            StepKind.END: Outcome.ANSWERED,
            StepKind.MALFORMED: Outcome.MALFORMED,
        }
        return ended.get(self.kind)


class StepFormat(Protocol):
    """The interface of a step format. Formats are stateless."""

    @property
    def in_words(self) -> bool:
        """Are steps words, among which sub-questions and second thoughts have a place?"""
        ...

    @property
    def step_stops(self) -> tuple[str, ...]:
        """Where a completion of one step stops."""
        ...

    @property
    def chain_stops(self) -> tuple[str, ...]:
        """Where a completion of as many steps as need no execution stops."""
        ...

    def render(self, question: str, steps: Sequence[str] = ()) -> Prompt: ...

    def parse(self, completion: Completion) -> ParsedStep:
        """The step that a completion is. Where `ended` is STOP and `stop` None, the server did not say which."""
        ...

    def split(self, completion: Completion) -> list[ParsedStep]:
        """The steps of a completion that was sampled with `chain_stops`; at least one."""
        ...

    def program(self, steps: Sequence[str]) -> str:
        """The Python program of all steps so far."""
        ...

    def with_output(self, step: str, output: str) -> str:
        """The step's text with the output of its execution."""
        ...

    def has_output(self, step: str) -> bool:
        """Was the step's text made by `with_output`?"""
        ...


@dataclass(frozen=True, slots=True)
class CodeFormat:
    """rStar-Math's code-augmented format.

    `max_output` characters of a program's output are shown, the middle cut out of what is longer.
    """

    max_output: int = 1024
    few_shot: str = ""
    in_words: ClassVar[bool] = False

    @property
    def step_stops(self) -> tuple[str, ...]:
        return (END_OF_STEP, END_OF_CODE, END_OF_ANSWER)

    @property
    def chain_stops(self) -> tuple[str, ...]:
        return (END_OF_CODE, END_OF_ANSWER)

    def render(self, question: str, steps: Sequence[str] = ()) -> Prompt:
        return Prompt(question, f"{self.few_shot}{USER}\n{question}\n{ASSISTANT}", "".join(steps))

    def parse(self, completion: Completion) -> ParsedStep:
        if completion.ended is Ended.STOP and completion.stop is None:
            completion = replace(completion, stop=_stop(completion.text))
        text = completion.text + (completion.stop or "")
        if not completion.text.strip() or OUTPUT in completion.text or END_OF_OUTPUT in completion.text:
            return ParsedStep(text, StepKind.MALFORMED)  # output is the executor's to write, never the policy's
        answer = boxed_answer(completion.text)
        if answer is not None:
            return ParsedStep(text, StepKind.ANSWER, answer) if answer else ParsedStep(text, StepKind.MALFORMED)
        if completion.ended is Ended.STOP:
            if completion.stop == END_OF_STEP:
                return ParsedStep(text, StepKind.CODE)
            if completion.stop == END_OF_CODE:
                return ParsedStep(text, StepKind.CODE_END)
        return ParsedStep(text, StepKind.MALFORMED)

    def split(self, completion: Completion) -> list[ParsedStep]:
        *complete, last = completion.text.split(END_OF_STEP)
        parsed = [self.parse(Completion(text, Ended.STOP, END_OF_STEP)) for text in complete]
        # The text ended right after a step's marker: there is no further step, unless the end itself is the news.
        if last.strip() or completion.ended is Ended.STOP or not complete:
            parsed.append(self.parse(Completion(last, completion.ended, completion.stop)))
        elif parsed[-1].outcome is None:
            parsed[-1] = ParsedStep(parsed[-1].text, StepKind.MALFORMED)
        return up_to_end(parsed)

    def program(self, steps: Sequence[str]) -> str:
        text = _OUTPUT.sub("", "".join(steps))
        for marker in (CODE, END_OF_STEP, END_OF_CODE):
            text = text.replace(marker, "")
        return text.strip("\n")

    def with_output(self, step: str, output: str) -> str:
        output = output.strip()
        if len(output) > self.max_output:
            half = self.max_output // 2
            output = f"{output[:half]}...{output[-half:]}"
        return f"{step}\n{OUTPUT}{output}{END_OF_OUTPUT}"

    def has_output(self, step: str) -> bool:
        return step.endswith(END_OF_OUTPUT)


def _stop(text: str) -> str:
    """Where a step stopped, for servers that do not say: programs print at their end, and answers are in a box."""
    if boxed_answer(text) is not None:
        return END_OF_ANSWER
    return END_OF_CODE if re.search(r"^\s*print\(", text, re.MULTILINE) else END_OF_STEP


def up_to_end(steps: list[ParsedStep]) -> list[ParsedStep]:
    """The steps up to the first that ends its trajectory, if one does."""
    end = next((i for i, step in enumerate(steps) if step.outcome is not None), len(steps))
    return steps[: end + 1]


def plain_text(step: str) -> str:
    """A step as anybody may read it: without our markers and empty lines, and what it printed after `Output: `."""
    text = step.replace(OUTPUT, "Output: ")
    for marker in MARKERS:
        text = text.replace(marker, "")
    return "\n".join(line.rstrip() for line in text.strip().split("\n") if line.strip())


_OUTPUT = re.compile(re.escape(OUTPUT) + ".*?" + re.escape(END_OF_OUTPUT), re.DOTALL)
_BOXED = "\\boxed{"


def boxed_answer(text: str) -> str | None:
    """What the last `\\boxed{...}` holds, braces balanced, stripped; None without a box; empty if it holds nothing.

    An unclosed box counts as empty: its content may have been cut off.
    """
    start = text.rfind(_BOXED)
    if start < 0:
        return None
    depth = 1
    begin = start + len(_BOXED)
    for i in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return text[begin:i].strip()
    return ""
