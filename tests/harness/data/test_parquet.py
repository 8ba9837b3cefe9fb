"""Parquet files: their rows, and small files that stand for endless ones."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.data import parquet
from harness.data.parquet import parquet_rows
from harness.errors import DataError


def write(file: Path, table: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(table), file, **options)
    return file


def test_rows_without_columns_of_bytes(tmp_path: Path) -> None:
    file = write(
        tmp_path / "a.parquet",
        {
            "prompt": ["one", "two"],
            "messages": [[{"role": "user", "content": "hi"}], []],
            "image": [b"\x00", b"\x01"],
            "nested": [{"bytes": b"\x00"}, None],
            "score": [1.5, None],
        },
    )
    assert parquet_rows(file) == [
        {"prompt": "one", "messages": [{"role": "user", "content": "hi"}], "score": 1.5},
        {"prompt": "two", "messages": [], "score": None},
    ]


def bomb(kind: str, file: Path) -> Path:
    """A file below 400 kB that stands for much: long values kept once, packed zeros, rows and lists
    without contents."""
    if kind == "a text kept once":
        long = pa.DictionaryArray.from_arrays(
            pa.array([0] * 300, pa.int32()), pa.array(["x" * 10**6])
        )
        return write(file, {"prompt": long}, compression="zstd", store_schema=False)
    if kind == "packed zeros":
        return write(
            file, {"prompt": ["\0" * 40_000_000]}, compression="gzip", use_dictionary=False
        )
    if kind == "rows of nothing":
        return write(file, {"prompt": pa.nulls(3_000_000)})
    return write(file, {"prompt": pa.array([[None] * 3_000_000])})


@pytest.mark.parametrize(
    "kind", ["a text kept once", "packed zeros", "rows of nothing", "a list of nothing"]
)
def test_bombs_are_refused_in_one_line_and_bounded_memory(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = 1 << 24
    monkeypatch.setattr(parquet, "MOST_UNPACKED", bound)
    monkeypatch.setattr(parquet, "MOST_VALUES", 1_000_000)
    file = bomb(kind, tmp_path / "bomb.parquet")
    assert file.stat().st_size < 400_000
    usual, counted = pa.default_memory_pool(), pa.proxy_memory_pool(pa.system_memory_pool())
    pa.set_memory_pool(counted)
    try:
        with pytest.raises(DataError, match=r"unpacks to more than|holds more than") as caught:
            parquet_rows(file)
    finally:
        pa.set_memory_pool(usual)
    assert "\n" not in str(caught.value)
    assert (counted.max_memory() or 0) < 6 * bound


def test_damage_is_one_line(tmp_path: Path) -> None:
    whole = io.BytesIO()
    pq.write_table(pa.table({"prompt": ["a"] * 1000}), whole)
    data = whole.getvalue()
    for number, cut in enumerate((b"", b"<html>", data[:100], data[:-6], b"PAR1" + data[200:])):
        file = tmp_path / f"{number}.parquet"
        file.write_bytes(cut)
        with pytest.raises(DataError, match="is not a parquet file") as caught:
            parquet_rows(file)
        assert "\n" not in str(caught.value)
