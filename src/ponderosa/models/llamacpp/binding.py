"""llama.cpp through its Python binding: a model in a GGUF file, its tokens, and several sequences read side by side."""

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path

import llama_cpp
import numpy as np
import numpy.typing as npt

from ponderosa.core import BackendError, PonderosaError, Sampling

_BATCH = 512
"""Tokens that are computed at a time."""


_SILENT = llama_cpp.llama_log_callback(lambda level, text, data: None)
"""llama.cpp would tell of each tensor that it loads."""


def quantize(source: Path, out: Path, file_type: int) -> None:
    """Writes the GGUF file `source` with its weights in blocks. Raises `PonderosaError`."""
    _start()
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = file_type
    if llama_cpp.llama_model_quantize(str(source).encode(), str(out).encode(), params):
        raise PonderosaError(f"llama.cpp could not quantise {source} into {out}: is there space on the disk?")


class LlamaCpp:
    """A GGUF model that sees `context` tokens, and up to `rows` continuations of the text in sequence 0.

    For one thread at a time, but for its tokenizer. Raises `PonderosaError` for a file that llama.cpp does not read.
    """

    def __init__(self, path: Path, context: int, rows: int, threads: int) -> None:
        _start()
        if not path.is_file():
            raise PonderosaError(f"there is no file {path}: make it with `ponderosa gguf`")
        params = llama_cpp.llama_model_default_params()
        params.check_tensors = True  # weights that are no numbers
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise PonderosaError(f"cannot load {path}: it is damaged, or no GGUF model that this llama.cpp knows")
        self.tokenizer = LlamaCppTokenizer(llama_cpp.llama_model_get_vocab(self._model))
        self.context = min(context, llama_cpp.llama_model_n_ctx_train(self._model))
        self.cells = 4 * self.context
        """Tokens that all sequences may hold, those that they share counted once."""
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx, settings.n_batch, settings.n_seq_max = self.cells, _BATCH, rows + 1
        settings.n_threads = settings.n_threads_batch = threads
        settings.kv_unified = True
        self._context = llama_cpp.llama_init_from_model(self._model, settings)
        if not self._context:
            llama_cpp.llama_model_free(self._model)
            raise PonderosaError(f"no memory for {path} with {self.cells} tokens: lower its option context")
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._batch = llama_cpp.llama_batch_init(_BATCH, 0, 1)

    def close(self) -> None:
        """Frees what llama.cpp holds."""
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)

    def cut(self, sequence: int, length: int = 0) -> None:
        """Forgets all but the first `length` tokens of a sequence."""
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, length, -1)

    def fork(self, sequence: int) -> None:
        """Makes a sequence hold what sequence 0 does."""
        llama_cpp.llama_memory_seq_cp(self._memory, 0, sequence, 0, -1)

    def prefill(self, tokens: Sequence[int], start: int) -> None:
        """Reads tokens into sequence 0, the first at position `start`. Raises `BackendError`."""
        for at in range(0, len(tokens), _BATCH):
            chunk = tokens[at : at + _BATCH]
            self.decode([(token, start + at + i, 0) for i, token in enumerate(chunk)])

    def decode(self, entries: Sequence[tuple[int, int, int]]) -> None:
        """Computes tokens, each with its position and its sequence. Raises `BackendError`."""
        batch = self._batch
        batch.n_tokens = len(entries)
        for i, (token, position, sequence) in enumerate(entries):
            batch.token[i], batch.pos[i] = token, position
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
            batch.logits[i] = sequence > 0 or i == len(entries) - 1
        if code := llama_cpp.llama_decode(self._context, batch):
            raise BackendError(f"llama.cpp failed at {len(entries)} tokens ({code}): lower its option context")

    def logits(self, entry: int) -> npt.NDArray[np.float32]:
        """The logits [V] after an entry of the last `decode`, until the next."""
        pointer = llama_cpp.llama_get_logits_ith(self._context, entry)
        return np.ctypeslib.as_array(pointer, (len(self.tokenizer),))

    def draw(self, sampler: "Sampler", entry: int) -> int:
        """A token after an entry of the last `decode`; -1 is the last one."""
        return int(llama_cpp.llama_sampler_sample(sampler.chain, self._context, entry))


class Sampler:
    """Draws the tokens of one sample: temperature, then `top_k`, then `top_p` of what that leaves."""

    def __init__(self, sampling: Sampling, seed: int) -> None:
        self.chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        parts = [llama_cpp.llama_sampler_init_greedy()]
        if sampling.temperature:
            parts = [llama_cpp.llama_sampler_init_temp(sampling.temperature)]
            if sampling.top_k:
                parts.append(llama_cpp.llama_sampler_init_top_k(sampling.top_k))
            if sampling.top_p < 1:
                parts.append(llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1))
            parts.append(llama_cpp.llama_sampler_init_dist(seed % llama_cpp.LLAMA_DEFAULT_SEED))
        for part in parts:
            llama_cpp.llama_sampler_chain_add(self.chain, part)

    def close(self) -> None:
        llama_cpp.llama_sampler_free(self.chain)


class LlamaCppTokenizer:
    """The tokenizer of a GGUF file, as `models.text` uses one of transformers."""

    def __init__(self, vocab: int) -> None:
        self._vocab = vocab
        # Joined here, since llama.cpp's own detokenizer drops spaces before punctuation.
        self._pieces = [_piece(vocab, token) for token in range(llama_cpp.llama_vocab_n_tokens(vocab))]

    def __len__(self) -> int:
        return len(self._pieces)

    @property
    def ends(self) -> set[int]:
        """The tokens at which the model's text ends."""
        return {token for token in range(len(self)) if llama_cpp.llama_vocab_is_eog(self._vocab, token)}

    def __call__(self, text: str) -> Mapping[str, list[int]]:
        data = text.encode("utf-8", "replace")
        room = len(data) + 2
        ids = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self._vocab, data, len(data), ids, room, True, True)
        return {"input_ids": list(ids[:count])}

    def decode(self, ids: Sequence[int], **_: bool) -> str:
        """The text of tokens, special ones spelled out."""
        return b"".join([self._pieces[token] for token in ids]).decode("utf-8", "replace")


def _piece(vocab: int, token: int) -> bytes:
    room = 64
    while True:
        buffer = ctypes.create_string_buffer(room)
        size = int(llama_cpp.llama_token_to_piece(vocab, token, buffer, room, 0, True))
        if size >= 0:
            return buffer.raw[:size]
        room = -size


def _start() -> None:
    llama_cpp.llama_log_set(_SILENT, ctypes.c_void_p())
    llama_cpp.llama_backend_init()
