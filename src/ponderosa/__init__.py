"""Ponderosa makes small language models reason like large ones."""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ponderosa.api.evaluating import evaluate
    from ponderosa.api.evolving import evolve
    from ponderosa.api.searching import search
    from ponderosa.core import PonderosaError, Problem, Tree
    from ponderosa.problems import load_problems
    from ponderosa.search import Budget, SearchSettings, Solution

__version__ = "0.1.0.dev0"

__all__ = [
    "Budget",
    "PonderosaError",
    "Problem",
    "SearchSettings",
    "Solution",
    "Tree",
    "evaluate",
    "evolve",
    "load_problems",
    "search",
]

_HOMES = {
    "Budget": "ponderosa.search",
    "PonderosaError": "ponderosa.core",
    "Problem": "ponderosa.core",
    "SearchSettings": "ponderosa.search",
    "Solution": "ponderosa.search",
    "Tree": "ponderosa.core",
    "evaluate": "ponderosa.api.evaluating",
    "evolve": "ponderosa.api.evolving",
    "load_problems": "ponderosa.problems",
    "search": "ponderosa.api.searching",
}
"""Where the names are, which load when they are first used."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


class _Package(ModuleType):
    """This package, in which `search` is the function: the import system would put the package of that name there."""

    @property
    def search(self) -> Any:
        return __getattr__("search")

    @search.setter
    def search(self, package: ModuleType) -> None:
        pass


sys.modules[__name__].__class__ = _Package
