"""A policy behind any server with OpenAI's interface: vLLM, SGLang, llama.cpp, transformers serve, a provider's.

`completions` sends a prompt's exact text. `chat` sends the question as the user's turn and the steps so far as the
beginning of the assistant's, in the model's own template.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal

from ponderosa.core import Completion, Ended, PonderosaError, Prompt, RefusedError, Sampling
from ponderosa.models.served.endpoints import Endpoints, EndpointSettings
from ponderosa.models.served.model import ServedModel, count, served_model
from ponderosa.models.spec import Api, Spec
from ponderosa.models.text import copies, first_stop

CONTINUE = "Go on exactly where your answer stopped. Do not repeat any of it."
_SEEDS = 2**31  # some servers take 32 bits


@dataclass(frozen=True, slots=True)
class ServedPolicySettings:
    """`model` as the server names it, by default the only one it has.

    `prefill` says whether a chat server goes on where the assistant's turn stops: "yes", "no", or "auto", which knows
    of vLLM, SGLang and llama.cpp. Others are asked in a further turn to go on. `seeds` "no" sends none, to servers that
    take none (vLLM on a CPU fails at them while it reads a prompt in parts: start it with --no-enable-chunked-prefill).
    """

    model: str = ""
    api: Api = "completions"
    prefill: Literal["yes", "no", "auto"] = "auto"
    seeds: Literal["yes", "no"] = "yes"


def _plainly(sampling: Sampling) -> dict[str, Any]:
    """vLLM, SGLang: what is left out would be as the model's generation config has it."""
    return {"top_k": sampling.top_k or -1, "min_p": 0.0, "repetition_penalty": 1.0}


def _as_llamacpp(sampling: Sampling) -> dict[str, Any]:
    """By default it cuts at 40 tokens and at a twentieth of the likeliest's probability."""
    return {"top_k": sampling.top_k, "min_p": 0.0}


def _as_transformers(sampling: Sampling) -> dict[str, Any]:
    """It samples only where the config says so, and then, by default, from 50 tokens."""
    config = {"do_sample": sampling.temperature > 0, "top_k": sampling.top_k, "repetition_penalty": 1.0}
    return {"generation_config": json.dumps(config)}


@dataclass(frozen=True, slots=True)
class _Family:
    """What servers of a kind take beyond OpenAI's interface.

    `sampling` is how a request says `top_k`, and that nothing else bends the distribution; `prefill` what makes the
    server go on with a turn; `many` whether it gives several samples for one request.
    """

    extras: dict[str, Any] = field(default_factory=dict)
    sampling: Callable[[Sampling], dict[str, Any]] | None = None
    prefill: dict[str, Any] | None = None
    many: bool = True


_MARKERS = {"skip_special_tokens": False, "spaces_between_special_tokens": False}  # stop strings may be special tokens
_GO_ON = {"continue_final_message": True, "add_generation_prompt": False}
_FAMILIES = {
    "vllm": _Family(_MARKERS | {"return_token_ids": True}, _plainly, prefill=_GO_ON),
    "sglang": _Family({"skip_special_tokens": False}, _plainly, prefill={"continue_final_message": True}),
    "llamacpp": _Family(sampling=_as_llamacpp, prefill={}),
    "transformers": _Family(sampling=_as_transformers, many=False),
}
_OTHER = _Family()


class ServedPolicy:
    """The model at the addresses of `spec`. Any number of `propose` calls at once, from any thread and event loop.

    Raises `PonderosaError` for options that there are not. Where the server does not say which stop string ended a
    text, `Completion.stop` is None and the format finds out from the text. Log-probabilities are as the server counts
    them: vLLM's, by default, before the temperature.
    """

    def __init__(self, spec: Spec) -> None:
        endpoints, self._settings = spec.settings(EndpointSettings, ServedPolicySettings)
        self._endpoints = Endpoints(spec.urls, endpoints)
        self._found: ServedModel | None = None
        self._one_each = False

    async def propose(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        """`n` continuations of `prompt`. Raises `BackendError`, and `RefusedError` for what the server will not do."""
        if n <= 0:
            return []
        if self._found is None:
            self._found = await served_model(self._endpoints, self._settings.model)
            self._one_each = not _FAMILIES.get(self._found.family, _OTHER).many
        if sampling.temperature == 0 and n > 1:  # they are all the same, and vLLM refuses
            (one,) = await self.propose(prompt, 1, sampling, seed)
            return copies(one, n)
        if not self._one_each:
            found = await self._ask(prompt, n, sampling, seed)
            if len(found) >= n:
                return found[:n]
            self._one_each = True  # it gives fewer than were asked for
        rows = await asyncio.gather(*(self._ask(prompt, 1, sampling, seed + i) for i in range(n)))
        return [row[0] for row in rows]

    def close(self) -> None:
        """Ends what is under way, and the connections."""
        self._endpoints.close()

    async def _ask(self, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> list[Completion]:
        assert self._found is not None
        body = self._body(self._found, prompt, n, sampling, seed)
        path = "/v1/chat/completions" if self._settings.api == "chat" else "/v1/completions"
        while True:
            try:
                answer = await self._endpoints.post(path, body)
            except RefusedError as error:
                # A context that has no room for so many tokens may have for fewer.
                if not _too_long(str(error)):
                    raise
                if body["max_tokens"] < 2:
                    return [Completion("", Ended.LENGTH)] * n
                body["max_tokens"] //= 2
                continue
            try:
                found = _completions(answer, sampling)
            except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
                raise RefusedError(
                    f"{path} gave an answer that is not one: {error!r} in {str(answer)[:300]}"
                ) from error
            if not found:
                raise RefusedError(f"{path} gave an answer without any text: {str(answer)[:300]}")
            return found

    def _body(self, model: ServedModel, prompt: Prompt, n: int, sampling: Sampling, seed: int) -> dict[str, Any]:
        family = _FAMILIES.get(model.family, _OTHER)
        body: dict[str, Any] = {
            "model": model.name,
            "n": n,
            "max_tokens": min(sampling.max_tokens, model.context - 1) if model.context else sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            **family.extras,
        }
        if self._settings.seeds == "yes":
            body["seed"] = seed % _SEEDS
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if family.sampling is not None:
            body |= family.sampling(sampling)
        elif sampling.top_k:
            raise PonderosaError(f"the server of {model.name} takes no top_k: leave it out")
        if self._settings.api == "completions":
            return body | {"prompt": prompt.text} | ({"logprobs": 1} if sampling.logprobs else {})
        if sampling.logprobs:
            body["logprobs"] = True
        return body | self._messages(prompt, family)

    def _messages(self, prompt: Prompt, family: _Family) -> dict[str, Any]:
        messages = [{"role": "user", "content": prompt.question}]
        if not prompt.body:
            return {"messages": messages}
        messages.append({"role": "assistant", "content": prompt.body})
        how = family.prefill if self._settings.prefill == "auto" else _GO_ON
        if how is None or self._settings.prefill == "no":
            return {"messages": [*messages, {"role": "user", "content": CONTINUE}]}
        return {"messages": messages, **how}


def _completions(answer: Any, sampling: Sampling) -> list[Completion]:
    choices = sorted(answer["choices"], key=lambda choice: choice["index"])
    usage = answer.get("usage") or {}
    read = count(usage.get("prompt_tokens"))
    cached = min(read, count((usage.get("prompt_tokens_details") or {}).get("cached_tokens")))
    texts = [_text(choice) for choice in choices]
    counts = _counts(choices, texts, count(usage.get("completion_tokens")))
    return [
        Completion(
            *_ended(choice, text, sampling.stop),
            tokens=tokens,
            prompt_tokens=read,
            cached_tokens=read if i else cached,
            logprob=_logprob(choice) if sampling.logprobs else None,
        )
        for i, (choice, text, tokens) in enumerate(zip(choices, texts, counts, strict=True))
    ]


def _text(choice: Any) -> str:
    text = choice["text"] if "text" in choice else choice["message"]["content"] or ""
    if not isinstance(text, str):
        raise TypeError(f"no text, but {text!r}")
    return text.encode(errors="replace").decode()  # JSON can say what UTF-8 cannot


def _ended(choice: Any, text: str, stops: Sequence[str]) -> tuple[str, Ended, str | None]:
    """The text, and how it ended. Some servers leave the stop in the text, with what its last token held besides.

    Those that name stops name none at the end of the text; others just say "stop".
    """
    if (left := first_stop(text, stops)) is not None:
        before, stop = left
        return before, Ended.STOP, stop
    reason = choice["finish_reason"]
    if reason in ("abort", "error"):
        raise ValueError(f"a text that was broken off: {reason}")
    if reason == "length":
        return text, Ended.LENGTH, None
    for name in ("stop_reason", "matched_stop"):
        if name in choice:
            stop = choice[name]
            return (text, Ended.STOP, stop) if isinstance(stop, str) and stop in stops else (text, Ended.EOS, None)
    return (text, Ended.STOP, None) if stops else (text, Ended.EOS, None)


def _counts(choices: Sequence[Any], texts: Sequence[str], total: int) -> list[int]:
    """The tokens of each text: as the server says, else the total in proportion to the texts' lengths."""
    known = [choice.get("token_ids") for choice in choices]
    if all(ids is not None for ids in known):
        return [len(ids) for ids in known]
    whole, passed, counts = sum(map(len, texts)) or 1, 0, []
    for text in texts:
        before, passed = passed, passed + len(text)
        counts.append(round(total * passed / whole) - round(total * before / whole))
    return counts


def _logprob(choice: Any) -> float | None:
    found = choice.get("logprobs")
    if not found:
        return None
    if "token_logprobs" in found:
        total = float(sum(value for value in found["token_logprobs"] if value is not None))
    else:
        total = float(sum(token["logprob"] for token in found["content"] or ()))
    if not isfinite(total):
        raise ValueError(f"a log-probability of {total}")
    return total


_TOO_LONG = ("context length", "context size", "context window", "max_model_len", "max_tokens", "too long")


def _too_long(error: str) -> bool:
    text = error.lower()
    return "(400)" in text and any(words in text for words in _TOO_LONG)
