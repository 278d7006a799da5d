"""A reward model behind a server: a sequence classifier with one label on stock vLLM (`--runner pooling`).

The value of a step is `tanh(logit / scale)` as in `transformers_reward`, the logit that of the text up to the step's
end, which is what the server's `/pooling` gives without an activation.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, tanh
from pathlib import Path as FilePath

from ponderosa.core import Path, RefusedError, Scored, StepFormat
from ponderosa.models.endpoints import Endpoints, EndpointSettings
from ponderosa.models.served_model import ServedModel, served_model
from ponderosa.models.spec import Spec


@dataclass(frozen=True, slots=True)
class ServedRewardSettings:
    """`model` as the server names it, by default the only one it has. `scale` 0 is that of the checkpoint's config, as
    far as the server tells where that lies, else 1.
    """

    model: str = ""
    scale: float = 0.0


class ServedReward:
    """The model at the addresses of `spec`. Any number of `score` calls at once, from any thread and event loop.

    What is scored is the text that `format` renders. Raises `PonderosaError` for options that there are not.
    """

    def __init__(self, spec: Spec, format: StepFormat) -> None:
        endpoints, self._settings = spec.settings(EndpointSettings, ServedRewardSettings)
        self._endpoints = Endpoints(spec.urls, endpoints)
        self._format = format
        self._found: tuple[ServedModel, float] | None = None

    async def score(self, paths: Sequence[Path], *, last_only: bool = False) -> list[Scored]:
        """For each path the values of all its steps, or of its last step only. Raises `BackendError`."""
        if self._found is None:
            model = await served_model(self._endpoints, self._settings.model)
            self._found = model, self._settings.scale or _scale(model)
        return list(await asyncio.gather(*(self._score(path, last_only) for path in paths)))

    def close(self) -> None:
        """Ends what is under way, and the connections."""
        self._endpoints.close()

    async def _score(self, path: Path, last_only: bool) -> Scored:
        assert self._found is not None
        model, scale = self._found
        question, steps = path
        first = max(1, len(steps)) if last_only else 1
        texts = [self._format.render(question, steps[:end]).text for end in range(first, len(steps) + 1)]
        body = {"model": model.name, "input": texts, "use_activation": False}
        answer = await self._endpoints.post("/pooling", body)
        try:
            logits = [one["data"] for one in sorted(answer["data"], key=lambda one: one["index"])]
            values = tuple(tanh(logit / scale) for (logit,) in logits)
            usage = answer.get("usage") or {}
        except (KeyError, TypeError, ValueError) as error:
            raise RefusedError(
                f"/pooling of {model.name} gave no logit a text: "
                "serve a classifier with one label with --runner pooling"
            ) from error
        if len(values) != len(texts) or not all(map(isfinite, values)):
            raise RefusedError(f"/pooling of {model.name} gave {values} for {len(texts)} texts")
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        return Scored(values, usage.get("prompt_tokens") or 0, cached)


def _scale(model: ServedModel) -> float:
    try:
        config = json.loads((FilePath(model.folder) / "config.json").read_text(encoding="utf-8"))
        return float(config.get("reward_scale", 1.0))
    except (OSError, ValueError):
        return 1.0
