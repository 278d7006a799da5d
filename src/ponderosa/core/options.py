"""Names with options, as commands and recipes take them: `TARGET?name=value&name=value`."""

from urllib.parse import parse_qsl

from ponderosa.core.errors import PonderosaError


def split_options(name: str) -> tuple[str, dict[str, str]]:
    """The target and its options. Raises `PonderosaError` for an option without a value."""
    target, _, query = name.partition("?")
    try:
        return target, dict(parse_qsl(query, strict_parsing=True)) if query else {}
    except ValueError:
        raise PonderosaError(f"{name}: options are written ?name=value&name=value") from None
