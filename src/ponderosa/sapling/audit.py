"""Audit of a model on the world's problems: greedy accuracy, of what kind its errors are, and what samples reach."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ponderosa.core.format import END_OF_ANSWER, END_OF_CODE, END_OF_OUTPUT, END_OF_STEP, OUTPUT, StepFormat
from ponderosa.core.format import boxed_answer as boxed
from ponderosa.core.formats import make_format
from ponderosa.core.outcome import Ended
from ponderosa.core.plain_formats import OPENING_FENCE, tagged_answer
from ponderosa.core.problem import Kind, Problem
from ponderosa.core.protocols import Completion
from ponderosa.sapling.corpora import corpus
from ponderosa.sapling.diagnosis import MISREAD, StepClass, diagnose, execute, same_program
from ponderosa.sapling.languages import ENGLISH, LANGUAGES, language_share
from ponderosa.sapling.problems import problems

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CODE_STEPS = "rstar"
"""The step format whose programs are run on the way."""
_MAX_CODE, _MAX_ANSWER, _MAX_CHAIN = 384, 32, 640


@dataclass
class Audit:
    """Counts over greedy solutions.

    `correct` by final answer; `first_error` by the class of the first step that is not right ("none" where all are);
    `misread` solutions have a mis-copied, misbound or malformed step anywhere; `lucky` ones are correct in spite of a
    wrong value. `own_language` sums up the share of each solution's words that are of its question's language.
    `by_level` holds (correct, all); level 0 are reasoning-gym's families.
    """

    count: int = 0
    correct: int = 0
    misread: int = 0
    lucky: int = 0
    tokens: int = 0
    own_language: float = 0.0
    first_error: Counter[str] = field(default_factory=Counter)
    by_level: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        return self.correct / self.count

    @property
    def misread_share(self) -> float:
        return self.misread / self.count

    def share_with(self, kind: StepClass) -> float:
        """The share of the solutions whose first step that is not right is of this class."""
        return self.first_error[kind] / self.count

    def add(self, problem: Problem, steps: Sequence[str]) -> None:
        """Counts one solution."""
        verdicts = diagnose(problem, steps)
        right = is_right(problem, steps)
        self.count += 1
        self.correct += right
        self.misread += any(v.kind in MISREAD for v in verdicts)
        self.lucky += right and not verdicts[-1].values_ok
        self.own_language += language_share("".join(steps), problem.meta["language"])
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


@dataclass(frozen=True)
class Measured:
    """What a dialect was found to be: its greedy audit; of the first `sampled` problems the share that samples reach,
    and the share of the samples that are right.
    """

    greedy: Audit
    sampled: int
    reached: float
    right: float


def measure(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    name: str,
    seed: int,
    count: int,
    sampled: int,
    samples: int = 8,
    temperature: float = 1.0,
) -> dict[str, Measured]:
    """Every dialect of a corpus, with questions in each of its languages, on test problems."""
    found = {}
    for dialect, source in sorted(corpus(name).sources.items()):
        for language in LANGUAGES if source.language == "both" else (source.language,):
            given = {"task": source.task, "language": language}
            tested = problems("test", seed, 0, count, **given)
            greedy = audit(model, tokenizer, tested, format=source.format)
            kept = tested[:sampled]
            reached, right = coverage(model, tokenizer, kept, samples, temperature, seed, format=source.format)
            title = (
                f"{dialect} ({source.format})" if language == ENGLISH else f"{dialect}, {language} ({source.format})"
            )
            found[title] = Measured(greedy, len(kept), reached, right)
    return found


def is_right(problem: Problem, steps: Sequence[str]) -> bool:
    """Is the final answer the reference? A program is right here if it is the one of the right ways: nothing is run."""
    last = steps[-1] if steps else ""
    if problem.kind is Kind.CODE:
        return same_program(last.rpartition(OPENING_FENCE)[2], problem.answer or "")
    tagged = tagged_answer(last)
    return (boxed(last) if tagged is None else tagged) == problem.answer


def audit(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    problems: Sequence[Problem],
    batch: int = 128,
    format: str = CODE_STEPS,
) -> Audit:
    """Solves the problems greedily in a step format, and counts. What code prints is put in where the code ends."""
    result = Audit()
    solutions = solve(model, tokenizer, problems, batch, format, tally=result)
    for problem, steps in zip(problems, solutions, strict=True):
        result.add(problem, steps)
    return result


def coverage(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    problems: Sequence[Problem],
    samples: int = 8,
    temperature: float = 1.0,
    seed: int = 0,
    batch: int = 128,
    format: str = CODE_STEPS,
) -> tuple[float, float]:
    """The share of problems that at least one of so many samples solves, and the share of samples that are right."""
    import torch

    torch.manual_seed(seed)
    repeated = [problem for problem in problems for _ in range(samples)]
    solutions = solve(model, tokenizer, repeated, batch, format, temperature)
    right = [is_right(problem, steps) for problem, steps in zip(repeated, solutions, strict=True)]
    solved = [any(right[i : i + samples]) for i in range(0, len(right), samples)]
    return sum(solved) / len(solved), sum(right) / len(right)


def solve(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    problems: Sequence[Problem],
    batch: int = 128,
    format: str = CODE_STEPS,
    temperature: float = 0.0,
    tally: Audit | None = None,
) -> list[list[str]]:
    """The step texts of a solution to each problem, greedy at temperature 0; `tally` counts the tokens generated."""
    tally = tally or Audit()
    writer = _Writer(model, tokenizer, batch, temperature, tally)
    form = make_format(format)
    prompts = [form.render(p.question).text for p in problems]
    if format != CODE_STEPS:
        (stop,) = form.chain_stops
        return [_chain(form, text, stop) for text in writer.go_on(prompts, [stop], _MAX_CHAIN)]
    codes = writer.go_on(prompts, [END_OF_CODE], _MAX_CODE)
    shown = []
    for code in codes:
        output = execute(split_steps(code))
        shown.append(f"{code}\n{OUTPUT}{'' if output is None else output}{END_OF_OUTPUT}")
    texts = [prompt + text for prompt, text in zip(prompts, shown, strict=True)]
    answers = writer.go_on(texts, [END_OF_ANSWER], _MAX_ANSWER)
    return [[*split_steps(code), answer] for code, answer in zip(codes, answers, strict=True)]


def _chain(form: StepFormat, text: str, stop: str) -> list[str]:
    ended = (
        Completion(text.removesuffix(stop), Ended.STOP, stop) if text.endswith(stop) else Completion(text, Ended.EOS)
    )
    return [step.text for step in form.split(ended)]


def split_steps(code: str) -> list[str]:
    """The steps of generated code, each with its end marker."""
    *steps, last = code.split(END_OF_STEP)
    return [step + END_OF_STEP for step in steps] + ([last] if last else [])


@dataclass(frozen=True)
class _Writer:
    """Continues texts in batches."""

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    batch: int
    temperature: float
    tally: Audit

    def go_on(self, texts: Sequence[str], stops: Iterable[str], limit: int) -> list[str]:
        """Continuations of the texts up to and with one of `stops`, each a token, in the texts' order."""
        import torch

        tokenizer = self.tokenizer
        ends = [*(tokenizer.convert_tokens_to_ids(stop) for stop in stops), tokenizer.eos_token_id]
        how = {"do_sample": True, "temperature": self.temperature} if self.temperature else {"do_sample": False}
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        continued = [""] * len(texts)
        for start in range(0, len(order), self.batch):
            chosen = order[start : start + self.batch]
            inputs = tokenizer([texts[i] for i in chosen], return_tensors="pt", padding=True, padding_side="left")
            with torch.inference_mode():
                output = self.model.generate(
                    input_ids=inputs["input_ids"],
                    attention_mask=inputs["attention_mask"],
                    max_new_tokens=limit,
                    eos_token_id=ends,
                    pad_token_id=tokenizer.pad_token_id,
                    **how,
                )
            generated = output[:, inputs["input_ids"].shape[1] :]
            for i, ids in zip(chosen, generated.tolist(), strict=True):
                kept = [token for token in ids if token not in (tokenizer.pad_token_id, tokenizer.eos_token_id)]
                self.tally.tokens += len(kept)
                continued[i] = tokenizer.decode(kept)
        return continued
