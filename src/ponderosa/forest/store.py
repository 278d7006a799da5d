"""A forest is a table: a row a node, in Parquet files that pandas, Polars, DuckDB and `datasets` read as they are.

The columns of a tree (`rollouts`, `usage`, `tree_outcome`) stand on its root's row, node 0, and are null elsewhere;
its names (`tree_id` … `seed`) stand on every row, where compression makes them cost next to nothing. The nodes of a
tree are consecutive rows, parents before children, so `children` need not be stored. `q` = `total` / `visits` is
there for readers.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponderosa.core import READABLE, SCHEMA_VERSION, Node, Outcome, PonderosaError, Tree, Usage
from ponderosa.forest.cards import Part
from ponderosa.forest.parquet import Columns, atomic, read_table, write_table

if TYPE_CHECKING:
    import pyarrow as pa

KIND = "a forest"
ROW_GROUP = 65_536
"""Nodes after which a row group ends (with the tree), which bounds the memory of writing and reading."""

_NODE_FIELDS = tuple(f.name for f in fields(Node) if f.name != "children")


def write_forest(path: Path, trees: Iterable[Tree]) -> None:
    """Writes `trees` to one file, all or nothing; trees may be made while they are written.

    A lone surrogate in a text, which UTF-8 cannot hold, is stored as U+FFFD; all else is lossless.
    Raises `PonderosaError`, which names `path`, if the disk is full or the folder cannot be written.
    """
    with atomic(path) as temporary:
        write_table(temporary, _schema(), _batches(trees), kind=KIND, version=SCHEMA_VERSION)


def read_forest(path: Path) -> Iterator[Tree]:
    """The trees of a file, or of all files `*.parquet` of a folder in order of their names, one at a time.

    Raises `PonderosaError`, which names the file, for a missing, unreadable or foreign one, and for a folder without
    any.
    """
    return (tree for shard in shards(path) for tree in _trees(shard))


def shards(path: Path) -> list[Path]:
    """The files of a forest, in order. Raises `PonderosaError` if there is none."""
    if not path.exists():
        raise PonderosaError(f"{path}: no such forest")
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("*.parquet"))
    if not files:
        raise PonderosaError(f"{path}: holds no forest (no file *.parquet)")
    return files


def forest_part(name: str, files: str, shards: Iterable[Path]) -> Part:
    """The trees of some shards as a part of a data set's card. Raises `PonderosaError` as `read_forest` does."""
    rows = trees = 0
    problems = set()
    for tree in (tree for shard in shards for tree in read_forest(shard)):
        rows, trees = rows + len(tree.nodes), trees + 1
        problems.add(tree.problem_id)
    return Part(name, "a node of a search tree", files, _schema().names, rows, len(problems), trees)


def shard_path(folder: Path, shard: int) -> Path:
    """Where shard number `shard` of a forest belongs, such that names sort as numbers do."""
    return folder / f"shard-{shard:05}.parquet"


def _batches(trees: Iterable[Tree]) -> Iterator[Columns]:
    columns: dict[str, list[Any]] = {name: [] for name in _schema().names}
    for tree in trees:
        _append(columns, tree)
        if len(columns["node"]) >= ROW_GROUP:
            yield columns
            columns = {name: [] for name in columns}
    if columns["node"]:
        yield columns


def _append(columns: dict[str, list[Any]], tree: Tree) -> None:
    n = len(tree.nodes)
    on_every_row = {
        "tree_id": tree.id,
        "problem_id": tree.problem_id,
        "index": tree.index,
        "method": tree.method,
        "question": tree.question,
        "seed": tree.seed,
    }
    on_the_root = {"rollouts": tree.rollouts, "usage": asdict(tree.usage), "tree_outcome": tree.outcome}
    for name, value in on_every_row.items():
        columns[name] += [value] * n
    for name, value in on_the_root.items():
        columns[name] += [value, *[None] * (n - 1)]
    columns["node"] += range(n)
    for name in (*_NODE_FIELDS, "q"):
        columns[name] += [getattr(node, name) for node in tree.nodes]


def _trees(path: Path) -> Iterator[Tree]:
    tree: Tree | None = None
    for row in read_table(path, kind=KIND, versions=READABLE):
        node = Node(**{name: row[name] for name in _NODE_FIELDS if name in row})
        node.outcome = Outcome(node.outcome) if node.outcome else None
        if row["node"] == 0:
            if tree is not None:
                yield tree
            tree = _tree(row, node)
        elif tree is None or row["node"] != len(tree.nodes) or not 0 <= node.parent < row["node"]:
            raise PonderosaError(f"{path}: the rows of {row['tree_id']} are not in order; write it with write_forest")
        else:
            tree.nodes[node.parent].children.append(row["node"])
            tree.nodes.append(node)
    if tree is not None:
        yield tree


def _tree(row: dict[str, Any], root: Node) -> Tree:
    return Tree(
        problem_id=row["problem_id"],
        question=row["question"],
        seed=row["seed"],
        index=row["index"],
        method=row["method"],
        nodes=[root],
        rollouts=row["rollouts"],
        usage=Usage(**row["usage"]),
        outcome=Outcome(row["tree_outcome"]) if row["tree_outcome"] else None,
    )


def _schema() -> "pa.Schema":
    import pyarrow as pa

    text, integer, real = pa.string(), pa.int64(), pa.float64()
    usage = pa.struct([(f.name, real if f.type is float else integer) for f in fields(Usage)])
    return pa.schema(
        {
            "tree_id": text,
            "problem_id": text,
            "index": integer,
            "method": text,
            "question": text,
            "seed": integer,
            "node": integer,
            "parent": integer,
            "depth": integer,
            "text": text,
            "visits": integer,
            "total": real,
            "q": real,
            "value": real,
            "reward": real,
            "outcome": text,
            "answer": text,
            "error": text,
            "output": text,
            "errors": integer,
            "tokens": integer,
            "drawn": integer,
            "prior": real,
            "action": text,
            "expanded": pa.bool_(),
            "rollouts": pa.list_(integer),
            "usage": usage,
            "tree_outcome": text,
        }
    )
