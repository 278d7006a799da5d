"""A reward model behind a server: a PPM, which is a sequence classifier with one label, or another kind (`prm`).

A PPM runs on stock vLLM (`--runner pooling`). The value of a step is `tanh(logit / scale)` as in `transformers.reward`,
the logit that of the text up to the step's end, which is what the server's `/pooling` gives without an activation.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite, tanh
from pathlib import Path as FilePath
from typing import Any

from ponderosa.core import Path, RefusedError, Scored, StepFormat
from ponderosa.models.prm_inputs import PPM, kind_of
from ponderosa.models.served.endpoints import Endpoints, EndpointSettings
from ponderosa.models.served.model import ServedModel, count, served_model
from ponderosa.models.served.prm import ServedPRM
from ponderosa.models.spec import Spec


@dataclass(frozen=True, slots=True)
class ServedRewardSettings:
    """`model` as the server names it, by default the only one it has. Where the server tells in which folder here the
    checkpoint lies, its config gives the `kind` ("ppm", or one of `prm.SERVED`) and a PPM's `scale`, here 0;
    elsewhere a PPM and a scale of 1 are assumed. `tokenizer` is a folder or a name on the Hub, by default the
    checkpoint's; a PPM needs none.
    """

    model: str = ""
    kind: str = ""
    scale: float = 0.0
    tokenizer: str = ""


class ServedReward:
    """The model at the addresses of `spec`. Any number of `score` calls at once, from any thread and event loop.

    What is scored is the text that `format` renders. Raises `PonderosaError` for options that there are not.
    """

    def __init__(self, spec: Spec, format: StepFormat) -> None:
        endpoints, self._settings = spec.settings(EndpointSettings, ServedRewardSettings)
        self._endpoints = Endpoints(spec.urls, endpoints)
        self._format = format
        self._value: Callable[[Path, bool], Awaitable[Scored]] | None = None

    async def score(self, paths: Sequence[Path], *, last_only: bool = False) -> list[Scored]:
        """For each path the values of all its steps, or of its last step only. Raises `BackendError`."""
        if self._value is None:
            self._value = await self._find()
        return list(await asyncio.gather(*(self._value(path, last_only) for path in paths)))

    def close(self) -> None:
        """Ends what is under way, and the connections."""
        self._endpoints.close()

    async def _find(self) -> Callable[[Path, bool], Awaitable[Scored]]:
        """What values a path with the model that is served."""
        model, asked = await served_model(self._endpoints, self._settings.model), self._settings
        config = _config(model)
        kind = kind_of(model.name, str((config.get("architectures") or [""])[0]), asked.kind)
        if kind == PPM:
            return partial(self._score, model.name, asked.scale or float(config.get("reward_scale") or 1.0))
        return ServedPRM(self._endpoints, model, kind, asked.tokenizer).score

    async def _score(self, model: str, scale: float, path: Path, last_only: bool) -> Scored:
        """The whole path is asked for first, so that its beginnings come from what the server then knows."""
        question, steps = path
        if not steps:
            return Scored(())
        *beginnings, whole = [self._format.render(question, steps[: end + 1]).text for end in range(len(steps))]
        (last,), tokens, cached = await self._values(model, scale, [whole])
        if last_only or not beginnings:
            return Scored((last,), tokens, cached)
        first, _, _ = await self._values(model, scale, beginnings)
        return Scored((*first, last), tokens, cached)

    async def _values(self, model: str, scale: float, texts: list[str]) -> tuple[tuple[float, ...], int, int]:
        """The values of `texts` at their ends, the tokens read for them, and how many of these the server knew."""
        body = {"model": model, "input": texts, "use_activation": False}
        answer = await self._endpoints.post("/pooling", body)
        try:
            logits = [one["data"] for one in sorted(answer["data"], key=lambda one: one["index"])]
            values = tuple(tanh(logit / scale) for (logit,) in logits)
            usage = answer.get("usage") or {}
            read = count(usage.get("prompt_tokens"))
            cached = count((usage.get("prompt_tokens_details") or {}).get("cached_tokens"))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise RefusedError(
                f"/pooling of {model} gave no logit a text: serve a classifier with one label with --runner pooling, "
                "or name another kind of model with ?kind="
            ) from error
        if len(values) != len(texts) or not all(map(isfinite, values)):
            raise RefusedError(f"/pooling of {model} gave {values} for {len(texts)} texts")
        return values, read, cached


def _config(model: ServedModel) -> dict[str, Any]:
    """The config of the checkpoint, where that lies in a folder here; else nothing."""
    if not model.folder:
        return {}
    try:
        found = json.loads((FilePath(model.folder) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
