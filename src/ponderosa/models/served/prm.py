"""Process reward models of other people on stock vLLM: read as in this process, valued by the server.

Qwen2.5-Math-PRM is one of vLLM's architectures, whose `/pooling` gives the two logits at every step's tag.
Math-Shepherd and RLHFlow are served as the language models that they are: `/v1/completions` gives the log-probabilities
of their two answers after each step. `/pooling` cannot value those: vLLM leaves out their heads there (issue 16545).
"""

from math import isfinite, tanh
from typing import Any

from ponderosa.core import Path, PonderosaError, RefusedError, Scored
from ponderosa.models.prm_inputs import PRM_INPUTS, SCALE, PRMInput
from ponderosa.models.served.endpoints import Endpoints
from ponderosa.models.served.model import ServedModel, count

SERVED = ("qwen2.5-math-prm", "math-shepherd", "rlhflow")
"""The kinds that stock vLLM serves."""


class ServedPRM:
    """A model of a kind of `SERVED`, whose tokenizer is read here, from a folder or a name on the Hub.

    Raises `PonderosaError` for another kind, and for a tokenizer that is not there or is of another kind.
    """

    def __init__(self, endpoints: Endpoints, model: ServedModel, kind: str, tokenizer: str) -> None:
        if kind not in SERVED:
            raise PonderosaError(f"vLLM serves no {kind}: name its checkpoint, which runs in this process")
        self._endpoints, self._name, self._kind = endpoints, model.name, kind
        self._prm: PRMInput = PRM_INPUTS[kind](_tokenizer(tokenizer or model.folder or model.name))

    async def score(self, path: Path, last_only: bool) -> Scored:
        """The values of all steps of `path`, or of its last one only. Raises `BackendError`."""
        question, steps = path
        if not steps:
            return Scored(())
        tokens, places = self._prm.read(question, steps)
        asked = places[-1:] if last_only else places
        try:
            if self._prm.answers is None:
                asked = places  # they all come at once
                answer, logits = await self._pooled(tokens)
            else:
                answer, logits = await self._answered([tokens[: place + 1] for place in asked], *self._prm.answers)
            values = tuple(tanh(logit / SCALE) for logit in logits)
            usage = answer.get("usage") or {}
            cached = count((usage.get("prompt_tokens_details") or {}).get("cached_tokens"))
        except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise RefusedError(
                f"{self._name} gave no values of a {self._kind}: serve it as docs/models.md says"
            ) from error
        if len(values) != len(asked) or not all(map(isfinite, values)):
            raise RefusedError(
                f"{self._name} gave {len(values)} values to {len(asked)} steps: serve it as docs/models.md says"
            )
        return Scored(values[-1:] if last_only else values, len(tokens), min(cached, len(tokens)))

    async def _pooled(self, tokens: list[int]) -> tuple[Any, list[float]]:
        """The answer, and for each tag among the tokens how much the logit for right exceeds that for wrong."""
        body = {"model": self._name, "input": [tokens], "use_activation": False}
        answer = await self._endpoints.post("/pooling", body)
        return answer, [right - wrong for wrong, right in answer["data"][0]["data"]]

    async def _answered(self, prompts: list[list[int]], right: int, wrong: int) -> tuple[Any, list[float]]:
        """The answer, and for each prompt how much likelier `right` is as the next token than `wrong`, in nats."""
        body = {
            "model": self._name,
            "prompt": prompts,
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": 1,
            "logprob_token_ids": [right, wrong],
            "return_tokens_as_token_ids": True,
        }
        answer = await self._endpoints.post("/v1/completions", body)
        choices = sorted(answer["choices"], key=lambda choice: choice["index"])
        said = [choice["logprobs"]["top_logprobs"][0] for choice in choices]
        return answer, [one[f"token_id:{right}"] - one[f"token_id:{wrong}"] for one in said]


def _tokenizer(name: str) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise PonderosaError(
            f"no tokenizer at {name}: name the served checkpoint's folder or name with ?tokenizer="
        ) from error
