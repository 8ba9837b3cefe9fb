"""The manifest of public data sets, and the lock file that a data folder keeps about them.

The manifest pins repository, revision and, where known beforehand, checksum of every file. What a
download found out beyond that (the commit behind a branch, the checksum of a file converted here) is
written to ``data.lock.json`` in the data folder and holds from then on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from groundwork.errors import did_you_mean
from groundwork.files import read_json, write_json
from harness.errors import DataError

MANIFEST = Path(__file__).with_name("manifest.yaml")
LOCK = "data.lock.json"


class RemoteFile(BaseModel):
    """A file of the source repository."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    path: str
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")


class DataFile(BaseModel):
    """One file of the data folder and where it comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    path: str
    host: Literal["hub", "github"]
    repo: str
    revision: str
    sources: tuple[RemoteFile, ...] = Field(min_length=1)
    convert: Literal["rows", "math", "preferences"] | None = None
    rows: int | None = None
    fields: tuple[str, ...] = ()
    access: Literal["open", "encrypted"] = "open"
    licence: str
    megabytes: float

    @property
    def set_name(self) -> str:
        """The data set a file belongs to: its folder."""
        return self.path.split("/", 1)[0]

    @property
    def sha256(self) -> str | None:
        """Checksum of the file in the data folder, where the manifest alone settles it."""
        return self.sources[0].sha256 if self.convert is None else None


class Locked(BaseModel):
    """What a download settled: checksums and the commit behind the revision."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    sha256: str
    repo: str
    revision: str
    commit: str = ""
    sources: dict[str, str] = {}
    retrieved: str = ""


@lru_cache(maxsize=4)
def manifest(path: Path = MANIFEST) -> tuple[DataFile, ...]:
    """All files known, in the manifest's order."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return tuple(DataFile.model_validate(entry) for entry in content["files"])


def paper_models() -> list[dict[str, str]]:
    """The checkpoints of the paper's experiments: id, preset (or ""), role."""
    content = yaml.safe_load(MANIFEST.with_name("models.yaml").read_text(encoding="utf-8"))
    return list(content["models"])


def manifest_revision(path: Path = MANIFEST) -> str:
    """Short hash of the pins: it changes with any repository, revision or checksum."""
    pins = [(f.path, f.repo, f.revision, f.sources, f.convert) for f in manifest(path)]
    return hashlib.sha256(repr(pins).encode()).hexdigest()[:8]


def select(names: Sequence[str], files: Sequence[DataFile] | None = None) -> list[DataFile]:
    """The files that the names mean: a set (``gsm8k``) or a path (``gsm8k/test.jsonl``); all
    without names.

    Raises:
        DataError: a name that is neither, with the nearest one.
    """
    files = manifest() if files is None else files
    sets = list(dict.fromkeys(file.set_name for file in files))
    chosen: dict[str, DataFile] = {}
    for name in names or sets:
        found = [file for file in files if name in (file.set_name, file.path)]
        if not found:
            known = sets if "/" not in name else [f.path for f in files]
            raise DataError(f"no data set {name!r} ({did_you_mean(name, known, 0.4)})")
        chosen.update((file.path, file) for file in found)
    return list(chosen.values())


def read_lock(folder: Path) -> dict[str, Locked]:
    """What earlier downloads settled about a folder's files; empty where there is no lock file.

    Raises:
        DataError: the lock file is damaged.
    """
    path = folder / LOCK
    if not path.is_file():
        return {}
    try:
        content: Mapping[str, Any] = read_json(path)["files"]
        return {name: Locked.model_validate(entry) for name, entry in content.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DataError(
            f"{path} is damaged: delete it and run `sso-bench data get` again"
        ) from None


def write_lock(folder: Path, locked: Mapping[str, Locked]) -> None:
    """Replace the lock file, atomically."""
    entries = {name: locked[name].model_dump() for name in sorted(locked)}
    write_json(folder / LOCK, {"schema": 1, "files": entries})
