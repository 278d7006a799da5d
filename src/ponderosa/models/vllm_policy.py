"""A policy that samples with vLLM in this process; the engine itself runs in processes of its own."""

import itertools
import multiprocessing
import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

# Standard output is the commands'. vLLM reads these when it is imported.
os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")

from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.exceptions import VLLMError
from vllm.platforms import current_platform
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError

from ponderosa.core import BackendError, Completion, Ended, PonderosaError, Prompt, RefusedError, Sampling
from ponderosa.models.loop import LoopThread
from ponderosa.models.spec import VLLMSettings
from ponderosa.models.text import chat_head, copies
from ponderosa.models.transformers.loading import Checkpoint, require_checkpoint

_SEEDS = 2**63
_DRAIN_S = 5.0
"""How long the engine may take to end by itself."""


class VLLMPolicy:
    """The checkpoint `model`, a folder in Hugging Face format or a name on the Hub. Any number of `propose` calls at
    once, from any thread and event loop; vLLM batches what is pending.

    Prompts are exact texts, or with `api` "chat" turns in the model's own template, as in `TransformersPolicy`.
    Log-probabilities are at the sampling temperature, after top-k and top-p. Raises `PonderosaError` for a model that
    cannot be loaded.
    """

    def __init__(self, model: Checkpoint, settings: VLLMSettings | None = None) -> None:
        settings = settings or VLLMSettings()
        self.name = str(model)
        require_checkpoint(self.name)
        self._thread = LoopThread(f"policy {self.name}")
        self._numbers = itertools.count()
        others = set(multiprocessing.active_children())
        # The engine is made where no loop runs, so that its loop becomes that of the first request: the thread's.
        with ThreadPoolExecutor(1) as aside:
            self._engine = aside.submit(_start, self.name, settings).result()
        self._guard = _guard([str(child.pid) for child in multiprocessing.active_children() if child not in others])
        self._tokenizer = self._engine.get_tokenizer() if settings.api == "chat" else None
        if self._tokenizer is not None and not self._tokenizer.chat_template:
            self.close()
            raise PonderosaError(f"{self.name} has no chat template: leave api=chat out")

    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        """`n` continuations of `prompt`. Raises `BackendError`, and `RefusedError` for a prompt that is too long."""
        if n <= 0:
            return []
        if self._tokenizer is not None:
            prompt = replace(prompt, head=chat_head(self._tokenizer, prompt.question))
        greedy = sampling.temperature == 0  # samples are all the same, and vLLM refuses to give several
        found = await self._thread.run(self._generate(prompt.text, 1 if greedy else n, sampling, seed))
        return copies(found[0], n) if greedy else found

    def close(self) -> None:
        """Ends what is under way, and the engine."""
        self._thread.close()
        self._guard.kill()
        self._guard.communicate()
        self._engine.shutdown(_DRAIN_S)

    async def _generate(self, text: str, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        try:
            params = SamplingParams(
                n=n,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                top_k=sampling.top_k,
                max_tokens=sampling.max_tokens,
                stop=list(sampling.stop),
                seed=seed % _SEEDS,
                logprobs=0 if sampling.logprobs else None,  # that of the token that was drawn
                skip_special_tokens=False,  # stop strings may be special tokens
                spaces_between_special_tokens=False,
                output_kind=RequestOutputKind.FINAL_ONLY,
            )
            (rendered,) = await self._engine.renderer.render_cmpl_async([{"prompt": text}])
            async for output in self._engine.generate(rendered, params, str(next(self._numbers))):
                found = output
        except EngineDeadError as error:
            raise BackendError(f"vLLM's engine for {self.name} has ended; above is why. Run this again") from error
        except (VLLMError, ValueError) as error:
            raise RefusedError(f"vLLM refused a request: {error.__cause__ or error}") from error
        read, cached = len(found.prompt_token_ids), found.num_cached_tokens or 0
        return [
            Completion(
                one.text,
                *_ended(one.finish_reason, one.stop_reason),
                tokens=len(one.token_ids),
                prompt_tokens=read,
                cached_tokens=read if one.index else cached,
                logprob=one.cumulative_logprob if sampling.logprobs else None,
            )
            for one in sorted(found.outputs, key=lambda one: one.index)
        ]


def _start(model: str, settings: VLLMSettings) -> Any:
    options: dict[str, Any] = {
        "dtype": settings.dtype,
        "max_model_len": settings.max_model_len,
        "gpu_memory_utilization": settings.gpu_memory_utilization,
        "tensor_parallel_size": settings.tensor_parallel_size,
    }
    options = {name: value for name, value in options.items() if value}
    if current_platform.is_cpu():
        # On CPUs vLLM 0.32 fails at seeded requests whose prompts it reads in parts; to compile takes a minute there.
        options = {"dtype": "float32", "enable_chunked_prefill": False, "enforce_eager": True} | options
    try:
        return AsyncLLM.from_engine_args(
            AsyncEngineArgs(
                model,
                logprobs_mode="processed_logprobs",
                disable_log_stats=True,
                use_tqdm_on_load=False,
                **options,
            )
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise PonderosaError(f"vLLM cannot load {model}: {' '.join(str(error).split())[:300]}") from error


def _guard(pids: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Ends processes when this one does, however that is: vLLM's would stay, and keep the accelerator's memory."""
    script = f'read -r _; kill "$@"; sleep {_DRAIN_S:g}; kill -9 "$@" 2>/dev/null'  # it reads an end when we have ended
    return subprocess.Popen(["/bin/sh", "-c", script, "guard", *pids], stdin=subprocess.PIPE, start_new_session=True)


def _ended(reason: str, stop: str | int | None) -> tuple[Ended, str | None]:
    if reason == "length":
        return Ended.LENGTH, None
    if reason != "stop":
        raise RefusedError(f"vLLM ended a request itself: {reason}")
    return (Ended.STOP, stop) if isinstance(stop, str) else (Ended.EOS, None)
