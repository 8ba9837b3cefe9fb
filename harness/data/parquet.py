"""Rows of a parquet file in bounded memory: such a file of a few kilobytes can stand for any number of bytes.

What the footer declares is checked before anything is read, what comes out while it is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundwork.files import MOST_UNPACKED
from harness.errors import DataError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

MOST_VALUES = 50_000_000
"""Values of all columns together, those inside lists and records included."""
MOST_COLUMNS = 10_000
BATCH_ROWS = 1024


def parquet_rows(path: Path, name: str = "") -> list[dict[str, Any]]:
    """The rows, without columns that hold bytes (images), which no reader of rows uses. ``name`` stands
    for the file in errors.

    Raises:
        DataError: no parquet file, a damaged one, or one that unpacks to more than ``MOST_UNPACKED``
            bytes or ``MOST_VALUES`` values.
    """
    import pyarrow
    import pyarrow.parquet as pq

    name = name or str(path)
    try:
        with pq.ParquetFile(path) as file:
            _check_declared(file, name)
            return _rows(file, name)
    except (pyarrow.ArrowException, OSError, OverflowError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{name} is not a parquet file: {first}") from None


def _check_declared(file: pq.ParquetFile, name: str) -> None:
    """Hold the footer's numbers against the bounds."""
    footer = file.metadata
    if footer.num_columns > MOST_COLUMNS:
        raise DataError(f"{name}: {footer.num_columns} columns are more than {MOST_COLUMNS}")
    size = values = 0
    for k in range(footer.num_row_groups):
        group = footer.row_group(k)
        size += max(0, group.total_byte_size)
        values += sum(group.column(c).num_values for c in range(group.num_columns))
    _check(name, size, max(values, footer.num_rows))


def _rows(file: pq.ParquetFile, name: str) -> list[dict[str, Any]]:
    """The rows, some at a time. No value is longer than its row group, so that a batch is bounded too."""
    footer = file.metadata
    groups = [footer.row_group(k) for k in range(footer.num_row_groups)]
    largest = max((max(1, group.total_byte_size) for group in groups), default=1)
    at_once = max(1, min(BATCH_ROWS, MOST_UNPACKED // largest))
    columns = [field.name for field in file.schema_arrow if not _holds_bytes(field.type)]
    rows: list[dict[str, Any]] = []
    size = 0
    for batch in file.iter_batches(at_once, columns=columns, use_threads=False):
        size += batch.nbytes
        _check(name, size, len(rows) + batch.num_rows)
        rows += batch.to_pylist()
    return rows


def _check(name: str, size: int, values: int) -> None:
    if size > MOST_UNPACKED:
        raise DataError(f"{name}: unpacks to more than {MOST_UNPACKED >> 30} GB")
    if values > MOST_VALUES:
        raise DataError(f"{name}: holds more than {MOST_VALUES:,} values")


def _holds_bytes(kind: Any) -> bool:
    """Whether a column's type is, or has inside it, bytes or a type of another program."""
    import pyarrow.types as types

    binary = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
    if any(test(kind) for test in binary) or hasattr(kind, "extension_name"):
        return True
    return any(_holds_bytes(kind.field(k).type) for k in range(kind.num_fields))
