"""Step formats for models that know nothing of our markers: plain text, and text with fenced Python blocks."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from ponderosa.core.format import ParsedStep, StepKind, boxed_answer, up_to_end
from ponderosa.core.outcome import Ended
from ponderosa.core.protocols import Completion, Prompt

BLANK_LINE = "\n\n"
TEXT_INSTRUCTION = "Think step by step, with a blank line between steps. Put your final answer in \\boxed{}."
FENCED_INSTRUCTION = (
    "Solve the problem step by step. Where calculation helps, write Python in a ```python block that prints what you "
    "need; its output will be shown to you. Put your final answer in \\boxed{}."
)


@dataclass(frozen=True, slots=True)
class TextFormat:
    """Steps are paragraphs, divided by blank lines. Nothing is run. The step with a box is the last."""

    instruction: str = TEXT_INSTRUCTION
    few_shot: str = ""
    in_words: ClassVar[bool] = True

    @property
    def step_stops(self) -> tuple[str, ...]:
        return (BLANK_LINE,)

    @property
    def chain_stops(self) -> tuple[str, ...]:
        return ()

    def render(self, question: str, steps: Sequence[str] = ()) -> Prompt:
        head = f"{self.few_shot}{question}{BLANK_LINE}{self.instruction}{BLANK_LINE}"
        return Prompt(f"{question}{BLANK_LINE}{self.instruction}", head, "".join(steps))

    def parse(self, completion: Completion) -> ParsedStep:
        unsaid = completion.ended is Ended.STOP and completion.stop is None
        text = completion.text + (BLANK_LINE if unsaid else completion.stop or "")
        return _answered(text) or _text_step(text, completion)

    def split(self, completion: Completion) -> list[ParsedStep]:
        *complete, last = completion.text.split(BLANK_LINE)
        parsed = [self.parse(Completion(text, Ended.STOP, BLANK_LINE)) for text in complete if text.strip()]
        if last.strip() or not parsed:
            parsed.append(self.parse(Completion(last, completion.ended, completion.stop)))
        elif parsed[-1].outcome is None:
            parsed[-1] = ParsedStep(parsed[-1].text, StepKind.MALFORMED)
        return up_to_end(parsed)

    def program(self, steps: Sequence[str]) -> str:
        return ""

    def with_output(self, step: str, output: str) -> str:
        return step

    def has_output(self, step: str) -> bool:
        return False


_BLOCK = re.compile(r"^```(?:python|py)[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
_FENCE = "```\n"
_OUTPUT = "```output\n"
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
        return (_FENCE,)  # not at blank lines: code has them

    @property
    def chain_stops(self) -> tuple[str, ...]:
        return self.step_stops

    def render(self, question: str, steps: Sequence[str] = ()) -> Prompt:
        head = f"{self.few_shot}{question}{BLANK_LINE}{self.instruction}{BLANK_LINE}"
        return Prompt(f"{question}{BLANK_LINE}{self.instruction}", head, "".join(steps))

    def parse(self, completion: Completion) -> ParsedStep:
        if completion.ended is Ended.STOP and completion.stop is None:  # at the end of a block, if one is open
            is_open = bool(_BLOCK.search(f"{completion.text}{_FENCE}"))
            completion = replace(completion, **({"stop": _FENCE} if is_open else {"ended": Ended.EOS}))
        text = completion.text + (completion.stop or "")
        if _OUTPUT in text:
            return ParsedStep(text, StepKind.MALFORMED)  # output is the executor's to write, never the policy's
        if completion.stop == _FENCE and _BLOCK.search(text):
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
        return f"{step}\n{_OUTPUT}{own}\n{_FENCE}\n"

    def has_output(self, step: str) -> bool:
        return step.endswith(f"{_FENCE}\n") and _OUTPUT in step


def _answered(text: str) -> ParsedStep | None:
    answer = boxed_answer(text)
    if answer is None:
        return None
    return ParsedStep(text, StepKind.ANSWER, answer) if answer else ParsedStep(text, StepKind.MALFORMED)


def _text_step(text: str, completion: Completion) -> ParsedStep:
    """Words alone; a text that ends without an answer, or is cut off, leads nowhere."""
    goes_on = completion.ended is Ended.STOP and bool(completion.text.strip())
    return ParsedStep(text, StepKind.TEXT if goes_on else StepKind.MALFORMED)
