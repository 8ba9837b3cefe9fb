"""Is a data folder what the manifest, and the lock file of its downloads, say it is?"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from groundwork.errors import UserError
from groundwork.files import read_bytes
from harness.data.gpqa_archive import SUBSETS, read_member
from harness.data.manifest import DataFile, Locked, manifest, read_lock
from harness.data.sources import DataSource, read_rows
from harness.errors import DataError


@dataclass(frozen=True)
class Check:
    """What was found about one file. ``checksum`` says what its sha256 was held against."""

    path: str
    status: Literal["ok", "absent", "bad"]
    checksum: Literal["manifest", "lock", "none"] = "none"
    problem: str = ""


def verify(folder: Path, files: Sequence[DataFile] | None = None) -> list[Check]:
    """Check every file of the manifest that the folder has: checksum, number of rows, fields.

    A file may be gzipped; its contents count. A file converted here has its checksum in the lock
    file; without one only rows and fields can be checked.

    Raises:
        DataError: no such folder, or a damaged lock file.
    """
    if not folder.is_dir():
        raise DataError(f"no data folder {folder}")
    locked = read_lock(folder)
    files = manifest() if files is None else files
    return [check_file(folder, file, locked.get(file.path)) for file in files]


def check_file(folder: Path, file: DataFile, locked: Locked | None) -> Check:
    """One file of the manifest in the folder."""
    path = DataSource("dir", folder).find(file.path)
    if path is None:
        return Check(file.path, "absent")
    expected = file.sha256 or (locked.sha256 if locked else None)
    source: Literal["manifest", "lock", "none"] = (
        "manifest" if file.sha256 else "lock" if locked else "none"
    )
    try:
        found = hashlib.sha256(read_bytes(path)).hexdigest()
        if expected and found != expected:
            raise DataError(f"{path}: wrong checksum: sha256 {found}, the {source} says {expected}")
        _check_rows(path, file)
    except UserError as error:
        return Check(file.path, "bad", source, str(error))
    return Check(file.path, "ok", source)


def _check_rows(path: Path, file: DataFile) -> None:
    if file.access == "encrypted":
        for subset, expected in SUBSETS.items():
            count = len(read_member(path, subset))
            if count != expected:
                raise DataError(f"{path}: gpqa_{subset}.csv has {count} rows, not {expected}")
        return
    if not file.fields and file.rows is None:
        return
    rows = read_rows(path, required=file.fields)
    if file.rows is not None and len(rows) != file.rows:
        raise DataError(f"{path}: {len(rows)} rows, the manifest says {file.rows}")
