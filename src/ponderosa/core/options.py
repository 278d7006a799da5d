"""Names with options, as commands and recipes take them: `TARGET?name=value&name=value`."""

from pathlib import Path
from urllib.parse import parse_qsl

from ponderosa.core.errors import PonderosaError


def split_options(name: str) -> tuple[str, dict[str, str]]:
    """The target and its options; a path that is there has none. Raises `PonderosaError` for options without values."""
    if "?" in name and Path(name).exists():
        return name, {}
    target, _, query = name.partition("?")
    try:
        return target, dict(parse_qsl(query, strict_parsing=True)) if query else {}
    except ValueError:
        raise PonderosaError(f"{name}: options are written ?name=value&name=value") from None
