"""The step format of rStar-Math's public code, move for move: how it prompts, reads steps and shows what code gives.

For the preset `rstar-official` and nothing else: it keeps what that code does where `CodeFormat` does better (any step
with the word "boxed" is final, any output with the word "error" is one). Facts from github.com/microsoft/rStar, branch
rStar-math, commit b3c1846.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ponderosa.core.format import (
    ASSISTANT,
    CODE,
    END_OF_ANSWER,
    END_OF_CODE,
    END_OF_OUTPUT,
    END_OF_STEP,
    OUTPUT,
    USER,
    ParsedStep,
    StepKind,
)
from ponderosa.core.outcome import Status
from ponderosa.core.protocols import Completion, Execution, Prompt

_BOXED = "\\boxed{"


@dataclass(frozen=True, slots=True)
class OfficialFormat:
    """With `bootstrap` the prompt of round 1, which goes with few-shot examples, else that of trained policies."""

    bootstrap: bool = False
    few_shot: str = ""
    max_output: int = 1024
    in_words: ClassVar[bool] = False

    @property
    def step_stops(self) -> tuple[str, ...]:
        bootstrap = (END_OF_OUTPUT,) if self.bootstrap else ()
        return (END_OF_STEP, END_OF_CODE, *bootstrap, END_OF_ANSWER)

    @property
    def chain_stops(self) -> tuple[str, ...]:
        return self.step_stops

    def render(self, question: str, steps: Sequence[str] = ()) -> Prompt:
        if self.bootstrap:
            head = f"Now! It's your turn.\nQuestion: {question}\n"
        else:
            head = f"{USER}\n{question}\n\n{ASSISTANT}"
        return Prompt(question, self.few_shot + head, "".join(steps))

    def parse(self, completion: Completion) -> ParsedStep:
        text = completion.text + (completion.stop or "")
        if "boxed" in text:
            answer = _answer(text)
            # An empty box gives a step that is neither final nor code.
            return ParsedStep(text, StepKind.ANSWER, answer) if answer else ParsedStep(text, StepKind.TEXT)
        return ParsedStep(text, StepKind.CODE_END if END_OF_CODE in text else StepKind.CODE)

    def split(self, completion: Completion) -> list[ParsedStep]:
        return [self.parse(completion)]

    def program(self, steps: Sequence[str]) -> str:
        """A program that does with the steps' code what the official interpreter does, and prints what that returns."""
        code = _official_program(steps)
        return _INTERPRETER.replace("QUERY", repr(code)).replace("LENGTH", str(self.max_output))

    def observation(self, result: Execution) -> str:
        """What the official interpreter would have returned."""
        if result.status is Status.TIMEOUT:
            return "TimeoutError: Execution of the code snippet has timed out."
        if not result.ok:
            return result.error if "error" in result.error.lower() else f"RuntimeError: {result.error}"
        return result.stdout.strip()

    def with_output(self, step: str, output: str) -> str:
        return f"{step}\n{OUTPUT}{output}{END_OF_OUTPUT}"

    def has_output(self, step: str) -> bool:
        return step.endswith(END_OF_OUTPUT)


def _answer(text: str) -> str:
    """What that code takes for the answer of a step with the word "boxed" in it; oddities included."""
    text = text.split(".\n")[0].strip().removesuffix(".").strip()
    try:
        return _without_text_box(_box(text))
    except IndexError:  # more braces close than open
        return "[invalid]"


def _box(text: str) -> str:
    """What the last box holds; the whole text without a box, and the rest of it after one that does not close."""
    begin = text.rfind(_BOXED)
    if begin < 0:
        return text
    tail = text[begin:]
    end, opened, last = None, [], begin
    for i, character in enumerate(tail):
        if character == "{":
            opened.append(i)
        elif character == "}":
            last = opened.pop()
            if not opened:
                end = i
                break
    return tail[last + 1 : end]


def _without_text_box(text: str) -> str:
    """`5\\text{ cm}` as `5cm`."""
    begin = text.find("\\text{")
    if begin < 0:
        return text
    opened: list[int] = []
    for i, character in enumerate(text[begin:], begin):
        if character == "{":
            opened.append(i)
        elif character == "}":
            start = opened.pop()
            if not opened:
                inside = text[start + 1 : i]
                kept = "" if inside.strip() == "and" else inside.strip()
                return (text[:begin] + kept + text[i + 1 :]).strip()
    raise IndexError("a box that does not close")


def _official_program(steps: Sequence[str]) -> str:
    """The code of the steps since the last program ended. Lines that hold markers are dropped whole."""
    current: list[str] = []
    for step in reversed(steps):
        if current and (END_OF_CODE in step or END_OF_OUTPUT in step):
            break
        current.append(step)
    text = "".join(reversed(current)).replace(END_OF_STEP, "")
    lines: list[str] = []
    inside = False
    for line in text.split("\n"):
        if CODE in line:
            lines.append("\n# ========")
            inside = True
        elif END_OF_CODE in line:
            inside = False
        elif inside:
            lines.append(line)
    return ("\n".join(lines) if lines else text).strip()


_INTERPRETER = r"""
import ast, contextlib, io, re
def interpret(query):
    query = re.sub(r"(\s|`)*$", "", re.sub(r"^(\s|`)*(?i:python)?\s*", "", query))
    names = {"__name__": "__main__"}
    def shown(value):
        if isinstance(value, str):
            try:
                rounded = str(round(float(value), 4)) + "\n"
                value = value if len(value) < len(rounded) else rounded
            except Exception:
                pass
        text = str(value)
        return text if len(text) <= LENGTH else text[: LENGTH // 2] + "..." + text[-(LENGTH // 2):]
    def run(body):
        printed = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()):
            exec(ast.unparse(ast.Module(body[:-1], [])), names)
        last = ast.unparse(ast.Module(body[-1:], []))
        try:
            with contextlib.redirect_stdout(printed):
                value = eval(last, names)
            return shown(printed.getvalue() if value is None else value)
        except Exception:
            with contextlib.redirect_stdout(printed):
                exec(last, names)
            return shown(printed.getvalue())
    def prints(node):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name):
            return node.value.func.id == "print"
        return isinstance(node, (ast.If, ast.While, ast.For, ast.FunctionDef)) and any(map(prints, node.body))
    try:
        body = ast.parse(query).body
        ends = [i for i, node in enumerate(body) if prints(node)]
        if len(ends) <= 1:
            return run(body)
        parts = []
        for start, end in zip([-1, *ends], ends):
            source = re.findall(r"print\((.*?)\)", ast.get_source_segment(query, body[end]))
            parts.append((" ".join(source) + ":" if source else "") + " " + run(body[start + 1 : end + 1]))
        return "".join(parts)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
print(interpret(QUERY))
"""
