"""A reward from a checkpoint of Hugging Face transformers in this process: a PPM, or another kind of `PRM_INPUTS`.

A PPM is a sequence classifier with one label. The value of a step is `tanh(logit / scale)` with the logit at the step's
last token (rStar-Math, section 3.3). The scale is `reward_scale` of the model's config: 1, the default, where the tanh
was trained in (the paper), or 5 as in the official code.
"""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ponderosa.core import Path, Scored, StepFormat
from ponderosa.models.prm_inputs import PPM, PRM_INPUTS, SCALE
from ponderosa.models.text import Text
from ponderosa.models.transformers.heads import MODELS, head_of
from ponderosa.models.transformers.loading import Checkpoint, loaded
from ponderosa.models.transformers.scoring import ScoreRequest, Scoring, prepared, rendered
from ponderosa.models.transformers.sharing import share_prefixes
from ponderosa.models.worker import Engine, Worker


class TransformersReward:
    """Serves any number of concurrent `score` calls from one thread, batched.

    `model` is a folder in Hugging Face format (or a name on the Hub), or a model, then with its `tokenizer`. What is
    scored is the text that `format` renders, or, with a `kind` of `PRM_INPUTS`, what that reads. About
    `max_step_tokens` tokens are computed at a time; what a path has in common with earlier ones comes from a cache of
    `cache_mib` MiB. `dtype` None is float32 on a CPU and the checkpoint's own elsewhere. `threads` are torch's in the
    reward's thread.
    """

    def __init__(
        self,
        model: Checkpoint | PreTrainedModel,
        format: StepFormat,
        tokenizer: PreTrainedTokenizerBase | None = None,
        *,
        kind: str = PPM,
        device: str = "auto",
        dtype: str | torch.dtype | None = None,
        max_step_tokens: int = 4096,
        cache_mib: int = 256,
        threads: int = 1,
    ) -> None:
        self.name, self._model, tokenizer = loaded(MODELS[kind], model, tokenizer, device, dtype)
        self._attention = self._model.config._attn_implementation
        self._text = Text(tokenizer, self._model.config.get_text_config().vocab_size, ())
        prm = None if kind == PPM else PRM_INPUTS[kind](tokenizer)
        self._read = prepared(prm) if prm else rendered(self._text, format)
        self._head = head_of(self.name, self._model, prm.answers if prm else None)
        self._scale = SCALE if prm else float(getattr(self._model.config, "reward_scale", 1.0))
        self._limits = (max_step_tokens, cache_mib << 20)
        self._threads = threads
        self._worker: Worker[ScoreRequest, list[Scored]] = Worker(f"reward {self.name}", self._make_engine)

    async def score(self, paths: Sequence[Path], *, last_only: bool = False) -> list[Scored]:
        """For each path the values of all its steps, or of its last step only. Raises `BackendError`."""
        return await self._worker.ask(ScoreRequest(paths, last_only))

    def close(self) -> None:
        """Fails what is pending, ends the thread and leaves the model as it was."""
        self._worker.close()
        self._model.set_attn_implementation(self._attention)

    def _make_engine(self) -> Engine[ScoreRequest, list[Scored]]:
        torch.set_num_threads(self._threads)
        shared = share_prefixes(self._model)
        return Scoring(self._model, self._read, self._head, self._scale, *self._limits, shared=shared)
