"""Does a model tell the kinds of sentence apart? Its rate of wrong ways, cell by cell, against the corpus's.

A reader without a fault has learned how often the corpus solves each cell (kind, phrasing) wrongly. Where the model's
rate is another, it does not see what kind of sentence it has before it, and answers for a mixture of several.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ponderosa.core.format import ASSISTANT, USER
from ponderosa.core.problem import Problem
from ponderosa.sapling.dialects import right_steps, step_texts, written, wrong_rate
from ponderosa.sapling.world import KINDS, sentences

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Cell = tuple[str, int]
"""A kind of sentence and the index of its phrasing."""


@dataclass(frozen=True, slots=True)
class CellRate:
    """How probable the wrong ways of a cell are: in the corpus, and to the model, a mean over `count` sentences."""

    corpus: float
    model: float
    count: int


def calibration(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", problems: Sequence[Problem]
) -> dict[Cell, CellRate]:
    """The rates of all cells that have wrong ways, in the word problems among `problems`.

    The model is given the right solution up to a step's `variable =`; the probability of each way is that of its
    expression, and those of a sentence's known ways are scaled to sum to 1.
    """
    found: dict[Cell, list[float]] = defaultdict(list)
    for problem in problems:
        if "sentences" in problem.meta:
            for cell, rate in _wrong_rates(model, tokenizer, problem):
                found[cell].append(rate)
    return {cell: CellRate(wrong_rate(*cell), sum(r) / len(r), len(r)) for cell, r in sorted(found.items())}


def farthest(rates: Mapping[Cell, CellRate]) -> Cell:
    """The cell whose two rates differ most."""
    return max(rates, key=lambda cell: abs(rates[cell].model - rates[cell].corpus))


def _wrong_rates(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", problem: Problem
) -> list[tuple[Cell, float]]:
    """For each sentence that has wrong ways: its cell and the model's probability of solving it in one of them."""
    steps, read = right_steps(problem), [s for s in sentences(problem) if not s.is_no_op]
    asked: list[tuple[Cell, list[float]]] = []
    for i, sentence in enumerate(read):
        kind = KINDS[sentence.kind]
        if not kind.wrong:
            continue
        texts = []
        for way in (kind.right, *kind.wrong):
            *before, last = step_texts([*steps[:i], written(sentence, way), *steps[i + 1 :]])[: i + 1]
            start = last.index(f"{sentence.entity} =") + len(f"{sentence.entity} =")
            head = f"{USER}\n{problem.question}\n{ASSISTANT}{''.join(before)}{last[:start]}"
            texts.append((head, last[start:]))
        asked.append((sentence.cell, _log_probabilities(model, tokenizer, texts)))
    return [(cell, 1 - 1 / sum(math.exp(way - ways[0]) for way in ways)) for cell, ways in asked]


def _log_probabilities(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", texts: Sequence[tuple[str, str]]
) -> list[float]:
    """The log probability of each continuation after its head."""
    import torch

    heads, tails = ([tokenizer(text)["input_ids"] for text in side] for side in zip(*texts, strict=True))
    length = max(len(head) + len(tail) for head, tail in zip(heads, tails, strict=True))
    rows = torch.full((len(texts), length), tokenizer.pad_token_id)
    for row, head, tail in zip(rows, heads, tails, strict=True):
        row[: len(head) + len(tail)] = torch.tensor([*head, *tail])
    with torch.inference_mode():  # rows are padded on the right and attention is causal: no mask is needed
        scores = model(input_ids=rows).logits.log_softmax(-1)
    return [
        sum(scores[row, len(head) + i - 1, token].item() for i, token in enumerate(tail))
        for row, (head, tail) in enumerate(zip(heads, tails, strict=True))
    ]
