"""Filling a data folder: download, check, convert, put in place, record in the lock file."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from groundwork.files import file_sha256
from harness.data.convert import ConversionError, convert
from harness.data.fetch import Fetched, WrongChecksumError, fetch
from harness.data.manifest import DataFile, Locked, read_lock, write_lock
from harness.data.verify import check_file
from harness.errors import DataError

PARTIAL = ".partial"
LOCK_FILE = ".data.lock"
Log = Callable[[str], None]


@dataclass(frozen=True)
class Got:
    """The outcome for one file: fetched, or present already."""

    path: str
    status: Literal["fetched", "present"]


def get(file: DataFile, folder: Path, *, force: bool = False, log: Log = lambda line: None) -> Got:
    """Make sure that the folder has one file of the manifest, whole and checked.

    A file that is present and right is left alone. An interrupted download is resumed, also by a
    later call. ``force`` replaces a file that is present and wrong. ``log`` gets one line per
    download that starts.

    Raises:
        DataError: the present file is wrong (without ``force``); gated, missing, wrong checksum.
        UnreachableError: the server can't be reached.
    """
    with _locked(folder, log):
        if _present(file, folder, force, read_lock(folder).get(file.path)):
            return Got(file.path, "present")
        partial = folder / PARTIAL / file.path.replace("/", "__")
        fetched = []
        try:
            for source in file.sources:
                log(f"downloading {file.repo}@{file.revision[:12]}:{source.path}")
                fetched.append(fetch(file, source, partial))
            _install(file, folder, fetched)
        except (WrongChecksumError, ConversionError):
            _tidy(folder, file)  # or the next call would take the parts for right
            raise
    return Got(file.path, "fetched")


def take_archive(file: DataFile, archive: Path, folder: Path, *, force: bool = False) -> Got:
    """Copy a file that the user has (GPQA's archive) into the folder, once its checksum is right.

    Raises:
        DataError: no such file, another checksum, or another file is present (without ``force``).
    """
    if not archive.is_file():
        raise DataError(f"no file {archive}")
    found = file_sha256(archive)
    if found != file.sha256:
        raise DataError(
            f"{archive} is not the official {Path(file.path).name}: sha256 {found}, the manifest "
            f"says {file.sha256}"
        )
    with _locked(folder):
        if _present(file, folder, force, None):
            return Got(file.path, "present")
        _install(file, folder, [Fetched(archive)])
    return Got(file.path, "fetched")


@contextmanager
def _locked(folder: Path, log: Log = lambda line: None) -> Iterator[None]:
    """One process at a time writes into a data folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log(f"waiting for another download into {folder}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _present(file: DataFile, folder: Path, force: bool, locked: Locked | None) -> bool:
    """Whether the folder has the file, whole and right.

    Raises:
        DataError: it has another one, and no ``force``.
    """
    found = check_file(folder, file, locked)
    if found.status == "bad" and not force:
        raise DataError(f"{found.problem} (--force replaces it)")
    return found.status == "ok"


def _install(file: DataFile, folder: Path, parts: Sequence[Fetched]) -> None:
    """Write the lock file, then put the file in place: the lock has every file in place."""
    partial = folder / PARTIAL
    partial.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=partial) as scratch:
        new = Path(scratch) / "new"
        if file.convert:
            convert(file, [part.path for part in parts], new)
        else:
            shutil.copyfile(parts[0].path, new)
        locked = Locked(
            sha256=file_sha256(new),
            repo=file.repo,
            revision=file.revision,
            commit=next((part.commit for part in parts if part.commit), ""),
            sources={s.path: file_sha256(p.path) for s, p in zip(file.sources, parts, strict=True)},
            retrieved=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        write_lock(folder, {**read_lock(folder), file.path: locked})
        target.with_name(f"{target.name}.gz").unlink(missing_ok=True)
        os.replace(new, target)
    _tidy(folder, file)


def _tidy(folder: Path, file: DataFile) -> None:
    """Remove a file's parts, and the folder of partial downloads when it is empty."""
    partial = folder / PARTIAL
    shutil.rmtree(partial / file.path.replace("/", "__"), ignore_errors=True)
    if partial.is_dir() and not any(partial.iterdir()):
        shutil.rmtree(partial, ignore_errors=True)
