"""New problems from solved ones, in a policy's own words.

Self-Instruct (arXiv 2212.10560) shows a model a few tasks and asks for another; MetaMath (arXiv 2309.12284) and
rStar-Math's own data (arXiv 2501.04519, section 4.1) do so for mathematics. A model that follows instructions is asked;
one that does not is given the beginning of a question, as its format opens one, and goes on.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ponderosa.core import Completion, Ended, Outcome, Prompt, Sampling, StepFormat, Tree, derive_seed
from ponderosa.search.budget import ending
from ponderosa.search.expansion import Backends, propose

WRITING = "writing"
"""The kind of search whose trees hold questions; `Tree.method` of what it gives."""

MARK = "Problem:"

INSTRUCTION = f"""\
Here are solved problems.

{{examples}}

Write one new problem of this kind. Let its story, its numbers and the way to its answer be others than theirs. It \
must say all that is needed, and have one answer. First think about what it could be, if you like; then write a line \
that begins with "{MARK}", and after it the problem alone, without its solution."""

Shown = Sequence[tuple[str, str]]
"""Questions and answers of solved problems."""


@dataclass(frozen=True, slots=True)
class WritingSettings:
    """How a policy writes: `proposals` new questions for each solved problem.

    As `chat`, `instruction` asks for it, where `{examples}` stands for the problem and what else is shown. As
    `completion`, the question is opened as the step format opens one, perhaps with the first `sentence` of the problem.
    """

    proposals: int = 4
    how: Literal["chat", "completion"] = "chat"
    begin: Literal["nothing", "sentence"] = "nothing"
    instruction: str = INSTRUCTION
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 1024


async def write(
    problem_id: str,
    question: str,
    shown: Shown,
    backends: Backends,
    settings: WritingSettings = WritingSettings(),
    seed: int = 0,
    index: int = 0,
) -> Tree:
    """The policy's new questions: the answered children of the root. `shown` are solved problems, that of `question`
    among them.
    """
    tree = Tree(problem_id, question, seed=seed, index=index, method=WRITING)
    async with ending(tree, backends.budget):
        begun, prompt, stops = _asked(question, shown, backends.format, settings)
        sampling = Sampling(settings.temperature, settings.top_p, settings.top_k, settings.max_tokens, stops)
        salt = derive_seed(seed, problem_id, index, WRITING)
        for completion in await propose(tree, 0, settings.proposals, sampling, backends, salt, prompt):
            text = _written(begun, completion, settings.how)
            outcome = Outcome.ANSWERED if text else Outcome.MALFORMED
            child = tree.add(0, text or completion.text, outcome=outcome, answer=text or None, tokens=completion.tokens)
            tree.rollouts.append(child)
    return tree


def _asked(
    question: str, shown: Shown, format: StepFormat, settings: WritingSettings
) -> tuple[str, Prompt, tuple[str, ...]]:
    """What the question begins with, what is to be continued, and where that ends."""
    if settings.how == "chat":
        examples = "\n\n".join(f"{MARK} {asked}\nAnswer: {answer}" for asked, answer in shown)
        instruction = settings.instruction.replace("{examples}", examples)
        return "", Prompt(instruction, f"{instruction}\n\n"), ()
    before, _, after = format.render(question).text.partition(question)
    stop = "\n\n" if after.startswith("\n\n") else (re.match(r"\s*\S+", after) or [""])[0]
    begun = first_sentence(question) if settings.begin == "sentence" else ""
    return begun, Prompt(begun, before + begun), (stop,) if stop else ()


def _written(begun: str, completion: Completion, how: str) -> str:
    """The question that was written; empty where none was, or it was cut off."""
    if completion.ended is Ended.LENGTH:
        return ""
    if how == "completion":
        return (begun + completion.text).strip() if completion.text.strip() else ""
    _, mark, text = completion.text.rpartition(MARK)
    text = re.split(r"\n\s*(?:\*\*)?(?:Answer|Solution)\b", text, maxsplit=1)[0]
    return text.strip().strip("*").strip() if mark else ""


def first_sentence(text: str) -> str:
    """Up to the first end of a sentence; all of a text that has none before its own."""
    end = re.search(r"[.!?](?=\s)", text)
    return text[: end.end()] if end else text.rpartition(" ")[0]
