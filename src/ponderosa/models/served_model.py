"""What a server says of the model that it serves."""

from dataclasses import dataclass

from ponderosa.core import PonderosaError, RefusedError
from ponderosa.models.endpoints import Endpoints


@dataclass(frozen=True, slots=True)
class ServedModel:
    """`family` is the server's kind (`vllm`, `sglang`, ...), as far as it says; `folder` the checkpoint and `context`
    the tokens of its context, likewise.
    """

    name: str
    family: str = ""
    folder: str = ""
    context: int | None = None


async def served_model(endpoints: Endpoints, name: str = "") -> ServedModel:
    """The model `name`, or the only one that is served. Raises `PonderosaError` that lists what there is."""
    try:
        found = (await endpoints.get("/v1/models"))["data"]
        models = {str(entry["id"]): entry for entry in found}
    except (RefusedError, KeyError, TypeError):
        models = {}
    if not name and len(models) == 1:
        (name,) = models
    if not name:
        listed = f"it serves {', '.join(models)}" if models else "it does not say what it serves"
        raise PonderosaError(f"{endpoints.urls[0]}: name a model with ?model=NAME; {listed}")
    if models and name not in models:
        raise PonderosaError(f"{endpoints.urls[0]} has no model {name}: it serves {', '.join(models)}")
    entry = models.get(name, {})
    context = entry.get("max_model_len")
    return ServedModel(
        name,
        str(entry.get("owned_by") or ""),
        str(entry.get("root") or ""),
        context if isinstance(context, int) and context > 1 else None,
    )
