"""Length-prefixed JSON frames: how a search process and its execution servers talk. Never pickle."""

import json
from typing import Any

_LENGTH = 4
_encode = json.JSONEncoder(separators=(",", ":")).encode  # bound: a program may replace the names in `json`
_decode = json.JSONDecoder().decode
MAX_FRAME = 1 << 24
"""Bytes; a longer frame means that the stream is broken."""


def encode(message: dict[str, Any]) -> bytes:
    """A message as a frame. JSON's ASCII form carries any string, lone surrogates too."""
    body = _encode(message).encode("ascii")
    return len(body).to_bytes(_LENGTH, "big") + body


class Decoder:
    """Turns a stream of bytes, cut anywhere, back into messages."""

    def __init__(self, largest: int = MAX_FRAME) -> None:
        self._buffer = bytearray()
        self._largest = largest

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The messages that `data` completes, in order. Raises ValueError if the stream is not one of frames."""
        buffer = self._buffer
        buffer += data
        messages = []
        start = 0
        while len(buffer) - start >= _LENGTH:
            end = start + _LENGTH + int.from_bytes(buffer[start : start + _LENGTH], "big")
            if end - start > self._largest:
                raise ValueError(f"frame of {end - start} bytes: the stream is broken")
            if len(buffer) < end:
                break
            messages.append(_object(buffer[start + _LENGTH : end]))
            start = end
        del buffer[:start]
        return messages


def _object(body: bytes | bytearray) -> dict[str, Any]:
    try:
        message = _decode(body.decode("ascii"))
    except RecursionError:
        raise ValueError("a frame that is nested too deep") from None
    if not isinstance(message, dict):
        raise ValueError("a frame that holds no object")
    return message
