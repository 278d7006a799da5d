"""A byte-level BPE tokenizer of Hugging Face as llama.cpp keeps one.

llama.cpp has no pre-tokenizers but those it knows by name, so a tokenizer's own is looked up here by its pattern.
"""

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gguf import GGUFWriter, TokenType

from ponderosa.core import PonderosaError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

PRE_TOKENIZERS = {
    GPT2: "gpt-2",
    _CL100K.replace("DIGITS", r"\p{N}"): "qwen2",
    _CL100K.replace("DIGITS", r"\p{N}{1,3}"): "llama-bpe",
    # Sapling's. GPT-2's pieces are unions of these, and no merge joins two of them: the same tokens come out, unless a
    # letter follows an "'s" or its like ("don'ts"), which GPT-2 divides after it and Sapling before its letters.
    r" ?\d| ?[A-Za-z]+|\n| ?//| ?\*\*| ?[^\sA-Za-z\d]|\s": "gpt-2",
}
"""Pattern of a pre-tokenizer -> llama.cpp's name of one that gives the same tokens."""

_ESCAPED = re.compile(r"\\(n|\W)")
_LITERAL = re.compile(r"(?:[^\\.^$*+?{}\[\]()]|\\n|\\\W)+")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens [V] with their types, merges, and the pre-tokenizer's name in llama.cpp."""

    tokens: list[str]
    types: list[TokenType]
    merges: list[str]
    pre_tokenizer: str
    eos: int | None
    bos: int | None
    pad: int | None
    adds_bos: bool
    chat_template: str | None

    @classmethod
    def of(cls, tokenizer: "PreTrainedTokenizerBase", size: int) -> "Vocabulary":
        """The vocabulary of a model with `size` rows of embeddings. Raises `PonderosaError` where llama.cpp has none.

        Added tokens stay whole wherever they occur, and so do the texts that the pre-tokenizer's pattern begins with:
        llama.cpp keeps those whole after a letter too, where the pattern would not. Nor does it normalise (NFC).
        """
        record: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
        model = record["model"]
        if model["type"] != "BPE" or (record["normalizer"] or {"type": "NFC"})["type"] != "NFC":
            raise _unknown("is no byte-level BPE")
        if len(tokenizer) > size:
            raise _unknown(f"has {len(tokenizer)} tokens, and the model {size}")
        name, whole = _pre_tokenizer(record["pre_tokenizer"])
        tokens, types = [f"[PAD{i}]" for i in range(size)], [TokenType.UNUSED] * size
        for token, index in model["vocab"].items():
            tokens[index], types[index] = token, TokenType.NORMAL
        for text in whole:
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            if len(ids) != 1:
                raise _unknown(f"keeps {text!r} in one piece, which is no token")
            tokens[ids[0]], types[ids[0]] = text, TokenType.USER_DEFINED
        for token in record["added_tokens"]:
            special = TokenType.CONTROL if token["special"] else TokenType.USER_DEFINED
            tokens[token["id"]], types[token["id"]] = token["content"], special
        start = tokenizer("")["input_ids"]
        if start not in ([], [tokenizer.bos_token_id]):
            raise _unknown("puts more than one token at the start of a text")
        return cls(
            tokens,
            types,
            [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]],
            name,
            tokenizer.eos_token_id,
            tokenizer.bos_token_id,
            tokenizer.pad_token_id,
            bool(start),
            tokenizer.chat_template if isinstance(tokenizer.chat_template, str) else None,
        )

    def write(self, writer: GGUFWriter) -> None:
        """Adds the vocabulary to a file's metadata."""
        writer.add_tokenizer_model("gpt2")  # llama.cpp's name for byte-level BPE
        writer.add_tokenizer_pre(self.pre_tokenizer)
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.types)
        writer.add_token_merges(self.merges)
        if self.eos is not None:
            writer.add_eos_token_id(self.eos)
        if self.bos is not None:
            writer.add_bos_token_id(self.bos)
        if self.pad is not None:
            writer.add_pad_token_id(self.pad)
        writer.add_add_bos_token(self.adds_bos)
        writer.add_add_eos_token(False)
        if self.chat_template:
            writer.add_chat_template(self.chat_template)


def _pre_tokenizer(record: dict[str, Any] | None) -> tuple[str, list[str]]:
    """llama.cpp's name of a pre-tokenizer, and the texts that it keeps whole."""
    parts = record["pretokenizers"] if record and record["type"] == "Sequence" else [record]
    match [part for part in parts if part]:
        case [{"type": "ByteLevel", "use_regex": True, "add_prefix_space": False}]:
            return PRE_TOKENIZERS[GPT2], []
        case [
            {"type": "Split", "pattern": {"Regex": str(pattern)}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "use_regex": False, "add_prefix_space": False},
        ]:
            whole = []
            while pattern not in PRE_TOKENIZERS:
                first, _, pattern = pattern.partition("|")
                if not pattern or not _LITERAL.fullmatch(first):
                    break
                whole.append(_ESCAPED.sub(lambda escaped: escaped[1].replace("n", "\n"), first))
            else:
                return PRE_TOKENIZERS[pattern], whole
    raise _unknown("splits texts as no pre-tokenizer of llama.cpp that is known here")


def _unknown(reason: str) -> PonderosaError:
    return PonderosaError(f"the checkpoint's tokenizer {reason}: convert it with llama.cpp's convert_hf_to_gguf.py")
