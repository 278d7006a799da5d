import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from ponderosa.core import CodeFormat, Completion, Ended, Outcome, Prompt, Sampling, StepFormat, Tree
from ponderosa.core.plain_formats import TextFormat
from ponderosa.search import Backends, WritingSettings, write
from ponderosa.search.writing import first_sentence

from .words import NothingRuns

QUESTION = "Ann has 12 apples. Ben has 4 more. How many has Ben?"


@dataclass
class Writes:
    """Answers every request with `texts`, and keeps what it was asked."""

    texts: Sequence[str]
    ended: Ended = Ended.EOS
    prompts: list[tuple[Prompt, Sampling]] = field(default_factory=list)

    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        self.prompts.append((prompt, sampling))
        return [Completion(text, self.ended, tokens=7) for text in self.texts[:n]]


def written(policy: Writes, format: StepFormat, **settings: object) -> Tree:
    made = WritingSettings(proposals=len(policy.texts), **settings)  # type: ignore[arg-type]
    backends = Backends(policy, NothingRuns(), format)
    return asyncio.run(write("p", QUESTION, [("What is 1 + 1?", "2"), (QUESTION, "16")], backends, made))


@pytest.mark.parametrize(
    ("reply", "question"),
    [
        ("Let me think.\nProblem: Cal has 3 figs. How many?", "Cal has 3 figs. How many?"),
        ("**Problem:** Cal has 3 figs.\n\n**Answer:** 3", "Cal has 3 figs."),
        ("Problem: one\nProblem: two\nSolution: 2", "two"),
        ("I cannot write any.", None),
        ("Problem:  ", None),
    ],
)
def test_what_stands_after_the_mark_is_the_question(reply: str, question: str | None) -> None:
    tree = written(Writes([reply]), TextFormat())
    (end,) = tree.rollouts
    assert tree.nodes[end].answer == question
    assert tree.nodes[end].outcome is (Outcome.ANSWERED if question else Outcome.MALFORMED)
    assert tree.usage.generated_tokens == 7


def test_a_model_that_follows_instructions_is_shown_the_solved_problems() -> None:
    policy = Writes(["Problem: New?"])
    written(policy, TextFormat())
    ((prompt, _),) = policy.prompts
    assert "What is 1 + 1?\nAnswer: 2" in prompt.question
    assert f"{QUESTION}\nAnswer: 16" in prompt.question
    assert prompt.head.startswith(prompt.question)


@pytest.mark.parametrize(
    ("begin", "head", "question"),
    [
        ("nothing", "<|user|>:\n", "Cal has 3."),
        ("sentence", "<|user|>:\nAnn has 12 apples.", "Ann has 12 apples. Cal has 3."),
    ],
)
def test_another_model_goes_on_with_a_question_that_is_opened(begin: str, head: str, question: str) -> None:
    policy = Writes([" Cal has 3."], Ended.STOP)
    tree = written(policy, CodeFormat(), how="completion", begin=begin)
    ((prompt, sampling),) = policy.prompts
    assert prompt.text == head
    assert sampling.stop == ("\n<|assistant|>:",)
    assert tree.nodes[tree.rollouts[0]].answer == question


def test_plain_text_ends_at_a_blank_line() -> None:
    policy = Writes(["Cal has 3."], Ended.STOP)
    written(policy, TextFormat(), how="completion")
    assert policy.prompts[0][1].stop == ("\n\n",)


def test_what_was_cut_off_is_no_question() -> None:
    tree = written(Writes([" Cal has"], Ended.LENGTH), CodeFormat(), how="completion")
    assert tree.nodes[tree.rollouts[0]].outcome is Outcome.MALFORMED


@pytest.mark.parametrize(
    ("text", "first"), [(QUESTION, "Ann has 12 apples."), ("It is 1.5 m. How?", "It is 1.5 m."), ("Why so?", "Why")]
)
def test_the_first_sentence(text: str, first: str) -> None:
    assert first_sentence(text) == first


def test_an_instruction_may_have_braces_of_its_own() -> None:
    policy = Writes(["Problem: one"])
    written(policy, TextFormat(), instruction=r"{examples} Answers are in \boxed{}.")
    ((prompt, _),) = policy.prompts
    assert prompt.text.startswith("Problem: What is 1 + 1?")
    assert prompt.text.rstrip().endswith(r"Answers are in \boxed{}.")
