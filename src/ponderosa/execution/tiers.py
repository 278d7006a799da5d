"""Tiers of execution servers: the more a server has loaded, the slower it forks, so a program gets the smallest."""

import re
from enum import StrEnum


class Tier(StrEnum):
    """What a server has loaded before it forks. Any program runs in any tier; a wrong one only costs time."""

    LIGHT = "light"
    NUMPY = "numpy"
    SYMPY = "sympy"

    @property
    def preload(self) -> tuple[str, ...]:
        """The modules that its servers import at start."""
        return {Tier.LIGHT: _LIGHT, Tier.NUMPY: (*_LIGHT, *_NUMPY), Tier.SYMPY: (*_LIGHT, *_NUMPY, "sympy")}[self]


_LIGHT = (
    "bisect", "cmath", "collections", "copy", "datetime", "decimal", "enum", "fractions", "functools", "heapq",
    "itertools", "json", "math", "operator", "random", "re", "statistics", "string", "time", "typing",
)  # fmt: skip

# numpy loads its parts when they are first used; `jail.program` seeds what is loaded.
_NUMPY = ("numpy", "numpy.linalg", "numpy.random")

_HEAVY = re.compile(r"\b(sympy|mpmath|numpy|scipy)\b")
_IMPORTS = {"sympy": Tier.SYMPY, "mpmath": Tier.SYMPY, "numpy": Tier.NUMPY, "scipy": Tier.NUMPY}


def tier_of(code: str) -> Tier:
    """The smallest tier that has what `code` names. A word in a comment may pick one too large, which is harmless."""
    names = {_IMPORTS[name] for name in _HEAVY.findall(code)} if "import" in code else set()
    return Tier.SYMPY if Tier.SYMPY in names else Tier.NUMPY if Tier.NUMPY in names else Tier.LIGHT
