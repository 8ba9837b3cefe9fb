"""Files from elsewhere: bounded when they are unpacked, one line when they are something else."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from groundwork import files
from groundwork.errors import UserError
from groundwork.files import read_bytes, read_json, read_json_lines, read_text, text_lines


def test_a_file_that_unpacks_to_anything_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_UNPACKED", 1 << 20)
    bomb = tmp_path / "x.json.gz"
    bomb.write_bytes(gzip.compress(b" " * (1 << 20)))
    assert len(read_bytes(bomb)) == 1 << 20
    bomb.write_bytes(gzip.compress(b" " * ((1 << 20) + 1)))
    with pytest.raises(UserError, match="unpacks to more than"):
        read_bytes(bomb)


@pytest.mark.parametrize(
    "data", [b"", b"no gzip", gzip.compress(b"[1]", mtime=0)[:-6]], ids=("empty", "none", "cut")
)
def test_a_damaged_gzip_file_is_one_line(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "x.json.gz"
    file.write_bytes(data)
    with pytest.raises(UserError, match=r"x\.json\.gz"):
        read_json(file)


def test_lone_surrogates_and_odd_line_ends_are_kept(tmp_path: Path) -> None:
    rows = [{"text": "a\ud800\r\nb\u2028c\x85"}, {"text": "d"}]
    file = tmp_path / "x.jsonl"
    assert files.write_json_lines(file, rows) == 2
    assert read_json_lines(file) == rows


def test_lines_one_by_one_are_those_of_the_whole_text(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    for text in ("", "one", "\ufeffa\u2028b\r\n\nc\n", "x\n" * 3):
        file.write_bytes(text.encode())
        lines = list(text_lines(file))
        whole = read_text(file).split("\n")
        assert lines == (whole[:-1] if not whole[-1] else whole)
    file.write_bytes(b"fine\n\xff\n")
    with pytest.raises(UserError, match="not UTF-8 text"):
        list(text_lines(file))
    with pytest.raises(UserError, match="no such file"):
        list(text_lines(tmp_path / "none"))
