"""Rows of training data, and data sets of them: a folder with `train.parquet` and a data set card."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ponderosa.core.card import CARD
from ponderosa.forest.cards import Part, data_card
from ponderosa.forest.parquet import atomic, read_table, write_table

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
TABLE = "train.parquet"

Scope = Literal["step", "trajectory", "answer"]


@dataclass(frozen=True, slots=True)
class SFTRow:
    """A correct trajectory as prompt and response. `nodes` of tree `tree_id` are its steps."""

    prompt: str
    response: str
    problem_id: str
    question: str
    tree_id: str
    nodes: tuple[int, ...]
    mean_q: float
    min_q: float


@dataclass(frozen=True, slots=True)
class PairRow:
    """`chosen` is a better continuation of `prompt` than `rejected`, by `margin` in Q.

    Both continue the path to `prefix_node` of tree `tree_id`, and end at `chosen_node` and `rejected_node`: after one
    step, or, with `scope` trajectory, after all; with `scope` answer they are what is said there, without the steps on
    the way. Rows of the same tree, prefix and scope are a group; `weight` is the
    row's in the loss.
    """

    prompt: str
    chosen: str
    rejected: str
    weight: float
    margin: float
    scope: Scope
    problem_id: str
    question: str
    tree_id: str
    prefix_node: int
    chosen_node: int
    rejected_node: int


@dataclass(frozen=True, slots=True)
class LabelRow:
    """A trajectory and whether its answer is right, as outcome reward models (ORMs) are trained on."""

    prompt: str
    response: str
    correct: bool
    problem_id: str
    question: str
    tree_id: str
    nodes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ValueRow:
    """A path with what its steps are worth, as reward models learn by regression: each step's target in [-1, 1], or
    None where it is not known, or stands in another row.

    `steps` continue `prompt`, and are the `nodes` of tree `tree_id`.
    """

    prompt: str
    steps: tuple[str, ...]
    targets: tuple[float | None, ...]
    problem_id: str
    question: str
    tree_id: str
    nodes: tuple[int, ...]


Row = TypeVar("Row", SFTRow, PairRow, LabelRow, ValueRow)
_KINDS: dict[type, str] = {
    SFTRow: "SFT rows",
    PairRow: "preference pairs",
    LabelRow: "labelled trajectories",
    ValueRow: "step values",
}
_WHAT: dict[type, str] = {
    SFTRow: "a correct trajectory",
    PairRow: "a preference pair",
    LabelRow: "a trajectory with its label",
    ValueRow: "a path with the values of its steps",
}


def write_rows(
    folder: Path, kind: type[Row], rows: Iterable[Row], *, source: str, settings: Mapping[str, Any], note: str = ""
) -> None:
    """Writes a data set that `datasets.load_dataset(folder)` reads, with a card of its counts, `source` and `settings`.

    `source` says in words where the trees are from; `settings` are plain JSON values; a `note` is a line of the card.
    The folder appears when it is whole, in place of one that was there. Raises `PonderosaError`, which names it, if it
    cannot be written.
    """
    rows = list(rows)
    columns = {f.name: [getattr(row, f.name) for row in rows] for f in fields(kind)}
    with atomic(folder) as temporary:
        temporary.mkdir()
        name = _KINDS[kind]
        parts = [rows_part("default", TABLE, kind, rows)]
        text = data_card(name[0].upper() + name[1:], source, parts, settings, note=note)
        (temporary / CARD).write_text(text, encoding="utf-8")
        write_table(temporary / TABLE, _schema(kind), [columns], kind=_KINDS[kind], version=VERSION)


def rows_part(name: str, files: str, kind: type[Row], rows: Sequence[Row]) -> Part:
    """Rows as a part of a data set's card."""
    problems, trees = len({row.problem_id for row in rows}), len({row.tree_id for row in rows})
    return Part(name, _WHAT[kind], files, [f.name for f in fields(kind)], len(rows), problems, trees)


def read_rows(folder: Path, kind: type[Row]) -> list[Row]:
    """The rows of a data set. Raises `PonderosaError` if it is missing, unreadable or holds another kind."""
    make: Callable[..., Row] = kind
    found = read_table(folder / TABLE, kind=_KINDS[kind], versions=(VERSION,))
    return [make(**{k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}) for row in found]


def _schema(kind: type[Row]) -> "pa.Schema":
    import pyarrow as pa

    types: dict[Any, pa.DataType] = {
        str: pa.string(),
        Scope: pa.string(),
        int: pa.int64(),
        float: pa.float64(),
        bool: pa.bool_(),
        tuple[int, ...]: pa.list_(pa.int64()),
        tuple[str, ...]: pa.list_(pa.string()),
        tuple[float | None, ...]: pa.list_(pa.float64()),
    }
    return pa.schema({f.name: types[f.type] for f in fields(kind)})
