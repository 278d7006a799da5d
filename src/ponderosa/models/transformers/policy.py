"""A policy that samples from a causal language model of Hugging Face transformers, in this process."""

from dataclasses import replace
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from ponderosa.core import Completion, PonderosaError, Prompt, Sampling
from ponderosa.models.tasks import Proposal
from ponderosa.models.text import Text, chat_head
from ponderosa.models.transformers.generation import SharedPrefixGeneration
from ponderosa.models.transformers.loading import Checkpoint, loaded, require_policy
from ponderosa.models.transformers.plain import PlainGeneration
from ponderosa.models.transformers.sharing import share_prefixes
from ponderosa.models.worker import Engine, Worker


class TransformersPolicy:
    """Serves any number of concurrent `propose` calls from one thread, all of them in one continuous batch.

    `model` is a folder in Hugging Face format (or a name on the Hub), or a model, then with its `tokenizer`. At most
    `max_rows` samples are generated at a time, and about `max_step_tokens` tokens of prompts computed in a step; what a
    prompt has in common with earlier ones comes from a cache of `cache_mib` MiB. `dtype` None is float32 on a CPU and
    the checkpoint's own elsewhere. `threads` are torch's in the policy's thread.

    The prompt is the exact text, with what the tokenizer puts at the start of every text; with `chat` it is the
    question in the model's own template, and the steps so far as the beginning of the assistant's turn. A sample is
    trimmed at the first stop string, and cut off where the model's context ends. The same request gives the same
    samples in the same company; another batch may change the last bits of a logit, and so now and then a token.
    """

    def __init__(
        self,
        model: Checkpoint | PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase | None = None,
        *,
        device: str = "auto",
        dtype: str | torch.dtype | None = None,
        chat: bool = False,
        max_rows: int = 512,
        max_step_tokens: int = 4096,
        cache_mib: int = 256,
        threads: int = 1,
    ) -> None:
        if not isinstance(model, PreTrainedModel):
            require_policy(model)
        self.name, self._model, tokenizer = loaded(AutoModelForCausalLM, model, tokenizer, device, dtype)
        if chat and not tokenizer.chat_template:
            raise PonderosaError(f"{self.name} has no chat template: leave api=chat out")
        self._tokenizer = tokenizer if chat else None
        self._attention = self._model.config._attn_implementation
        self._text = Text(tokenizer, self._model.config.get_text_config().vocab_size, _eos(self._model, tokenizer))
        self._limits = (max_rows, max_step_tokens, cache_mib << 20)
        self._threads = threads
        self._worker: Worker[Proposal, list[Completion]] = Worker(f"policy {self.name}", self._make_engine)

    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        """`n` continuations of `prompt`. Raises `BackendError`."""
        if self._tokenizer is not None:
            prompt = replace(prompt, head=chat_head(self._tokenizer, prompt.question))
        return await self._worker.ask(Proposal(prompt, n, sampling, seed)) if n > 0 else []

    def close(self) -> None:
        """Fails what is pending, ends the thread and leaves the model as it was."""
        self._worker.close()
        self._model.set_attn_implementation(self._attention)

    def _make_engine(self) -> Engine[Proposal, list[Completion]]:
        torch.set_num_threads(self._threads)
        if share_prefixes(self._model):
            return SharedPrefixGeneration(self._model, self._text, *self._limits)
        return PlainGeneration(self._model, self._text, self._limits[0])


def _eos(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """The tokens at which the model's text ends, by its generation config and by its tokenizer."""
    config = model.generation_config
    ids: Any = config.eos_token_id if config is not None else None
    found = set(ids if isinstance(ids, list) else [ids]) | {tokenizer.eos_token_id}
    return {token for token in found if token is not None}
