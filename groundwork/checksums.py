"""Checksums of what a later step relies on: recorded with the file, compared before it is used.

Small files are read and compared by every process. A large one is read once; after that its size,
times and inode stand for its contents. The time of its last change (ctime), which no program can set back,
is among them. Records in JSON carry a checksum of themselves.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from groundwork.errors import UserError
from groundwork.files import digest, file_sha256, json_form, read_json

SMALL_BYTES = 1 << 20
"""Below it a file's contents are read every time."""
SETTLED_S = 2.0
_READ: dict[tuple[str, int, int, int, int], str] = {}
OWN = "checksum"
"""Key of a record's checksum of itself."""
RECORD = "stage.json"
LEVELS = 3
"""Folders above an output in which its stage's record is looked for."""


def user_cache() -> Path:
    """The user's cache folder: ``SSO_BENCH_CACHE``, else ``~/.cache/sso-bench``."""
    return Path(os.environ.get("SSO_BENCH_CACHE") or Path.home() / ".cache" / "sso-bench")


def known_sha256(file: Path, cache: Path | None = None) -> str:
    """sha256 of a file as hexadecimal; a large file that has not changed since is not read again.

    ``cache`` (default: the user's) holds one note per large file, under its path, size, times and
    inode.

    Raises:
        OSError: the file can't be read.
    """
    state = file.stat()
    if state.st_size < SMALL_BYTES:
        return _small(file, state)
    times = f"{state.st_mtime_ns}\0{state.st_ctime_ns}"
    identity = f"{file.resolve()}\0{state.st_size}\0{times}\0{state.st_ino}"
    note = (cache or user_cache()) / "fingerprints" / hashlib.sha256(identity.encode()).hexdigest()
    with contextlib.suppress(OSError, ValueError):
        known, seal = note.read_text(encoding="ascii").split()
        if re.fullmatch("[0-9a-f]{64}", known) and seal == digest([identity, known]):
            return known
    found = file_sha256(file)
    with contextlib.suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=note.parent, suffix=".tmp", delete=False) as out:
            out.write(f"{found} {digest([identity, found])}\n")
        os.replace(out.name, note)
    return found


def _small(file: Path, state: os.stat_result) -> str:
    """A small file's checksum: read once by this process, unless it was changed so lately that another
    change could have the same time."""
    identity = (str(file), state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
    known = _READ.get(identity)
    if known is None:
        known = file_sha256(file)
        if time.time() - state.st_ctime > SETTLED_S:
            _READ[identity] = known
    return known


def describe(file: Path) -> dict[str, Any]:
    """Size and checksum of a file, as they are recorded."""
    return {"bytes": file.stat().st_size, "sha256": known_sha256(file)}


def damage(file: Path, recorded: Mapping[str, Any], *, afresh: bool = False) -> str:
    """What is wrong with a file by its recorded size and checksum; empty where nothing is.

    ``afresh`` reads large files too.
    """
    try:
        if not file.is_file():
            return "is missing"
        if file.stat().st_size != recorded.get("bytes"):
            return "has another size than recorded"
        found = file_sha256(file) if afresh else known_sha256(file)
    except OSError as error:
        return f"can't be read ({error.strerror})"
    return "" if found == recorded.get("sha256") else "is damaged (its checksum is another)"


def folder_damage(
    folder: Path,
    outputs: Mapping[str, Mapping[str, Any]],
    pruned: Collection[str] = (),
    *,
    below: str = "",
    afresh: bool = False,
) -> dict[str, str]:
    """The damaged ones among recorded outputs, by name; those below ``pruned`` may be absent.

    ``below`` limits it to one file or sub-folder.
    """
    found = {}
    for name, recorded in outputs.items():
        if any(_within(name, gone) for gone in pruned) or (below and not _within(name, below)):
            continue
        if what := damage(folder / name, recorded, afresh=afresh):
            found[name] = what
    return found


def _within(name: str, place: str) -> bool:
    return name == place or name.startswith(f"{place}/")


def check_output(file: Path) -> None:
    """Refuse a stage's output that is not what the stage wrote. A file that no stage recorded passes.

    Raises:
        UserError: names the file and what to do.
    """
    folder = next((up for up in list(file.parents)[:LEVELS] if (up / RECORD).is_file()), None)
    record = None if folder is None else read_json(folder / RECORD)
    if folder is None or not isinstance(record, dict):
        return
    name = file.relative_to(folder).as_posix()
    for kind in ("outputs", "shown"):
        recorded = (record.get(kind) or {}).get(name)
        if not isinstance(recorded, dict) or not {"bytes", "sha256"} <= set(recorded):
            continue
        if what := damage(file, recorded):
            raise UserError(
                f"{file} {what}: run the experiment again, which redoes that stage "
                "(sso-bench doctor RUN lists all damage)"
            )


# --- records that carry their own checksum ------------------------------------------------------


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record, as JSON keeps it, with a checksum of itself."""
    whole = json_form({key: value for key, value in record.items() if key != OWN})
    return {**whole, OWN: digest(whole)}


def is_whole(record: Any) -> bool:
    """Whether a record that was read is as it was written; one without a checksum (of an earlier
    release) passes."""
    if not isinstance(record, dict):
        return False
    return OWN not in record or record[OWN] == digest({k: v for k, v in record.items() if k != OWN})
