"""The one door to Parquet: tables are written whole or not at all, and say what they are.

A file appears under its name only when it is complete (written beside it, synced, renamed). A table's metadata name the
kind of table and the version of its schema, so that a foreign file is told from one of ours. pyarrow is imported on
first use.
"""

import errno
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponderosa.core import PonderosaError

if TYPE_CHECKING:
    import pyarrow as pa

Columns = Mapping[str, list[Any]]
"""Column name -> its values; all of one length."""

_KIND = b"ponderosa.kind"
_VERSION = b"ponderosa.schema"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A name beside `path`, for a file or a folder, that becomes `path` if the block succeeds and vanishes if it fails.

    What a killed process left under that name is removed first. Raises `PonderosaError`, which names `path`, when the
    disk is full or the place cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)
        try:
            yield temporary
            _sync(temporary)
            if temporary.is_dir():
                _remove(path)  # a folder is not renamed over another
            temporary.replace(path)
        finally:
            _remove(temporary)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else error.strerror or _first_line(error)
        cure = "free some space" if full else "see that it can be written"
        raise PonderosaError(
            f"cannot write {path}: {reason}. Nothing finished is lost; {cure} and run the same command again"
        ) from error


def write_table(path: Path, schema: "pa.Schema", batches: Iterable[Columns], *, kind: str, version: int) -> None:
    """Writes a table to `path`, a name that `atomic` gave: zstd-compressed Parquet, a row group a batch."""
    import pyarrow.parquet as pq

    schema = schema.with_metadata({_KIND: kind.encode(), _VERSION: str(version).encode()})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(_record_batch(batch, schema))


def read_table(path: Path, *, kind: str, versions: Collection[int]) -> Iterator[dict[str, Any]]:
    """The rows of a table that `write_table` wrote, in order, a row group in memory at a time.

    Raises `PonderosaError`, which names `path`, if it is missing, unreadable, or not a table of this kind and of one of
    these versions.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _check(path, file.schema_arrow.metadata or {}, kind, versions)
            for group in range(file.num_row_groups):
                yield from file.read_row_group(group).to_pylist()
    except FileNotFoundError as error:
        raise PonderosaError(f"{path}: no such file") from error
    except (pa.ArrowException, OSError) as error:
        raise PonderosaError(f"{path}: unreadable ({_first_line(error)}); delete it and make it again") from error


def _sync(path: Path) -> None:
    """Content must reach the disk before the rename does."""
    for file in path.iterdir() if path.is_dir() else [path]:
        with open(file, "rb+") as handle:
            os.fsync(handle.fileno())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _check(path: Path, metadata: Mapping[bytes, bytes], kind: str, versions: Collection[int]) -> None:
    if (found := metadata.get(_KIND, b"").decode()) != kind:
        raise PonderosaError(f"{path}: holds {found or 'a table of another program'}, not {kind}")
    if (found := metadata.get(_VERSION, b"").decode()) not in map(str, versions):
        readable = " and ".join(map(str, versions))
        raise PonderosaError(f"{path}: {kind} of schema {found}; this version of Ponderosa reads {readable}")


def _record_batch(columns: Columns, schema: "pa.Schema") -> "pa.RecordBatch":
    import pyarrow as pa

    return pa.record_batch([_array(columns[field.name], field.type) for field in schema], schema=schema)


def _array(values: list[Any], type_: "pa.DataType") -> "pa.Array":
    import pyarrow as pa

    try:
        return pa.array(values, type_)
    except UnicodeEncodeError:  # a lone surrogate, which a program may print, has no UTF-8: one bad text costs no table
        return pa.array([_encodable(v) if isinstance(v, str) else v for v in values], type_)


def _encodable(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
