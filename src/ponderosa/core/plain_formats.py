"""Step formats for models that know nothing of our markers: plain text, thinking between tags, text with fenced Python
blocks, programs.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from ponderosa.core.format import ANSWER, ParsedStep, StepKind, boxed_answer, up_to_end
from ponderosa.core.outcome import Ended
from ponderosa.core.protocols import Completion, Prompt

BLANK_LINE = "\n\n"
TEXT_INSTRUCTION = "Think step by step, with a blank line between steps. Put your final answer in \\boxed{}."
PROOF_INSTRUCTION = (
    "Think step by step, with a blank line between steps, and stop when you are done. "
    "All that you write is your answer."
)
FENCED_INSTRUCTION = (
    "Solve the problem step by step. Where calculation helps, write Python in a ```python block that prints what you "
    "need; its output will be shown to you. Put your final answer in \\boxed{}."
)
PROGRAM_INSTRUCTION = (
    "First think about how to solve this, in words. Then write the whole program in one ```python block, and nothing "
    "after it."
)

THINK_INSTRUCTION = (
    "First think, a thought a line, between <think> and </think>. Then give your answer, and nothing else, between "
    "<answer> and </answer>."
)


class NothingRun:
    """What a step format says of execution where its steps are never run."""

    __slots__ = ()

    def program(self, steps: Sequence[str]) -> str:
        return ""

    def with_output(self, step: str, output: str) -> str:
        return step

    def has_output(self, step: str) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class TextFormat(NothingRun):
    """Steps are paragraphs, divided by blank lines. Nothing is run. The step with a box is the last; where the `whole`
    text is the answer, as of proofs, that at which the text ends.
    """

    instruction: str = TEXT_INSTRUCTION
    few_shot: str = ""
    whole: bool = False
    in_words: ClassVar[bool] = True

    @property
    def step_stops(self) -> tuple[str, ...]:
        return (BLANK_LINE,)

    @property
    def chain_stops(self) -> tuple[str, ...]:
        return ()

    def render(self, question: str, steps: Sequence[str] = ()) -> Prompt:
        return _asked(question, self.instruction, self.few_shot, steps)

    def parse(self, completion: Completion) -> ParsedStep:
        unsaid = completion.ended is Ended.STOP and completion.stop is None
        text = completion.text + (BLANK_LINE if unsaid else completion.stop or "")
        if not self.whole:
            return _answered(text) or _text_step(text, completion)
        if completion.ended is Ended.EOS or (unsaid and not text.strip()):
            return ParsedStep(completion.text, StepKind.END)
        return _text_step(text, completion)

    def split(self, completion: Completion) -> list[ParsedStep]:
        *complete, last = completion.text.split(BLANK_LINE)
        parsed = [self.parse(Completion(text, Ended.STOP, BLANK_LINE)) for text in complete if text.strip()]
        if last.strip() or not parsed:
            parsed.append(self.parse(Completion(last, completion.ended, completion.stop)))
        elif parsed[-1].outcome is None:
            whole = self.whole and completion.ended is Ended.EOS
            parsed[-1] = ParsedStep(parsed[-1].text, StepKind.END if whole else StepKind.MALFORMED)
        return up_to_end(parsed)


THINK, END_OF_THINK, CLOSED_ANSWER = "<think>", "</think>", "</answer>"
LINE = "\n"


@dataclass(frozen=True, slots=True)
class ThinkFormat(NothingRun):
    """Thinking between tags, then the answer between tags: the layout of DeepSeek-R1-Zero (arXiv 2501.12948, table 1).

    The prompt opens the thinking. Its steps end at `divider`: lines, or the paragraphs of models that were distilled
    from R1. Nothing is run. The answer is what stands between the answer tags, or in a box there; a box that stands
    alone is an answer, too, since R1's own answers are boxed. Layout:

        <think>
        Next to Ben, Ann has 4 more apples. So ben = ann - 4 = 12 - 4 = 8.
        </think> <answer>8</answer>
    """

    instruction: str = THINK_INSTRUCTION
    few_shot: str = ""
    divider: str = LINE
    in_words: ClassVar[bool] = True

    @property
    def step_stops(self) -> tuple[str, ...]:
        return (self.divider, CLOSED_ANSWER)

    @property
    def chain_stops(self) -> tuple[str, ...]:
        return (CLOSED_ANSWER,)

    def render(self, question: str, steps: Sequence[str] = ()) -> Prompt:
        return _asked(question, self.instruction, self.few_shot, steps, opening=f"{THINK}\n")

    def parse(self, completion: Completion) -> ParsedStep:
        if completion.ended is Ended.STOP and completion.stop is None:  # in the answer, if its tag is open
            is_open = ANSWER in completion.text and CLOSED_ANSWER not in completion.text
            completion = replace(completion, stop=CLOSED_ANSWER if is_open else self.divider)
        text = completion.text + (completion.stop or "")
        if (answer := tagged_answer(text)) is not None:
            return ParsedStep(text, StepKind.ANSWER, answer) if answer else ParsedStep(text, StepKind.MALFORMED)
        if ANSWER in text or completion.stop == CLOSED_ANSWER:  # one tag without the other
            return ParsedStep(text, StepKind.MALFORMED)
        return _answered(text) or _text_step(text, completion)

    def split(self, completion: Completion) -> list[ParsedStep]:
        before, opened, answer = completion.text.partition(ANSWER)  # of which the lines are no steps
        *complete, last = before.split(self.divider)
        last += opened + answer
        parsed = [self.parse(Completion(text, Ended.STOP, self.divider)) for text in complete if text.strip()]
        if last.strip() or not parsed:
            parsed.append(self.parse(Completion(last, completion.ended, completion.stop)))
        elif parsed[-1].outcome is None:
            parsed[-1] = ParsedStep(parsed[-1].text, StepKind.MALFORMED)
        return up_to_end(parsed)


def tagged_answer(text: str) -> str | None:
    """What stands between the last answer tags of a text, or in a box there, stripped; None without tags, empty if they
    or the box hold nothing.
    """
    before, closed, _ = text.rpartition(CLOSED_ANSWER)
    _, opened, said = before.rpartition(ANSWER)
    if not (closed and opened):
        return None
    boxed = boxed_answer(said)
    return said.strip() if boxed is None else boxed


_BLOCK = re.compile(r"^```(?:python|py)[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
CLOSING_FENCE = "```\n"
OUTPUT_FENCE = "```output\n"
_MARK = "---- the next block ----"


@dataclass(frozen=True, slots=True)
class FencedFormat:
    """Text with ```python blocks, as stock instruct models write it. A block ends a step: it is run together with those
    before it, and what it printed itself follows in an ```output block, at most `max_output` characters of it.
    """

    instruction: str = FENCED_INSTRUCTION
    few_shot: str = ""
    max_output: int = 1024
    in_words: ClassVar[bool] = True

    @property
    def step_stops(self) -> tuple[str, ...]:
        return (CLOSING_FENCE,)  # not at blank lines: code has them

    @property
    def chain_stops(self) -> tuple[str, ...]:
        return self.step_stops

    def render(self, question: str, steps: Sequence[str] = ()) -> Prompt:
        return _asked(question, self.instruction, self.few_shot, steps)

    def parse(self, completion: Completion) -> ParsedStep:
        if completion.ended is Ended.STOP and completion.stop is None:  # at the end of a block, if one is open
            is_open = bool(_BLOCK.search(f"{completion.text}{CLOSING_FENCE}"))
            completion = replace(completion, **({"stop": CLOSING_FENCE} if is_open else {"ended": Ended.EOS}))
        text = completion.text + (completion.stop or "")
        if OUTPUT_FENCE in text:
            return ParsedStep(text, StepKind.MALFORMED)  # output is the executor's to write, never the policy's
        if completion.stop == CLOSING_FENCE and _BLOCK.search(text):
            return ParsedStep(text, StepKind.CODE_END)
        return _answered(text) or _text_step(text, completion)

    def split(self, completion: Completion) -> list[ParsedStep]:
        return [self.parse(completion)]

    def program(self, steps: Sequence[str]) -> str:
        """All blocks; what the ones before the last print is told from its own by a mark."""
        *before, last = [match[1] for match in _BLOCK.finditer("".join(steps))] or [""]
        return "\n".join([*before, f"print({_MARK!r})", last]) if before else last

    def with_output(self, step: str, output: str) -> str:
        own = output.rpartition(f"{_MARK}\n")[2].strip()
        if len(own) > self.max_output:
            half = self.max_output // 2
            own = f"{own[:half]}...{own[-half:]}"
        return f"{step}\n{OUTPUT_FENCE}{own}\n{CLOSING_FENCE}\n"

    def has_output(self, step: str) -> bool:
        return step.endswith(f"{CLOSING_FENCE}\n") and OUTPUT_FENCE in step


OPENING_FENCE = "```python\n"
_CODE = re.compile(r"^(?:def|class|import|from|for|while|if|print)\b|^\w+ *= ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ProgramFormat(NothingRun):
    """A thought in words, then the program in a ```python block, which is the answer. Nothing is run.

    All the words are one step; with `paragraphs` each of their paragraphs is, so that a search chooses among them. Then
    a program must have no blank lines, since these end a step.
    """

    instruction: str = PROGRAM_INSTRUCTION
    few_shot: str = ""
    paragraphs: bool = False
    in_words: ClassVar[bool] = False

    @property
    def step_stops(self) -> tuple[str, ...]:
        return (BLANK_LINE if self.paragraphs else OPENING_FENCE, CLOSING_FENCE)

    @property
    def chain_stops(self) -> tuple[str, ...]:
        return (CLOSING_FENCE,)

    def render(self, question: str, steps: Sequence[str] = ()) -> Prompt:
        return _asked(question, self.instruction, self.few_shot, steps)

    def parse(self, completion: Completion) -> ParsedStep:
        if completion.ended is Ended.STOP and completion.stop is None:
            is_code = OPENING_FENCE in completion.text or bool(_CODE.search(completion.text))
            completion = replace(completion, stop=CLOSING_FENCE if is_code else self.step_stops[0])
        text = completion.text + (completion.stop or "")
        if completion.stop == OPENING_FENCE or (completion.stop == BLANK_LINE and OPENING_FENCE not in completion.text):
            empty = self.paragraphs and not completion.text.strip()
            return ParsedStep(text, StepKind.MALFORMED if empty else StepKind.TEXT)
        program, closed, _ = completion.text.rpartition(OPENING_FENCE)[2].partition("```")
        ends = closed or completion.stop == CLOSING_FENCE
        if ends and program.strip():
            return ParsedStep(text, StepKind.ANSWER, program.strip("\n"))
        return ParsedStep(text, StepKind.MALFORMED)

    def split(self, completion: Completion) -> list[ParsedStep]:
        words, opening, code = completion.text.rpartition(OPENING_FENCE)
        if not self.paragraphs:
            first = [ParsedStep(words + opening, StepKind.TEXT)] if opening else []
            return [*first, self.parse(replace(completion, text=code))]
        *complete, last = words.split(BLANK_LINE) if opening else ["", completion.text]
        parsed = [self.parse(Completion(text, Ended.STOP, BLANK_LINE)) for text in complete if text.strip()]
        return up_to_end([*parsed, self.parse(replace(completion, text=last + opening + code * bool(opening)))])


def _asked(question: str, instruction: str, few_shot: str, steps: Sequence[str], opening: str = "") -> Prompt:
    """The question with its instruction below it, after the examples, and an `opening` that is not the policy's."""
    asked = f"{question}{BLANK_LINE}{instruction}"
    return Prompt(asked, f"{few_shot}{asked}{BLANK_LINE}{opening}", "".join(steps))


def _answered(text: str) -> ParsedStep | None:
    answer = boxed_answer(text)
    if answer is None:
        return None
    return ParsedStep(text, StepKind.ANSWER, answer) if answer else ParsedStep(text, StepKind.MALFORMED)


def _text_step(text: str, completion: Completion) -> ParsedStep:
    """Words alone; a text that ends without an answer, or is cut off, leads nowhere."""
    goes_on = completion.ended is Ended.STOP and bool(completion.text.strip())
    return ParsedStep(text, StepKind.TEXT if goes_on else StepKind.MALFORMED)
