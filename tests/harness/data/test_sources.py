"""Rows of a data folder in each file format, and the place of each mistake."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from groundwork.errors import UserError
from harness.data import open_source
from harness.data.sources import DataSource, read_rows
from harness.errors import DataError

ROWS = [{"a": "1", "b": "x\u2028y"}, {"a": "2", "b": "é"}]
FILES = {
    "rows.jsonl": '{"a": "1", "b": "x\u2028y"}\n\n{"a": "2", "b": "é"}\n',
    "rows.json": '[{"a": "1", "b": "x\u2028y"}, {"a": "2", "b": "é"}]',
    "rows.csv": "a,b\n1,x\u2028y\n2,é\n",
}


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_rows_also_gzipped_and_marked(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name].encode())
    assert read_rows(path) == ROWS
    fingerprint = DataSource("dir", tmp_path).fingerprint(name)
    path.write_bytes(b"\xef\xbb\xbf" + FILES[name].encode())
    assert read_rows(path) == ROWS, "a byte-order mark is no part of the data"
    path.rename(path.with_name("old"))
    path.with_name(f"{name}.gz").write_bytes(gzip.compress(FILES[name].encode()))
    source = open_source(tmp_path)
    assert source.rows("absent.jsonl", name) == ROWS
    assert source.fingerprint(name) == fingerprint


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("r.jsonl", b'{"a": 1}\n{"a": null}', r"r.jsonl:2: the row has no field 'a'"),
        ("r.jsonl", b'{"a": 1}\n{', r"r.jsonl:2: not valid JSON"),
        ("r.json", b'{"a": 1}', "not a list of objects"),
        ("r.csv", b"a,b\n1,2\n", None),
        ("r.csv", b"b\n2\n", r"r.csv:2: the row has no field 'a'"),
        ("r.jsonl", b"\xff\xfe", "not UTF-8"),
        ("r.jsonl.gz", b"no gzip", "r.jsonl.gz"),
    ],
)
def test_mistakes_name_file_and_line(
    name: str, content: bytes, match: str | None, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    if match is None:
        assert read_rows(tmp_path / name, ["a"]) == [{"a": "1", "b": "2"}]
        return
    with pytest.raises(UserError, match=match):
        read_rows(tmp_path / name, ["a"])


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "gsm8k").mkdir()
    (tmp_path / "gsm8k" / "train.jsonl").touch()
    with pytest.raises(DataError, match=r"no gsm8k/test.jsonl in .* \(there: train.jsonl\)"):
        open_source(tmp_path).path("gsm8k/test.jsonl")
    with pytest.raises(DataError, match="no data folder"):
        open_source(tmp_path / "absent")


def test_the_label_is_no_path(tmp_path: Path) -> None:
    assert open_source(tmp_path).label == "dir"
    assert open_source("sample").label == "sample@1"


def test_parquet_is_read_and_a_false_one_is_named(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = [
        {"prompt": "p", "chosen": [{"role": "assistant", "content": "a"}]},
        {"prompt": "q", "chosen": None},
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "f.parquet")
    assert read_rows(tmp_path / "f.parquet", required=("prompt",)) == rows
    with pytest.raises(DataError, match=r"f.parquet:2: the row has no field 'chosen'"):
        read_rows(tmp_path / "f.parquet", required=("chosen",))
    (tmp_path / "g.parquet").write_text("x")
    with pytest.raises(DataError, match=r"g.parquet is not a parquet file"):
        read_rows(tmp_path / "g.parquet")
