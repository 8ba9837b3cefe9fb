"""Filling a data folder: download, check, convert, put in place, write down what it was."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from groundwork.files import file_sha256, write_json
from harness.data.download import Progress, Remote, Reply, fetch, forget, remote_of
from harness.data.manifest import DataFile, Locked, read_lock, write_lock
from harness.data.verify import check_file
from harness.errors import DataError

PARTIAL = ".partial"

Watch = Callable[[str], Progress]
"""Called with the name of a download that starts; returns what to tell its progress."""


@dataclass(frozen=True)
class Got:
    """What became of one file: fetched, or there already."""

    path: str
    status: Literal["fetched", "present"]


def no_watch(name: str) -> Progress:
    """Tells nobody."""
    return lambda done, total: None


def get(
    file: DataFile,
    folder: Path,
    *,
    force: bool = False,
    watch: Watch = no_watch,
    pause: float = 1.0,
) -> Got:
    """See to it that the folder has one file of the manifest, whole and checked.

    A file that is there and right is left alone. An interrupted download is gone on from where it
    was cut, also by a later call. ``force`` replaces a file that is there and wrong.

    Raises:
        DataError: the file there is wrong (and no ``force``), gated, not there, wrong checksum.
        UnreachableError: the server can't be reached.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = check_file(folder, file, read_lock(folder).get(file.path))
    if found.status == "ok":
        return Got(file.path, "present")
    if found.status == "bad" and not force:
        raise DataError(f"{found.problem} (--force replaces it)")
    with _one_at_a_time(folder, file):
        parts, replies = [], []
        for number, source in enumerate(file.sources):
            remote = remote_of(file, source)
            part = _part(folder, file, number)
            replies.append(_fetched(remote, part, watch, pause))
            parts.append(part)
        _install(file, folder, parts, replies)
    return Got(file.path, "fetched")


def take_archive(file: DataFile, archive: Path, folder: Path, *, force: bool = False) -> Got:
    """Copy a file that the user has (GPQA's archive) into the folder, once its checksum is right.

    Raises:
        DataError: no such file, another checksum, or another file is there (and no ``force``).
    """
    if not archive.is_file():
        raise DataError(f"no file {archive}")
    found = file_sha256(archive)
    if found != file.sha256:
        raise DataError(
            f"{archive} is not the official {Path(file.path).name}: sha256 {found}, the manifest "
            f"says {file.sha256}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    there = check_file(folder, file, None)
    if there.status == "ok":
        return Got(file.path, "present")
    if there.status == "bad" and not force:
        raise DataError(f"{there.problem} (--force replaces it)")
    with _one_at_a_time(folder, file):
        part = _part(folder, file, 0)
        shutil.copyfile(archive, part)
        _install(file, folder, [part], [Reply()])
    return Got(file.path, "fetched")


def _fetched(remote: Remote, part: Path, watch: Watch, pause: float) -> Reply:
    """Fetch a part, unless an earlier call that did not get to its end has it whole already."""
    done = part.with_name(f"{part.name}.done")
    if done.is_file() and part.is_file():
        note = json.loads(done.read_text(encoding="utf-8"))
        if note["url"] == remote.url and note["sha256"] == file_sha256(part):
            return Reply(commit=note["commit"])
    reply = fetch(remote, part, progress=watch(remote.name), pause=pause)
    note = {"url": remote.url, "sha256": file_sha256(part), "commit": reply.commit}
    write_json(done, note)
    return reply


def _part(folder: Path, file: DataFile, number: int) -> Path:
    return folder / PARTIAL / f"{file.path.replace('/', '__')}.{number}"


def _install(file: DataFile, folder: Path, parts: list[Path], replies: list[Reply]) -> None:
    """Write the lock, then put the file in place: what is in place is always accounted for."""

    sources = {s.path: file_sha256(p) for s, p in zip(file.sources, parts, strict=True)}
    target = folder / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    new = parts[0].with_name(f"{parts[0].name}.new")
    try:
        _make(file, parts, new)
    except DataError:
        _tidy(parts)  # or the next call would take them for whole
        raise
    locked = Locked(
        sha256=file_sha256(new),
        repo=file.repo,
        revision=file.revision,
        commit=next((reply.commit for reply in replies if reply.commit), ""),
        sources=sources,
        retrieved=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    with (folder / PARTIAL / "record.lock").open("w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # downloads of other files write there too
        write_lock(folder, {**read_lock(folder), file.path: locked})
    target.with_name(f"{target.name}.gz").unlink(missing_ok=True)
    os.replace(new, target)
    _tidy(parts)


def _make(file: DataFile, parts: list[Path], new: Path) -> None:
    from harness.data.convert import convert

    if file.convert:
        convert(file, parts, new)
    else:
        shutil.copyfile(parts[0], new)


def _tidy(parts: list[Path]) -> None:
    for part in parts:
        forget(part)
        part.with_name(f"{part.name}.done").unlink(missing_ok=True)


@contextmanager
def _one_at_a_time(folder: Path, file: DataFile) -> Iterator[None]:
    """Two downloads of the same file into one folder would write into each other's part."""
    lock = folder / PARTIAL / f"{file.path.replace('/', '__')}.lock"
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"another process is downloading {file.path} into {folder}") from None
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
            _remove_if_done(lock.parent)


def _remove_if_done(folder: Path) -> None:
    if {entry.name for entry in folder.iterdir()} <= {"record.lock"}:
        shutil.rmtree(folder, ignore_errors=True)
