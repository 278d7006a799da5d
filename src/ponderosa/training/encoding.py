"""Tokens and labels of training rows.

Prompts, responses and the executor's outputs are tokenised apart, so that what is masked begins and ends with a token.
Calls to the tokenizer are few and large: one call a row would cost more than training a small model on it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ponderosa.core import EXECUTED

IGNORED = -100
"""The label of a token that the loss leaves out."""


def split_response(response: str) -> list[tuple[str, bool]]:
    """The pieces of a response in order, each with whether the policy wrote it; the executor wrote the others."""
    pieces = EXECUTED.split(response)  # the odd ones are what the group matched
    return [(piece, i % 2 == 0) for i, piece in enumerate(pieces) if piece]


def encode_prompts(tokenizer: Any, prompts: Iterable[str]) -> dict[str, list[int]]:
    """Tokens by text, with what the tokenizer puts before a text (such as a start token) but not after it."""
    texts = list(dict.fromkeys(prompts))
    encoded = tokenizer(texts)["input_ids"] if texts else []
    eos = tokenizer.eos_token_id
    return {text: ids[:-1] if ids and ids[-1] == eos else ids for text, ids in zip(texts, encoded, strict=True)}


def encode_continuations(tokenizer: Any, texts: Iterable[str]) -> dict[str, list[int]]:
    """Tokens by text, without any that the tokenizer would add."""
    unique = list(dict.fromkeys(texts))
    encoded = tokenizer(unique, add_special_tokens=False)["input_ids"] if unique else []
    return dict(zip(unique, encoded, strict=True))


def encode_written(tokenizer: Any, texts: Iterable[str]) -> dict[str, tuple[list[int], list[int]]]:
    """(tokens, labels) by text, of what comes after a prompt: steps, or whole responses.

    Labels are the tokens themselves where the policy wrote them, and `IGNORED` on the executor's output.
    """
    split = {text: split_response(text) for text in texts}
    tokens = encode_continuations(tokenizer, (piece for pieces in split.values() for piece, _ in pieces))
    encoded = {}
    for text, pieces in split.items():
        ids: list[int] = []
        labels: list[int] = []
        for piece, learned in pieces:
            ids += tokens[piece]
            labels += tokens[piece] if learned else [IGNORED] * len(tokens[piece])
        encoded[text] = (ids, labels)
    return encoded


Encoded = tuple[list[int], list[int]]
"""The tokens of a row, and their labels."""


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """Rows as tokens, and how many were left out: `too_long`, or `empty` for want of a response."""

    kept: list[Encoded]
    too_long: int
    empty: int


def encode_rows(tokenizer: Any, rows: Sequence[Mapping[str, str]], max_length: int) -> EncodedRows:
    """Rows of `prompt` and `response` as `encode_responses` has them, those of at most `max_length` tokens."""
    told = [row for row in rows if row["response"].strip()]
    encoded = encode_responses(tokenizer, [row["prompt"] for row in told], [row["response"] for row in told])
    kept = [row for row in encoded if len(row[0]) <= max_length]
    return EncodedRows(kept, too_long=len(encoded) - len(kept), empty=len(rows) - len(told))


def encode_responses(tokenizer: Any, prompts: Sequence[str], responses: Sequence[str]) -> list[Encoded]:
    """(tokens, labels) of each prompt with its response and the end-of-text token.

    Labels are the tokens themselves where the policy wrote them, its end of text included, and `IGNORED` on the prompt
    and on the executor's output.
    """
    heads = encode_prompts(tokenizer, prompts)
    written = encode_written(tokenizer, responses)
    eos = tokenizer.eos_token_id
    encoded = []
    for prompt, response in zip(prompts, responses, strict=True):
        head, (ids, labels) = heads[prompt], written[response]
        encoded.append(([*head, *ids, eos], [*[IGNORED] * len(head), *labels, eos]))
    return encoded
