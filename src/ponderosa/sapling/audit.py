"""Audit of a model on the world's problems: greedy accuracy, and of what kind its errors are."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ponderosa.core.format import (
    ASSISTANT,
    END_OF_ANSWER,
    END_OF_CODE,
    END_OF_OUTPUT,
    END_OF_STEP,
    OUTPUT,
    USER,
    boxed_answer,
)
from ponderosa.core.problem import Problem
from ponderosa.sapling.diagnosis import MISREAD, StepClass, diagnose, execute

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_MAX_CODE, _MAX_ANSWER = 384, 32


@dataclass
class Audit:
    """Counts over greedy solutions.

    `correct` by final answer; `first_error` by the class of the first step that is not right ("none" where all are);
    `misread` solutions have a mis-copied, misbound or malformed step anywhere; `lucky` ones are correct in spite of a
    wrong value. `by_level` holds (correct, all); level 0 are reasoning-gym's families.
    """

    count: int = 0
    correct: int = 0
    misread: int = 0
    lucky: int = 0
    tokens: int = 0
    first_error: Counter[str] = field(default_factory=Counter)
    by_level: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        return self.correct / self.count

    @property
    def misread_share(self) -> float:
        return self.misread / self.count

    def add(self, problem: Problem, steps: Sequence[str]) -> None:
        """Counts one solution."""
        verdicts = diagnose(problem, steps)
        right = boxed_answer(steps[-1]) == problem.answer
        self.count += 1
        self.correct += right
        self.misread += any(v.kind in MISREAD for v in verdicts)
        self.lucky += right and not all(v.values_ok for v in verdicts)
        self.first_error[next((v.kind for v in verdicts if v.kind is not StepClass.RIGHT), "none")] += 1
        level = problem.meta["level"]
        solved, seen = self.by_level.get(level, (0, 0))
        self.by_level[level] = (solved + right, seen + 1)

    def summary(self) -> str:
        """The figures in a few lines."""
        levels = ", ".join(f"{level}: {s / n:.1%}" for level, (s, n) in sorted(self.by_level.items()))
        errors = ", ".join(f"{kind} {n}" for kind, n in self.first_error.most_common())
        return (
            f"greedy accuracy {self.accuracy:.1%} of {self.count} (level {levels})\n"
            f"first errors: {errors}\n"
            f"solutions with a misread step {self.misread_share:.1%}, "
            f"right answers with a wrong value {self.lucky / max(1, self.correct):.1%}, "
            f"{self.tokens / self.count:.0f} generated tokens a problem"
        )


def audit(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", problems: Sequence[Problem], batch: int = 128
) -> Audit:
    """Solves the problems greedily, the executor's output put in where the code ends, and counts."""
    result = Audit()
    solutions = solve_greedily(model, tokenizer, problems, batch, result)
    for problem, steps in zip(problems, solutions, strict=True):
        result.add(problem, steps)
    return result


def solve_greedily(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    problems: Sequence[Problem],
    batch: int = 128,
    tally: Audit | None = None,
) -> list[list[str]]:
    """The step texts of each problem's greedy solution; the tokens generated are added to `tally`."""
    tally = tally or Audit()
    prompts = [f"{USER}\n{p.question}\n{ASSISTANT}" for p in problems]
    codes = _continue(model, tokenizer, prompts, END_OF_CODE, _MAX_CODE, batch, tally)
    shown = []
    for code in codes:
        output = execute(split_steps(code))
        shown.append(f"{code}\n{OUTPUT}{'' if output is None else output}{END_OF_OUTPUT}")
    texts = [prompt + text for prompt, text in zip(prompts, shown, strict=True)]
    answers = _continue(model, tokenizer, texts, END_OF_ANSWER, _MAX_ANSWER, batch, tally)
    return [[*split_steps(code), answer] for code, answer in zip(codes, answers, strict=True)]


def split_steps(code: str) -> list[str]:
    """The steps of generated code, each with its end marker."""
    *steps, last = code.split(END_OF_STEP)
    return [step + END_OF_STEP for step in steps] + ([last] if last else [])


def _continue(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    texts: Sequence[str],
    stop: str,
    limit: int,
    batch: int,
    tally: Audit,
) -> list[str]:
    """Greedy continuations of the texts up to and with `stop`, in the texts' order."""
    import torch

    stops = [tokenizer.convert_tokens_to_ids(stop), tokenizer.eos_token_id]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    continued = [""] * len(texts)
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        inputs = tokenizer([texts[i] for i in chosen], return_tensors="pt", padding=True, padding_side="left")
        with torch.inference_mode():
            output = model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                do_sample=False,
                max_new_tokens=limit,
                eos_token_id=stops,
                pad_token_id=tokenizer.pad_token_id,
            )
        generated = output[:, inputs["input_ids"].shape[1] :]
        for i, ids in zip(chosen, generated.tolist(), strict=True):
            kept = [token for token in ids if token not in (tokenizer.pad_token_id, tokenizer.eos_token_id)]
            tally.tokens += len(kept)
            continued[i] = tokenizer.decode(kept)
    return continued
