"""How a model is named: a folder, a name on the Hub, a GGUF file, addresses of servers, or a scripted table; and
options after `?`.

`runs/sapling/round-4/policy?device=cuda`, `Qwen/Qwen2.5-Math-7B?engine=vllm`, `http://host:8000/v1?model=NAME&api=chat`,
several servers of one model as `http://a:8000,http://b:8000`, `policy.gguf?threads=8`, `scripted:FILE`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args, get_origin

from ponderosa.core import PonderosaError, split_options

Api = Literal["completions", "chat"]
"""Exact texts, or turns in the model's own template."""


@dataclass(frozen=True, slots=True)
class Spec:
    """`target` with its `options`, as text."""

    target: str
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Spec":
        """Raises `PonderosaError` where there is nothing before the options, or an option without a value."""
        target, options = split_options(text)
        if not target:
            raise PonderosaError(f"{text!r} names no model: name a checkpoint, or the address of a server")
        return cls(target, options)

    @property
    def served(self) -> bool:
        """Is it the address of a server?"""
        return self.target.startswith(("http://", "https://"))

    @property
    def gguf(self) -> bool:
        """Is it a file for llama.cpp?"""
        return self.target.endswith(".gguf")

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(url for url in self.target.split(",") if url)

    def settings(self, *kinds: type[Any]) -> list[Any]:
        """One dataclass of each of `kinds`, with the options that it has a field for.

        Raises `PonderosaError` for an option that none has, and for a value that is not of its field's type.
        """
        known = {f.name: f.type for kind in kinds for f in fields(kind)}
        if unknown := sorted(set(self.options) - set(known)):
            raise PonderosaError(f"{self.target} has no option {unknown[0]}: choose of {', '.join(known)}")
        return [
            kind(**{f.name: self._value(f.name, f.type) for f in fields(kind) if f.name in self.options})
            for kind in kinds
        ]

    def _value(self, name: str, kind: Any) -> Any:
        text = self.options[name]
        if get_origin(kind) is Literal:
            if text not in get_args(kind):
                raise PonderosaError(f"{self.target}: the option {name} is one of {', '.join(get_args(kind))}")
            return text
        number, what = {float: (float, "a number"), int: (int, "a whole number")}.get(kind, (str, "a text"))
        try:
            return number(text)
        except ValueError:
            raise PonderosaError(f"{self.target}: the option {name} is {what}, not {text!r}") from None


def on_hub(name: str) -> bool:
    """Is `name` (OWNER/NAME) a model of the Hugging Face Hub, in the local cache or reachable from here? Asks once."""
    if len(name.split("/")) != 2:
        return False
    try:
        from huggingface_hub import HfApi, try_to_load_from_cache

        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return True
        HfApi().model_info(name, timeout=10)
    except Exception:  # of many kinds: not installed, no network, no such name, private
        return False
    return True


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """Options of a checkpoint that is run in this process. `device` "auto" is the first GPU if there is one; `dtype` is
    by default float32 on processors and the checkpoint's own elsewhere.
    """

    device: str = "auto"
    dtype: str = ""


@dataclass(frozen=True, slots=True)
class LocalPolicySettings(LocalSettings):
    """`engine` is what computes."""

    api: Api = "completions"
    engine: Literal["transformers", "vllm"] = "transformers"


@dataclass(frozen=True, slots=True)
class LocalRewardSettings(LocalSettings):
    """`kind` of reward model: "ppm" or one of `PRM_INPUTS`; by default what its config says."""

    kind: str = ""


@dataclass(frozen=True, slots=True)
class VLLMSettings:
    """Options of a checkpoint that vLLM runs in this process, by vLLM's own names; what is 0 or empty is vLLM's to
    choose. `dtype` is float32 on processors unless said otherwise.
    """

    engine: Literal["vllm"] = "vllm"
    api: Api = "completions"
    dtype: str = ""
    max_model_len: int = 0
    gpu_memory_utilization: float = 0.0
    tensor_parallel_size: int = 0


@dataclass(frozen=True, slots=True)
class GGUFSettings:
    """Options of a GGUF file that is run in this process by llama.cpp: how many tokens it sees at most, and threads."""

    context: int = 4096
    threads: int = 1
