"""Between text and tokens: prompts in, stop strings found, completions out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from ponderosa.core import Completion, Ended

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_CONTEXT = 4
"""Prompt tokens that a completion is decoded with: some tokenizers drop the space before the first word of a text."""


@dataclass(frozen=True, slots=True, eq=False)
class Stops:
    """Stop strings, and which tokens may complete one.

    `watch` [V] is 0 for a token that cannot, 1 for one after which the text must be looked at, and 2 for one that ends
    the model's text.
    """

    strings: tuple[str, ...]
    watch: npt.NDArray[np.uint8]
    tail: int


class Tokenizer(Protocol):
    """What is used of a tokenizer of transformers."""

    def __call__(self, text: str) -> Mapping[str, Any]: ...

    def decode(
        self, ids: list[int], /, *, skip_special_tokens: bool, clean_up_tokenization_spaces: bool
    ) -> str | list[str]: ...

    def __len__(self) -> int: ...


class Text:
    """A tokenizer, and the texts of the tokens of one model."""

    def __init__(self, tokenizer: Tokenizer, vocab_size: int, eos: Collection[int]) -> None:
        self._tokenizer = tokenizer
        self.vocab_size = vocab_size
        self._eos = frozenset(eos)
        self._stops: dict[tuple[str, ...], Stops] = {}
        self._tokens: list[str] | None = None

    def encode(self, text: str) -> list[int]:
        """The tokens of a prompt, with the special tokens that the tokenizer puts at the start of a text."""
        return list(self._tokenizer(text)["input_ids"])

    def decode(self, ids: Sequence[int], prompt: Sequence[int] = ()) -> str:
        """The text of `ids`, which follow `prompt`; special tokens are spelled out."""
        context = list(prompt[-_CONTEXT:])
        before = self._decode(context) if context else ""
        text = self._decode([*context, *ids])
        return text[len(before) :] if text.startswith(before) else self._decode(list(ids))

    def _decode(self, ids: list[int]) -> str:
        text = self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        assert isinstance(text, str)
        return text

    def stops(self, strings: tuple[str, ...]) -> Stops:
        stops = self._stops.get(strings)
        if stops is None:
            stops = self._stops[strings] = self._make_stops(strings)
        return stops

    def _make_stops(self, strings: tuple[str, ...]) -> Stops:
        if self._tokens is None:
            size = min(self.vocab_size, len(self._tokenizer))
            self._tokens = [self._decode([token]) for token in range(size)]
        watch = np.zeros(self.vocab_size, np.uint8)
        # The token that completes a stop holds the stop's last character, or a part of it if that is not ASCII; and
        # the text of a lone token may lack its white space.
        last = {string[-1] for string in strings}
        if all(char.isascii() and not char.isspace() for char in last):
            for token, text in enumerate(self._tokens):
                watch[token] = any(char in text for char in last)
        else:
            watch[:] = 1
        for token in self._eos:  # unless the end of the text is itself a stop, or a part of one
            if not any(string in self._tokens[token] for string in strings):
                watch[token] = 2
        return Stops(strings, watch, max((len(string.encode()) for string in strings), default=0) + _CONTEXT)

    def find_stop(self, ids: Sequence[int], stops: Stops, prompt: Sequence[int]) -> tuple[str, str] | None:
        """If the last of `ids` completes a stop: the text before it, and the stop."""
        tail = self._decode(list(ids[-stops.tail :]))
        if not any(string in tail for string in stops.strings):
            return None
        return first_stop(self.decode(ids, prompt), stops.strings)

    def end(
        self, ids: Sequence[int], stops: Stops, limit: int, prompt: Sequence[int]
    ) -> tuple[str, Ended, str | None] | None:
        """How a row that has just got its last token ended (text, how, which stop); None if it goes on."""
        watch = stops.watch[ids[-1]]
        if watch == 2:
            return self.decode(ids[:-1], prompt), Ended.EOS, None
        if watch == 1 and (found := self.find_stop(ids, stops, prompt)) is not None:
            return found[0], Ended.STOP, found[1]
        if len(ids) >= limit:
            return self.decode(ids, prompt), Ended.LENGTH, None
        return None


def first_stop(text: str, stops: Sequence[str]) -> tuple[str, str] | None:
    """The text before the first of `stops` in it, and that stop; of those that begin at one place the longest."""
    found = [(position, -len(stop), stop) for stop in stops if (position := text.find(stop)) >= 0]
    if not found:
        return None
    position, _, stop = min(found)
    return text[:position], stop


def chat_head(tokenizer: "PreTrainedTokenizerBase", question: str) -> str:
    """All that stands before the assistant's words, but for what the tokenizer puts at the start of every text."""
    turn = [{"role": "user", "content": question}]
    text = str(tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True))
    start = tokenizer.bos_token
    return text.removeprefix(start) if isinstance(start, str) and tokenizer("")["input_ids"] else text


def copies(one: Completion, n: int) -> list[Completion]:
    """`n` samples that are all the same: one was computed."""
    return [one, *[replace(one, cached_tokens=one.prompt_tokens)] * (n - 1)]
