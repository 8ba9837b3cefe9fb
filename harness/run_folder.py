"""The run folder: plain files, written atomically, one folder per stage, one writer per run.

A stage's ``stage.json`` says ``running`` while it works and ``done`` once its outputs are in place,
with the checksums that later stages and later runs rely on.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from groundwork.errors import UserError
from groundwork.files import digest, file_sha256, read_json, write_json

SCHEMA = 1
STAGE_FILE = "stage.json"
REPLACED = ".replaced"
"""Folder of finished stages whose replacement is not done yet."""


@dataclass
class StageRecord:
    """Contents of ``stage.json``; the documented fields of a finished or running stage."""

    stage: str
    kind: str
    fingerprint: str
    inputs: dict[str, str]
    settings: dict[str, Any]
    seed: int = 0
    status: str = "running"
    schema: int = SCHEMA
    versions: dict[str, str] = field(default_factory=dict)
    started: str = ""
    seconds: float = 0.0
    tokens: int = 0
    peak_memory_gb: float = 0.0
    cost_usd: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    measures: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    pruned: list[str] = field(default_factory=list)

    def output_digest(self, name: str | None = None) -> str:
        """Fingerprint of all outputs, or of one file or sub-folder of them."""
        chosen = {
            path: meta["sha256"]
            for path, meta in self.outputs.items()
            if name is None or path == name or path.startswith(f"{name}/")
        }
        return digest(chosen)


class StageFolder:
    """One stage's folder inside a run."""

    def __init__(self, root: Path, stage: str) -> None:
        self.path = root / stage
        self.aside = root / REPLACED / stage

    def record(self, *, aside: bool = False) -> StageRecord | None:
        """The stage's record, ``None`` where there is none (or a torn one); with ``aside`` that of
        the results that were set aside."""
        file = (self.aside if aside else self.path) / STAGE_FILE
        try:
            raw = json.loads(file.read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError, NotADirectoryError):
            return None
        if raw.get("schema", 0) > SCHEMA:
            raise UserError(
                f"{file} has schema {raw['schema']}, this version reads up to "
                f"{SCHEMA}: upgrade sso-bench"
            )
        known = StageRecord.__dataclass_fields__
        return StageRecord(**{key: value for key, value in raw.items() if key in known})

    def write(self, record: StageRecord) -> None:
        """Put the record in place, atomically."""
        write_json(self.path / STAGE_FILE, vars(record))

    def missing(self, record: StageRecord) -> str | None:
        """Why the recorded outputs are not all there (pruned ones are not missed), else ``None``."""
        for name, meta in record.outputs.items():
            if any(name == p or name.startswith(f"{p}/") for p in record.pruned):
                continue
            file = self.path / name
            if not file.is_file():
                return f"{name} is missing"
            if file.stat().st_size != meta["bytes"]:
                return f"{name} has another size than recorded"
        return None

    def outputs(self, ignore: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
        """Size and checksum of every file below the folder but the record and ``ignore``."""
        skip = {STAGE_FILE, *ignore}
        found = {}
        for file in sorted(self.path.rglob("*")):
            name = file.relative_to(self.path).as_posix()
            if not file.is_file() or name.split("/")[0] in skip or file.name.startswith("."):
                continue
            found[name] = {"bytes": file.stat().st_size, "sha256": file_sha256(file)}
        return found

    def clear(self) -> None:
        """Make room for a new start. A finished stage is set aside until the new one is done; of an
        unfinished one the record goes first, so that a kill leaves no finished-looking stage."""
        record = self.record()
        if record is not None and record.status == "done":
            shutil.rmtree(self.aside, ignore_errors=True)
            self.aside.parent.mkdir(parents=True, exist_ok=True)
            self.path.rename(self.aside)
            return
        (self.path / STAGE_FILE).unlink(missing_ok=True)
        shutil.rmtree(self.path, ignore_errors=True)

    def drop_aside(self) -> None:
        """Remove the earlier results that were set aside."""
        if self.aside.exists():
            shutil.rmtree(self.aside, ignore_errors=True)

    def take_back(self) -> None:
        """Put the results that were set aside in the place of an unfinished new start."""
        (self.path / STAGE_FILE).unlink(missing_ok=True)
        shutil.rmtree(self.path, ignore_errors=True)
        self.aside.rename(self.path)

    def prune(self, name: str) -> None:
        """Remove one recorded output folder and note it in the record."""
        record = self.record()
        if record is None or name in record.pruned or not (self.path / name).exists():
            return
        record.pruned.append(name)
        self.write(record)
        shutil.rmtree(self.path / name, ignore_errors=True)


class RunFolder:
    """A run on disk: ``run.json``, ``run.lock``, and a folder for each stage."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def stage(self, stage: str) -> StageFolder:
        """The folder of one stage."""
        return StageFolder(self.root, stage)

    def description(self) -> dict[str, Any] | None:
        """Parsed ``run.json``, ``None`` for a new folder."""
        file = self.root / "run.json"
        if not file.exists():
            return None
        raw = read_json(file)
        if not isinstance(raw, dict) or "config" not in raw:
            raise UserError(f"{file} is no run description")
        if raw.get("schema", 0) > SCHEMA:
            raise UserError(
                f"{file} has schema {raw['schema']}, this version reads up to {SCHEMA}: "
                "upgrade sso-bench"
            )
        return raw

    def run_id(self) -> str:
        """The run's own name, which goes with its folder: that in ``run.json``, else a new one."""
        return (self.description() or {}).get("id") or uuid.uuid4().hex

    def check_owner(self, identity: Mapping[str, Any]) -> None:
        """Refuse a folder that holds something else than this experiment.

        Raises:
            UserError: a non-empty folder without ``run.json``, or a run whose identity (model,
                data, mode, seeds) differs; names what differs.
        """
        if self.root.exists() and not self.root.is_dir():
            raise UserError(f"output folder {self.root} is a file or a device")
        raw = self.description()
        if raw is None:
            others = [p.name for p in self.root.iterdir()] if self.root.is_dir() else []
            others = [name for name in others if name != "run.lock" and not name.endswith(".tmp")]
            if others:
                raise UserError(
                    f"output folder {self.root} holds other files ({others[0]}): choose another --out"
                )
            return
        theirs = raw["config"]
        for key, value in identity.items():
            if json.loads(json.dumps(value, default=list)) != theirs.get(key):
                raise UserError(
                    f"output folder {self.root} belongs to another experiment: its {key} is "
                    f"{theirs.get(key)!r}, yours {value!r}; choose another --out"
                )

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for one writer; the system frees it when the process dies.

        Raises:
            UserError: a living process holds it (named).
        """
        self.root.mkdir(parents=True, exist_ok=True)
        file = self.root / "run.lock"
        with file.open("a+", encoding="utf-8") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                handle.seek(0)
                holder = handle.read().strip() or "another process"
                raise UserError(f"run folder {self.root} is in use by {holder}") from error
            handle.seek(0)
            handle.truncate()
            started = datetime.now(UTC).isoformat(timespec="seconds")
            handle.write(f"process {os.getpid()} on {socket.gethostname()} since {started}\n")
            handle.flush()
            try:
                yield
            finally:
                handle.seek(0)
                handle.truncate()


def now() -> str:
    """The time for records, UTC, to the second."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")
