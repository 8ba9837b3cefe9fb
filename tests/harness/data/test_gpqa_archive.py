"""GPQA from its encrypted archive: read in memory, never on disk in the clear.

The archives are made here with the cipher of the zip format (PKWARE APPNOTE, section 6.1), which the
official one uses; the questions in them are invented.
"""

from __future__ import annotations

import binascii
import csv
import io
import struct
from pathlib import Path
from typing import Any

import pytest

from groundwork.files import file_sha256
from harness.contamination import find_overlaps
from harness.data import open_source
from harness.data.gpqa_archive import ARCHIVE, PASSWORD, SUBSETS, gpqa_file, read_gpqa
from harness.data.install import take_archive
from harness.data.manifest import DataFile
from harness.data.verify import verify
from harness.errors import DataError

COLUMNS = ("Record ID", "Question", "Correct Answer")
TABLE = [0] * 256
for _byte in range(256):
    _value = _byte
    for _ in range(8):
        _value = (_value >> 1) ^ (0xEDB88320 if _value & 1 else 0)
    TABLE[_byte] = _value


def encrypted(content: bytes, password: bytes, check: int) -> bytes:
    """The 12-byte header and the content under zip's own stream cipher."""
    keys = [0x12345678, 0x23456789, 0x34567890]

    def crc(value: int, byte: int) -> int:
        return (value >> 8) ^ TABLE[(value ^ byte) & 0xFF]

    def update(byte: int) -> None:
        keys[0] = crc(keys[0], byte)
        keys[1] = ((keys[1] + (keys[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = crc(keys[2], keys[1] >> 24)

    for byte in password:
        update(byte)
    out = bytearray()
    for byte in bytes(11) + bytes([check]) + content:
        mask = keys[2] | 2
        out.append(byte ^ (((mask * (mask ^ 1)) >> 8) & 0xFF))
        update(byte)
    return bytes(out)


def archive(members: dict[str, bytes], password: bytes = PASSWORD) -> bytes:
    """A zip file of stored, encrypted members."""
    body, index = b"", b""
    for name, content in members.items():
        crc = binascii.crc32(content)
        data = encrypted(content, password, crc >> 24)
        common = struct.pack(
            "<HHHHHIIIHH", 20, 1, 0, 0, 0x21, crc, len(data), len(content), len(name), 0
        )
        index += b"PK\1\2" + struct.pack("<H", 20) + common
        index += struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + name.encode()
        body += b"PK\3\4" + common + name.encode() + data
    end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(index), len(body), 0)
    return body + index + b"PK\5\6" + end


def table(subset: str, rows: int) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    writer.writerows([f"rec-{subset}-{n}", f"Invented\nquestion {n}?", "yes"] for n in range(rows))
    return out.getvalue().encode()


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """An archive with the official layout and as many rows."""
    path = tmp_path / "given.zip"
    members = {f"dataset/gpqa_{s}.csv": table(s, rows) for s, rows in SUBSETS.items()}
    path.write_bytes(archive(members))
    return path


def entry(sha256: str) -> DataFile:
    given: dict[str, Any] = {
        "path": ARCHIVE,
        "host": "github",
        "repo": "idavidrein/gpqa",
        "revision": "main",
        "sources": [{"path": "dataset.zip", "sha256": sha256}],
        "access": "encrypted",
        "licence": "CC BY 4.0",
        "megabytes": 2,
    }
    return DataFile.model_validate(given)


def test_a_given_archive_is_taken_verified_and_read_in_memory(
    official: Path, tmp_path: Path
) -> None:
    folder, file = tmp_path / "data", entry(file_sha256(official))
    assert take_archive(file, official, folder).status == "fetched"
    assert take_archive(file, official, folder).status == "present"
    data = open_source(folder)
    for subset, count in SUBSETS.items():
        rows = read_gpqa(data, subset, required=COLUMNS)
        assert len(rows) == count
        assert rows[3] == {
            "Record ID": f"rec-{subset}-3",
            "Question": "Invented\nquestion 3?",
            "Correct Answer": "yes",
        }
    assert [check.status for check in verify(folder, [file])] == ["ok"]
    written = b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())
    assert b"Invented" not in written
    assert sorted(p.name for p in folder.rglob("*") if p.is_file()) == [
        ".data.lock",
        "data.lock.json",
        "dataset.zip",
    ]


def test_contamination_reads_the_archive_and_tells_no_text(official: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    take_archive(entry(file_sha256(official)), official, folder)
    (found,) = find_overlaps({"a": "INVENTED question 5"}, open_source(folder), ["gpqa"])
    assert vars(found) == {
        "query_id": "a",
        "benchmark": "gpqa",
        "item_id": "gpqa/rec-extended-5",
        "kind": "exact",
        "detail": "all 3 words",
    }


def test_another_archive_is_refused(official: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"given\.zip is not the official dataset\.zip"):
        take_archive(entry("0" * 64), official, tmp_path / "data")
    with pytest.raises(DataError, match="no file"):
        take_archive(entry("0" * 64), tmp_path / "absent.zip", tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not a zip file", "not the official archive"),
        (archive({"dataset/other.csv": b"a"}), "holds no gpqa_main.csv"),
        (archive({"gpqa_main.csv": table("main", 2)}, b"another"), "gpqa_main.csv"),
        (archive({"gpqa_main.csv": b"Record ID,Question\nr1\n"}), "main.csv:2: .*'Question'"),
    ],
)
def test_an_unusable_archive_is_one_clear_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "gpqa").mkdir()
    (tmp_path / ARCHIVE).write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_gpqa(open_source(tmp_path), "main", required=("Record ID", "Question"))
    assert "\n" not in str(error.value)


def test_too_few_rows_are_told_by_verify(tmp_path: Path) -> None:
    path = tmp_path / ARCHIVE
    path.parent.mkdir()
    path.write_bytes(archive({f"gpqa_{s}.csv": table(s, n - 1) for s, n in SUBSETS.items()}))
    (check,) = verify(tmp_path, [entry(file_sha256(path))])
    assert check.problem.endswith("gpqa_main.csv has 447 rows, not 448")


def test_csv_files_that_are_there_are_used(tmp_path: Path) -> None:
    (tmp_path / "gpqa").mkdir()
    (tmp_path / "gpqa/gpqa_main.csv").write_bytes(table("main", 2))
    data = open_source(tmp_path)
    assert gpqa_file(data, "main") == "gpqa/gpqa_main.csv"
    assert len(read_gpqa(data, "main")) == 2
    with pytest.raises(DataError, match="data get gpqa"):
        read_gpqa(data, "diamond")
    with pytest.raises(DataError, match="no subset 'mian'"):
        read_gpqa(data, "mian")


def test_the_sample_has_gpqa_rows() -> None:
    assert len(read_gpqa(open_source("sample"), "main", required=COLUMNS)) >= 40
