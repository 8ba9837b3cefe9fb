"""Checksums: every damage is seen, large files are read once, records carry their own checksum."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from groundwork import checksums
from groundwork.checksums import (
    SMALL_BYTES,
    check_output,
    damage,
    describe,
    folder_damage,
    is_whole,
    known_sha256,
    sealed,
)
from groundwork.errors import UserError
from groundwork.files import write_json


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SSO_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "fingerprints"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose contents were read."""
    found: list[Path] = []
    real = checksums.file_sha256

    def counted(path: Path) -> str:
        found.append(path)
        return real(path)

    monkeypatch.setattr(checksums, "file_sha256", counted)
    return found


@pytest.mark.parametrize("size", [10, SMALL_BYTES + 5])
def test_a_flipped_byte_is_seen_though_size_and_time_stay(tmp_path: Path, size: int) -> None:
    file = tmp_path / "x"
    file.write_bytes(os.urandom(size))
    recorded, state = describe(file), file.stat()
    assert damage(file, recorded) == ""
    data = bytearray(file.read_bytes())
    data[size // 2] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert "damaged" in damage(file, recorded)


def test_a_large_file_is_read_once_then_known_by_size_and_times(
    tmp_path: Path, reads: list[Path]
) -> None:
    file = tmp_path / "x"
    file.write_bytes(os.urandom(SMALL_BYTES + 1))
    recorded = describe(file)
    assert [damage(file, recorded) for _ in range(3)] == ["", "", ""]
    assert reads == [file]
    assert damage(file, recorded, afresh=True) == ""
    assert reads == [file, file]


def test_a_damaged_note_is_not_believed(tmp_path: Path, cache: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(os.urandom(SMALL_BYTES + 1))
    right = known_sha256(file)
    (note,) = cache.iterdir()
    for text in ("", "f" * 64, f"{'f' * 64} {note.read_text().split()[1]}", "\xff"):
        note.write_text(text)
        assert known_sha256(file) == right


def test_missing_resized_and_pruned_outputs(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for name in ("a", "b", "model/w"):
        (tmp_path / name).write_text(name)
    outputs = {name: describe(tmp_path / name) for name in ("a", "b", "model/w")}
    assert folder_damage(tmp_path, outputs) == {}
    (tmp_path / "a").unlink()
    (tmp_path / "b").write_text("longer")
    (tmp_path / "model" / "w").unlink()
    found = folder_damage(tmp_path, outputs, ["model"])
    assert found == {"a": "is missing", "b": "has another size than recorded"}
    assert list(folder_damage(tmp_path, outputs, below="model")) == ["model/w"]


def test_any_changed_character_of_a_sealed_record_is_seen() -> None:
    record = sealed({"a": 1, "b": [1.5, None, "é"], "c": {"x": (1, 2)}})
    text = json.dumps(record)
    assert is_whole(json.loads(text))
    for place in range(len(text)):
        changed = text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1 :]
        try:
            read = json.loads(changed)
        except ValueError:
            continue
        same = isinstance(read, dict) and {k: v for k, v in read.items() if k in record} == {
            k: v for k, v in record.items() if k in read
        }
        assert same or not is_whole(read), changed
    assert is_whole({"a": 1})  # of an earlier release
    assert not is_whole([1])


def test_an_output_is_checked_by_the_record_above_it(tmp_path: Path) -> None:
    file = tmp_path / "stage" / "work" / "curve.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text("{}\n")
    check_output(file)
    shown = {"work/curve.jsonl": describe(file)}
    write_json(tmp_path / "stage" / "stage.json", {"outputs": {}, "shown": shown})
    check_output(file)
    file.write_text("[]\n")
    with pytest.raises(UserError, match=r"curve\.jsonl is damaged"):
        check_output(file)
