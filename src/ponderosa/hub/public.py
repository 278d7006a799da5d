"""What may be told to the world: settings and names without this machine's paths, addresses and keys."""

import re
from pathlib import Path
from typing import Any

from ponderosa.hub.repository import NAME

_ADDRESS = re.compile(r"\b\w+://\S+")
_MODEL = re.compile(r"[?&]model=([^&\s]+)")
_PATH = re.compile(r"(?<![\w./])~?/+(?:[^\s/,'\"]+/+)*([^\s/,'\"]+)/?")
_KEY = re.compile(r"\b(?:hf_|sk-|sk_|ghp_)\w[\w-]{14,}")


def public(value: Any) -> Any:
    """Plain JSON values with every text made fit for a card.

    An address becomes "a server" (with the name of its model, if it has one), an absolute path its last part, and what
    looks like a key is left out.
    """
    if isinstance(value, dict):
        return {public(key): public(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [public(part) for part in value]
    if not isinstance(value, str):
        return value
    return _KEY.sub("...", _PATH.sub(r"\1", _ADDRESS.sub(_server, value)))


def hub_name(model: str) -> str | None:
    """The name under which the Hub may have a model, for a card's `base_model`; None for a folder or a server."""
    return model if NAME.fullmatch(model) and not Path(model).exists() else None


def _server(address: re.Match[str]) -> str:
    model = _MODEL.search(address[0])
    return f"{model[1]} on a server" if model else "a server"
