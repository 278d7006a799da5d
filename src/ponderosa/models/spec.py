"""How a model is named: a folder, a name on the Hub, addresses of servers, or a scripted table; and options after `?`.

`runs/sapling/round-4/policy?device=cuda`, `http://host:8000/v1?model=NAME&api=chat`, several servers of one model as
`http://a:8000,http://b:8000`, `scripted:FILE`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from ponderosa.core import PonderosaError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Spec:
    """`target` with its `options`, as text."""

    target: str
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Spec":
        """Raises `PonderosaError` where there is nothing before the options, or an option without a value."""
        target, _, query = text.partition("?")
        if not target:
            raise PonderosaError(f"{text!r} names no model: name a checkpoint, or the address of a server")
        try:
            pairs = parse_qsl(query, strict_parsing=True) if query else []
        except ValueError:
            raise PonderosaError(f"{text}: options are written ?name=value&name=value") from None
        return cls(target, dict(pairs))

    @property
    def served(self) -> bool:
        """Is it the address of a server?"""
        return self.target.startswith(("http://", "https://"))

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
        if kind is not float and kind != "float":
            return text
        try:
            return float(text)
        except ValueError:
            raise PonderosaError(f"{self.target}: the option {name} is a number, not {text!r}") from None


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """Options of a checkpoint that is run in this process. `device` "auto" is the first GPU if there is one; `dtype` is
    by default float32 on processors and the checkpoint's own elsewhere.
    """

    device: str = "auto"
    dtype: str = ""


@dataclass(frozen=True, slots=True)
class LocalPolicySettings(LocalSettings):
    """`api` "chat" asks in the model's own template."""

    api: str = "completions"
