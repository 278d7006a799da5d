"""What a server says of the model that it serves."""

import asyncio
from dataclasses import dataclass
from typing import Any

from ponderosa.core import BackendError, PonderosaError, RefusedError
from ponderosa.models.served.endpoints import Endpoints


@dataclass(frozen=True, slots=True)
class ServedModel:
    """`family` is the server's kind (`vllm`, `sglang`, ...), as far as it says; `folder` the checkpoint and `context`
    the tokens of its context, likewise.
    """

    name: str
    family: str = ""
    folder: str = ""
    context: int | None = None


_FAMILIES = ("vllm", "sglang", "llamacpp")
"""Servers that say of a model that it is theirs."""
_SOON_S = 10.0


async def served_model(endpoints: Endpoints, name: str = "") -> ServedModel:
    """The model `name`, or the only one that is served. Raises `PonderosaError` that lists what there is."""
    models, silent = {}, "it does not say what it serves"
    try:
        found = (await endpoints.get("/v1/models"))["data"]
        models = {str(entry["id"]): entry for entry in found}
    except RefusedError as error:
        silent = f"{silent}: {error}"
    except (KeyError, TypeError):
        pass
    if not name and len(models) == 1:
        (name,) = models
    if not name:
        listed = f"it serves {', '.join(models)}" if models else silent
        raise PonderosaError(f"{endpoints.urls[0]}: name a model with ?model=NAME; {listed}")
    entry = models.get(name, {})
    family = str(entry.get("owned_by") or "")
    if family not in _FAMILIES and await _is_transformers(endpoints):
        return ServedModel(name, "transformers")  # of any name: the list is of what was downloaded
    if models and not entry:
        raise PonderosaError(f"{endpoints.urls[0]} has no model {name}: it serves {', '.join(models)}")
    context = entry.get("max_model_len")
    return ServedModel(
        name,
        family,
        str(entry.get("root") or ""),
        context if isinstance(context, int) and context > 1 else None,
    )


async def _is_transformers(endpoints: Endpoints) -> bool:
    """Is it `transformers serve`? Its interface says so; in the list of models it does not."""
    try:
        async with asyncio.timeout(_SOON_S):
            return "/load_model" in (await endpoints.get("/openapi.json"))["paths"]
    except (BackendError, TimeoutError, KeyError, TypeError):
        return False


def count(tokens: Any) -> int:
    """A number of tokens that a server says, 0 where it says none. Raises `TypeError` for what is no number."""
    if tokens is None:
        return 0
    if not isinstance(tokens, int) or tokens < 0:
        raise TypeError(f"{tokens!r} is no number of tokens")
    return tokens
