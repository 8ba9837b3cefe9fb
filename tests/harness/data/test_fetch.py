"""Addresses and errors of single downloads (whole downloads: test_install.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.data.fetch import UnreachableError, WrongChecksumError, fetch
from harness.errors import DataError
from tests.harness.data.data_server import Server, server
from tests.harness.data.manifest_entries import GITHUB, HUB, ROWS, entry, parquet_entry, sha

__all__ = ["server"]  # a fixture


def test_a_part_of_each_host(server: Server, tmp_path: Path) -> None:
    server.files = {GITHUB: ROWS, HUB: b"PAR1"}
    file = entry(revision="a" * 40)
    server.files[GITHUB.replace("v1", "a" * 40)] = ROWS
    found = fetch(file, file.sources[0], tmp_path / "g")
    assert (found.path.read_bytes(), found.commit) == (ROWS, "a" * 40)
    file = parquet_entry()
    found = fetch(file, file.sources[0], tmp_path / "h")
    assert (found.path.read_bytes(), found.commit) == (b"PAR1", "c0ffee")


@pytest.mark.parametrize("host", ["github", "hub"])
def test_each_hosts_checksum_is_compared(server: Server, tmp_path: Path, host: str) -> None:
    server.files = {GITHUB: b"other", HUB: b"other"}
    source = [
        {"path": "test.jsonl" if host == "github" else "data/test.parquet", "sha256": sha(b"x")}
    ]
    file = (entry if host == "github" else parquet_entry)(sources=source)
    with pytest.raises(WrongChecksumError, match=f"has sha256 {sha(b'other')}, the manifest says"):
        fetch(file, file.sources[0], tmp_path)


@pytest.mark.parametrize(
    ("status", "error", "match"),
    [
        (404, DataError, r"does not exist \(404\)"),
        (418, DataError, "the server answers 418"),
        (503, UnreachableError, "the server answers 503"),
    ],
)
@pytest.mark.parametrize("host", ["github", "hub"])
def test_statuses(
    server: Server, tmp_path: Path, host: str, status: int, error: type[Exception], match: str
) -> None:
    server.files = {GITHUB: ROWS, HUB: ROWS}
    server.statuses = [status] * 40
    file = entry() if host == "github" else parquet_entry()
    with pytest.raises(error, match=match):
        fetch(file, file.sources[0], tmp_path)
