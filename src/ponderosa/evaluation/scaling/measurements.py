"""What scaling laws are fitted to: models with their losses, and accuracies of methods at numbers of samples."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ponderosa.core import PonderosaError

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """A trained model. `parameters` counts all, `non_embedding` leaves the embeddings out, `tokens` are those that it
    was trained on, `loss` is held out, in nats a token.
    """

    name: str
    parameters: float
    tokens: float
    non_embedding: float
    training_flops: float
    loss: float | None = None


@dataclass(frozen=True)
class Measurement:
    """The accuracy of a model with a method at a number of samples: of so many `problems`, at `test_flops` each.

    `rates` has each problem's share of success, where it is known; measurements of equally many problems are then taken
    to be of the same ones.
    """

    model: Model
    method: str
    samples: float
    accuracy: float
    problems: int
    test_flops: float
    rates: Vector | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Measurements:
    """All that was measured, and what of it was not read."""

    models: tuple[Model, ...]
    accuracies: tuple[Measurement, ...]
    remarks: tuple[str, ...] = ()

    @cached_property
    def with_loss(self) -> tuple[Model, ...]:
        """The models whose loss is known."""
        return tuple(model for model in self.models if model.loss is not None)

    @property
    def methods(self) -> list[str]:
        """In the order in which they come."""
        return list(dict.fromkeys(point.method for point in self.accuracies))

    def curves(self) -> dict[tuple[str, str], list[Measurement]]:
        """By model and method the accuracies by samples, in order."""
        found: dict[tuple[str, str], list[Measurement]] = {}
        for point in sorted(self.accuracies, key=lambda point: point.samples):
            found.setdefault((point.model.name, point.method), []).append(point)
        return found


COLUMNS = {
    "parameters": "all parameters of the model",
    "tokens": "tokens that it was trained on",
    "non_embedding": "its parameters without embeddings; by default all",
    "training_flops": "by default 6 x parameters x tokens",
    "model": "its name; by default made of parameters, tokens and seed",
    "seed": "tells models of one shape and training apart",
    "loss": "held-out loss in nats a token",
    "method": "how answers are found: greedy, majority, pass (any of the samples), or a name of your own",
    "samples": "how many samples, rollouts, ... the method had; by default 1",
    "accuracy": "share of the problems solved, 0 to 1",
    "problems": "how many problems it was measured on",
    "test_flops": "FLOPs spent on a problem; by default 2 x parameters x test_tokens",
    "test_tokens": "tokens read and written for a problem",
    "rates": "each problem's share of success, a list of numbers or a text of 0s and 1s",
}
"""What a row of a file of points may hold. A row is a model's loss, an accuracy, or both."""


def from_rows(rows: Sequence[Mapping[str, Any]], source: str = "points") -> Measurements:
    """Measurements from rows as `COLUMNS` says. A row's `line` says where it stands, for errors.

    Raises `PonderosaError` that names the row for what is missing or cannot be.
    """
    models: dict[str, Model] = {}
    accuracies: dict[tuple[str, str, float], Measurement] = {}
    unknown: set[str] = set()
    for place, row in enumerate(rows, 1):
        where = str(row.get("line", f"{source}, row {place}"))
        unknown |= row.keys() - COLUMNS.keys() - {"line"}
        model = _model(row, where)
        known = models.get(model.name, model)
        loss = known.loss if model.loss is None else model.loss  # one row has the loss of all of the model's rows
        if replace(known, loss=loss) != replace(model, loss=loss) or known.loss not in (None, loss):
            raise PonderosaError(f"{where}: {model.name} is another model above: give each a `model` or `seed`")
        models[model.name] = replace(model, loss=loss)
        if row.get("accuracy") is not None:
            point = _accuracy(row, model, where)
            key = point.model.name, point.method, point.samples
            if key in accuracies:
                raise PonderosaError(f"{where}: {', '.join(map(str, key))} samples were measured above: keep one")
            accuracies[key] = point
        elif model.loss is None:
            raise PonderosaError(f"{where}: neither `loss` nor `accuracy`: a row needs one of them")
    if not models:
        raise PonderosaError(f"{source} has no rows: see docs/scaling.md for its columns")
    told = (f"columns that were not read: {', '.join(sorted(unknown))}",) if unknown else ()
    whole = (replace(point, model=models[point.model.name]) for point in accuracies.values())
    return Measurements(tuple(models.values()), tuple(whole), told)


def _model(row: Mapping[str, Any], where: str) -> Model:
    parameters, tokens = _number(row, "parameters", where), _number(row, "tokens", where)
    non_embedding = _number(row, "non_embedding", where, parameters)
    if non_embedding > parameters:
        raise PonderosaError(f"{where}: non_embedding is more than parameters, which counts all")
    flops = _number(row, "training_flops", where, 6 * parameters * tokens)
    seed = f", seed {row['seed']}" if row.get("seed") is not None else ""
    name = str(row.get("model") or f"{short(parameters)} on {short(tokens)}{seed}")
    loss = _number(row, "loss", where) if row.get("loss") is not None else None
    return Model(name, parameters, tokens, non_embedding, flops, loss)


def _accuracy(row: Mapping[str, Any], model: Model, where: str) -> Measurement:
    if not isinstance(row.get("method"), str):
        raise PonderosaError(f"{where}: an accuracy needs its `method`, e.g. greedy, majority or pass")
    accuracy = row["accuracy"]
    if not isinstance(accuracy, int | float) or not 0 <= accuracy <= 1:
        raise PonderosaError(f"{where}: accuracy {accuracy}: expected a share from 0 to 1")
    rates = _rates(row.get("rates"), where)
    problems = len(rates) if rates is not None else _number(row, "problems", where)
    if problems != int(problems):
        raise PonderosaError(f"{where}: problems {problems}: expected a whole number ({COLUMNS['problems']})")
    if rates is not None and abs(rates.mean() - accuracy) > 0.5 / problems + 1e-3:
        raise PonderosaError(f"{where}: the mean of rates is {rates.mean():.4f}, but accuracy is {accuracy}")
    if row.get("test_flops") is None and row.get("test_tokens") is None:
        raise PonderosaError(f"{where}: an accuracy needs `test_flops` or `test_tokens` of a problem")
    if row.get("test_flops") is not None:
        flops = _number(row, "test_flops", where)
    else:
        flops = 2 * model.parameters * _number(row, "test_tokens", where)
    return Measurement(model, row["method"], _number(row, "samples", where, 1), accuracy, int(problems), flops, rates)


def _rates(value: Any, where: str) -> Vector | None:
    if value is None:
        return None
    try:
        rates = np.asarray(list(map(float, value)), float)
    except (TypeError, ValueError):
        rates = np.array([np.nan])
    if not len(rates) or not ((rates >= 0) & (rates <= 1)).all():
        raise PonderosaError(f"{where}: rates: expected numbers from 0 to 1, or a text of 0s and 1s")
    return rates


def _number(row: Mapping[str, Any], name: str, where: str, default: float | None = None) -> float:
    value = row.get(name, default) if row.get(name) is not None else default
    if value is None:
        raise PonderosaError(f"{where}: `{name}` is missing ({COLUMNS[name]})")
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
        raise PonderosaError(f"{where}: {name} {value!r}: expected a number above 0 ({COLUMNS[name]})")
    return float(value)


def short(value: float) -> str:
    """A number of three digits with its unit, e.g. `1.12M`."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
