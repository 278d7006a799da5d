"""Reading training rows: mappings with named fields, from memory or from files."""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ponderosa.core import PonderosaError, derive_seed
from ponderosa.forest import PairRow
from ponderosa.forest import read_rows as read_data_set
from ponderosa.forest.rows import Row

T = TypeVar("T")
Rows = str | Path | Sequence[Mapping[str, Any] | str | Path]
"""Rows in memory, a file of them in JSON Lines, a data set that `ponderosa.forest` wrote (a folder), or several."""


def read_rows(
    rows: Rows, kind: type[Row], fields: Mapping[str, type], defaults: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The named fields of all rows; `kind` is that of data sets. Those that have `defaults` may be left out.

    Raises `PonderosaError` for an unreadable file or a row that lacks a field.
    """
    defaults = defaults or {}
    fields = {**fields, **{name: type(value) for name, value in defaults.items()}}
    found: list[dict[str, Any]] = []
    for source in [rows] if isinstance(rows, str | Path) else rows:
        if not isinstance(source, str | Path):
            found.append(_checked(source, fields, defaults, f"training row {len(found) + 1}"))
        elif Path(source).is_dir():
            found += [{field: getattr(row, field) for field in fields} for row in read_data_set(Path(source), kind)]
        else:
            lines = _read_lines(Path(source))
            found += [_checked(line, fields, defaults, f"{source}, row {i}") for i, line in enumerate(lines, start=1)]
    return found


def read_pairs(
    rows: Rows, fields: Mapping[str, type], defaults: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The named fields, `weight` among them, of preference pairs. Those that have `defaults` may be left out.

    Raises `PonderosaError` as `read_rows`, and for a weight that is negative or no number.
    """
    pairs = read_rows(rows, PairRow, fields, defaults)
    for number, pair in enumerate(pairs, start=1):
        if not 0 <= pair["weight"] < math.inf:
            raise PonderosaError(
                f"the weight of a preference pair must not be negative, and finite: pair {number} has {pair['weight']}"
            )
    return pairs


def split(rows: Sequence[T], share: float, key: Callable[[T], str]) -> tuple[list[T], list[T]]:
    """(rows to train on, rows held out): all of those with the same `key`, until at least `share` of all is held out.

    Which come first depends on their keys alone, so that a problem stays on its side from round to round. Of a single
    one nothing can be held out.
    """
    count = Counter(map(key, rows))
    order = sorted(count, key=lambda name: derive_seed("held out", name))
    chosen: set[str] = set()
    held = 0
    for name in order[:-1]:
        if held >= share * len(rows):
            break
        chosen.add(name)
        held += count[name]
    return [row for row in rows if key(row) not in chosen], [row for row in rows if key(row) in chosen]


def _read_lines(path: Path) -> list[Any]:
    number = 0
    found = []
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):  # noqa: B007
            if line.strip():
                found.append(json.loads(line))
    except (OSError, UnicodeDecodeError) as error:
        raise PonderosaError(f"cannot read the training rows {path}: {error}") from error
    except ValueError as error:
        raise PonderosaError(f"{path}, line {number} is not JSON: {error}") from error
    return found


def _checked(record: Any, fields: Mapping[str, type], defaults: Mapping[str, Any], place: str) -> dict[str, Any]:
    if not isinstance(record, Mapping):
        raise PonderosaError(f"{place}: a mapping with {', '.join(fields)} is expected, not {record!r}")
    checked = {}
    for field, kind in fields.items():
        value = record.get(field, defaults.get(field))
        if kind is float and isinstance(value, int):
            value = float(value)
        if kind is list and isinstance(value, tuple):
            value = list(value)
        if not isinstance(value, kind):
            raise PonderosaError(f"{place}: `{field}` must be a {kind.__name__}, not {value!r}")
        checked[field] = value
    return checked
