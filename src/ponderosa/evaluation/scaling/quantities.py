"""Fitted quantities: a value, its 95 % interval from refits, and whether the data determine it at all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from ponderosa.evaluation.statistics import CONFIDENCE

Vector = npt.NDArray[np.float64]

RESAMPLES = 1000
"""Refits behind an interval."""
_SPREAD = 30.0
"""A quantity that is above 0 and whose interval spans more than this factor is not determined."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A fitted value with its 95 % interval. `doubt` says why the data do not determine it; empty where they do."""

    value: float
    low: float
    high: float
    doubt: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON has no infinities: an end that is not there is None."""
        known = asdict(self)
        return {key: value if isinstance(value, str) or isfinite(value) else None for key, value in known.items()} | {
            "determined": not self.doubt
        }


def quantity(value: float, draws: Sequence[float] | Vector, doubt: str = "") -> Quantity:
    """A value with the percentile interval of its refits; infinite ones count, those that are no number do not."""
    known = np.asarray(draws, float)
    known = known[~np.isnan(known)]
    if not len(known):
        return Quantity(value, float("-inf"), float("inf"), doubt or "it could not be refitted")
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(known, [tail, 1 - tail], method="nearest")
    # The estimate is not outside of what is said of it, however skewed the draws.
    return Quantity(value, min(float(low), value), max(float(high), value), doubt)


def positive(value: float, draws: Sequence[float] | Vector, doubt: str = "", ceiling: float = float("inf")) -> Quantity:
    """A quantity that must be above 0 (an exponent, a scale): in doubt where its interval reaches 0 or its bound, or
    spans orders of magnitude.
    """
    found = quantity(value, draws, doubt)
    if not found.doubt:
        if not (isfinite(found.low) and isfinite(found.high)):
            doubt = "its interval has no end"
        elif found.low <= 0 or found.high / found.low > _SPREAD:
            doubt = "its interval spans orders of magnitude" if found.low > 0 else "it cannot be told from 0"
        elif found.high >= ceiling:
            doubt = "its interval reaches the bound of the search"
    else:
        doubt = found.doubt
    return Quantity(found.value, found.low, found.high, doubt)


def quantities(
    values: Mapping[str, float],
    draws: Sequence[Mapping[str, float]],
    kinds: Mapping[str, Callable[[float, Sequence[float], str], Quantity]],
    doubt: str = "",
) -> dict[str, Quantity]:
    """All quantities of a fit from those of its refits. `kinds` makes each; by default `quantity`."""
    return {
        name: kinds.get(name, quantity)(value, [draw[name] for draw in draws], doubt) for name, value in values.items()
    }
