"""The run folder: plain files, written atomically, one folder and one writer per stage.

A stage's ``stage.json`` says ``running`` while it works and ``done`` once its outputs are in place,
with the checksums that later stages and later runs rely on.
"""

from __future__ import annotations

import contextlib
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

from groundwork.checksums import RECORD as STAGE_FILE
from groundwork.checksums import describe, folder_damage, is_whole, sealed
from groundwork.claims import BEAT_S, Claims, this_process
from groundwork.errors import UserError
from groundwork.files import digest, read_json, write_json

SCHEMA = 1
DESCRIPTION = "run.json"
COPY = ".run.json"
"""A second copy of the description, which takes the place of a damaged one."""
LOCK = "run.lock"
CLAIMS = ".claims"
WHOLE = "run"
"""The claim of the process that plans the run, beside those of its stages."""
REPLACED = ".replaced"
"""Folder of finished stages whose replacement is not done yet."""


@dataclass
class StageRecord:
    """Contents of ``stage.json``; the documented fields of a finished or running stage.

    ``shown`` holds files that no stage reads: the training's curve, the journal of answers.
    """

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
    shown: dict[str, dict[str, Any]] = field(default_factory=dict)
    pruned: list[str] = field(default_factory=list)

    def usable(self) -> bool:
        """Whether the fields are of the types that the program relies on."""
        tables = (self.inputs, self.settings, self.outputs, self.counts, self.measures, self.shown)
        return (
            all(isinstance(table, dict) for table in tables)
            and all(isinstance(o, dict) and "sha256" in o for o in self.outputs.values())
            and isinstance(self.pruned, list)
            and isinstance(self.notes, list)
            and isinstance(self.seconds, int | float)
        )

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
        """The stage's record, ``None`` where there is none or a damaged one; with ``aside`` that of
        the results that were set aside.

        Raises:
            UserError: a newer release wrote it.
        """
        file = (self.aside if aside else self.path) / STAGE_FILE
        try:
            raw = read_json(file)
        except UserError:
            return None
        if not is_whole(raw):
            return None
        schema = raw.get("schema", 0)
        if isinstance(schema, int) and schema > SCHEMA:
            raise UserError(
                f"{file} has schema {schema}, this version reads up to {SCHEMA}: upgrade sso-bench"
            )
        known = StageRecord.__dataclass_fields__
        try:
            record = StageRecord(**{key: value for key, value in raw.items() if key in known})
        except TypeError:
            return None
        return record if record.usable() else None

    def write(self, record: StageRecord) -> None:
        """Put the record in place, atomically."""
        write_json(self.path / STAGE_FILE, sealed(vars(record)))

    def record_damage(self) -> str:
        """What is wrong with the record of a stage that has something in its folder."""
        if (self.path / STAGE_FILE).exists():
            return "" if self.record() is not None else f"{STAGE_FILE} is damaged"
        left = self.path.is_dir() and any(file.is_file() for file in self.path.iterdir())
        return f"{STAGE_FILE} is missing" if left else ""

    def damage(self, record: StageRecord, below: str = "", *, afresh: bool = False) -> str:
        """What is wrong with the recorded outputs, all or those ``below`` a name; empty where nothing
        is. Pruned ones are not missed; ``afresh`` reads large files too."""
        found = folder_damage(self.path, record.outputs, record.pruned, below=below, afresh=afresh)
        if not found:
            return ""
        name, what = next(iter(found.items()))
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return f"{name} {what}{more}"

    def outputs(self, ignore: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
        """Size and checksum of every file below the folder but the record and ``ignore``."""
        skip = {STAGE_FILE, *ignore}
        found = {}
        for file in sorted(self.path.rglob("*")):
            name = file.relative_to(self.path).as_posix()
            if not file.is_file() or name.split("/")[0] in skip or file.name.startswith("."):
                continue
            found[name] = describe(file)
        return found

    def drop_damaged(self, record: StageRecord) -> list[str]:
        """Set damaged ``shown`` files aside, so that nothing uses them; their names."""
        damaged = list(folder_damage(self.path, record.shown))
        for name in damaged:
            file = self.path / name
            if file.is_file():
                file.rename(file.with_name(f".{file.name}.damaged"))
            del record.shown[name]
        if damaged:
            self.write(record)
        return damaged

    def clear(self, keep: Iterable[str] = ()) -> None:
        """Make room for a new start. A finished stage is set aside until the new one is done; of an
        unfinished one the record goes first, so that a kill leaves no finished-looking stage.

        ``keep`` names files that help the new start (the journal of answers) and stay.
        """
        record = self.record()
        if record is not None and record.status == "done":
            shutil.rmtree(self.aside, ignore_errors=True)
            self.aside.parent.mkdir(parents=True, exist_ok=True)
            self.path.rename(self.aside)
            self.path.mkdir(parents=True)
            for name in keep:
                if (self.aside / name).exists():
                    (self.aside / name).rename(self.path / name)
            return
        _remove(self.path / STAGE_FILE)
        if self.path.is_dir():
            for child in list(self.path.iterdir()):
                if child.name not in keep:
                    _remove(child)
        else:
            _remove(self.path)

    def set_copy_aside(self) -> None:
        """Keep the finished results aside while they are changed: ``take_back`` restores them. Files are
        linked where the file system can: outputs are replaced, never written in place."""
        shutil.rmtree(self.aside, ignore_errors=True)
        self.aside.parent.mkdir(parents=True, exist_ok=True)
        self.path.rename(self.aside)
        copy_stage(self.aside, self.path)

    def drop_aside(self) -> None:
        """Remove the earlier results that were set aside."""
        if self.aside.exists():
            shutil.rmtree(self.aside, ignore_errors=True)

    def aside_damage(self) -> bool:
        """Whether the results that were set aside are damaged."""
        record = self.record(aside=True)
        return record is None or bool(folder_damage(self.aside, record.outputs, record.pruned))

    def take_back(self) -> None:
        """Put the results that were set aside in the place of an unfinished new start."""
        (self.path / STAGE_FILE).unlink(missing_ok=True)
        shutil.rmtree(self.path, ignore_errors=True)
        self.aside.rename(self.path)

    def prune(self, name: str) -> None:
        """Remove one recorded output folder and note it in the record, before it goes."""
        record = self.record()
        if record is None or not (self.path / name).exists():
            return
        if name not in record.pruned:
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
        """Parsed ``run.json``, or its copy where it is damaged or gone; ``None`` for a new folder,
        and for a run whose both descriptions are lost.

        Raises:
            UserError: a newer release wrote it, or it is not the description of a run.
        """
        found = [_description(self.root / name) for name in (DESCRIPTION, COPY)]
        for raw in found:
            if raw is not None:
                return raw
        if (self.root / DESCRIPTION).exists() and not self._has_stages():
            raise UserError(f"{self.root / DESCRIPTION} is no run description")
        return None

    def describe(self, description: Mapping[str, Any]) -> None:
        """Put ``run.json`` and its copy in place, each atomically."""
        for name in (DESCRIPTION, COPY):
            write_json(self.root / name, sealed(description))

    def description_damage(self) -> str:
        """What is wrong with ``run.json`` of a folder that holds a run; empty where nothing is."""
        file = self.root / DESCRIPTION
        if _description(file) is not None:
            return ""
        what = f"{DESCRIPTION} is {'damaged' if file.exists() else 'missing'}"
        if _description(self.root / COPY) is not None:
            return f"{what}: taken from its copy"
        if self._has_stages():
            return f"{what}, and so is its copy: made anew (a judge's spend so far is not counted)"
        return ""

    def _has_stages(self) -> bool:
        """Whether a stage of a run lies here, finished or not."""
        return (self.root / LOCK).is_file() and any(self.root.rglob(STAGE_FILE))

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
        if raw is None and not self._has_stages():
            others = [p.name for p in self.root.iterdir()] if self.root.is_dir() else []
            others = [n for n in others if n not in (LOCK, CLAIMS) and not n.endswith(".tmp")]
            if others:
                raise UserError(
                    f"output folder {self.root} holds other files ({others[0]}): choose another --out"
                )
        if raw is None:
            return
        theirs = raw["config"]
        for key, value in identity.items():
            if json.loads(json.dumps(value, default=list)) != theirs.get(key):
                raise UserError(
                    f"output folder {self.root} belongs to another experiment: its {key} is "
                    f"{theirs.get(key)!r}, yours {value!r}; choose another --out"
                )

    @property
    def claims(self) -> Claims:
        """Which process works on which stage."""
        return Claims(self.root / CLAIMS)

    @contextlib.contextmanager
    def lock(self, hint: str = "") -> Iterator[None]:
        """Hold the run for one process that plans it and writes its tables; a dead one's is taken over.

        Where the holder is on another machine and was not heard of for a while, wait until it is dead or
        heard of again.

        Raises:
            UserError: a living process holds it (named, with ``hint``).
        """
        claims = self.claims
        claims.root.mkdir(parents=True, exist_ok=True)
        while (holder := claims.holder(WHOLE)) is not None:
            if holder.host == socket.gethostname() or claims.age(WHOLE) < 3 * BEAT_S:
                raise UserError(f"run folder {self.root} is in use by {holder}{hint}")
            time.sleep(BEAT_S / 2)
        with claims.holding(WHOLE) as claim:
            if claim is None:
                raise UserError(f"run folder {self.root} is in use by another process{hint}")
            file = self.root / LOCK
            file.write_text(f"{this_process()}\n", encoding="utf-8")
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    file.write_text("")
        claims.clear()

    def clean(self) -> int:
        """Remove what killed writers left: temporary files and half-written checkpoints; how many.
        The caller holds the lock; while others work on stages, nothing is touched."""
        if set(self.claims.living()) - {WHOLE}:
            return 0
        left = [*self.root.rglob(".*.tmp"), *self.root.rglob("*.partial")]
        for path in left:
            _remove(path)
        return len(left)


def copy_stage(source: Path, target: Path) -> None:
    """Copy a stage's folder, with links where the file system can. It is made beside the target first,
    so that a kill leaves no half stage."""
    partial = target.with_name(f".{target.name}.adopted")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, partial, copy_function=_link)
    partial.rename(target)


def _link(source: str, target: str) -> str:
    if Path(source).name == STAGE_FILE:
        return str(shutil.copy2(source, target))
    try:
        os.link(source, target)
        return target
    except OSError:
        return str(shutil.copy2(source, target))


def _description(file: Path) -> dict[str, Any] | None:
    """A run's description, ``None`` where the file is absent, damaged or something else.

    Raises:
        UserError: a newer release wrote it.
    """
    try:
        raw = read_json(file)
    except UserError:
        return None
    if not is_whole(raw) or not isinstance(raw.get("config"), dict):
        return None
    schema = raw.get("schema", 0)
    if isinstance(schema, int) and schema > SCHEMA:
        raise UserError(
            f"{file} has schema {schema}, this version reads up to {SCHEMA}: upgrade sso-bench"
        )
    return raw


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def now() -> str:
    """The time for records, UTC, to the second."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")
