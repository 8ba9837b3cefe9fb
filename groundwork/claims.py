"""Claims: which process works on what, in files that several machines see.

A claim is a file ``NAME/NUMBER.json`` that is created only where there is none (``O_EXCL``). It names its
holder and gets a new modification time every ``BEAT_S`` seconds. Where the last number was released, or its
holder is dead, the next number may be created: by one process, as numbers are never used twice. On the
holder's own machine its process is looked at; seen from another machine it counts as dead once its file has
not been touched for ``STALE_S`` seconds by the clock of the file system.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import psutil

from groundwork.errors import UserError
from groundwork.files import digest, write_json

BEAT_S = 10.0
STALE_S = 120.0
"""Twelve missed beats; above what an NFS client may hold attributes back (60 s)."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a claim; ``place`` is the same for processes that see each other's ids."""

    host: str
    pid: int
    started: float
    place: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"


@dataclass
class Claim:
    """A claim of this process. ``taken_over`` names a dead process that held it before."""

    name: str
    file: Path
    taken_over: str = ""
    lost: bool = field(default=False)

    def check(self) -> None:
        """Raises ``UserError`` where another process took the claim over: this one was not heard of for
        ``STALE_S`` seconds (a frozen machine, a file system that hung)."""
        if self.lost:
            raise UserError(f"{self.name}: another process took this stage over")

    def beat(self) -> None:
        """Show that the holder is alive, and look whether it still is the holder."""
        try:
            os.utime(self.file)
            self.lost = _last_number(self.file.parent) > int(self.file.stem)
        except FileNotFoundError:
            self.lost = True
        except OSError:
            pass  # a file system that does not answer for a moment

    def release(self) -> None:
        """Let the next one have it."""
        with contextlib.suppress(OSError, UserError):
            if self.file.exists():
                write_json(self.file, {"released": True})


class Claims:
    """The claims below one folder, and the thread that keeps those of this process alive."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._held: dict[str, Claim] = {}
        self._lock = threading.Lock()
        self._stop: threading.Event | None = None

    @contextlib.contextmanager
    def holding(self, name: str) -> Iterator[Claim | None]:
        """The claim within the block; None where another process holds it."""
        claim = self._take(name)
        if claim is None:
            yield None
            return
        self._hold(claim)
        try:
            yield claim
        finally:
            self._let_go(claim)

    def holder(self, name: str) -> Holder | None:
        """Who holds a claim and is alive."""
        folder = self._folder(name)
        number = _last_number(folder)
        return self._living(folder / f"{number}.json") if number else None

    def age(self, name: str) -> float:
        """Seconds since the newest claim was touched, by the clock of the file system; 0 without one."""
        folder = self._folder(name)
        number = _last_number(folder)
        return self._age(folder / f"{number}.json") if number else 0.0

    def living(self) -> dict[str, Holder]:
        """Every claim with a living holder."""
        if not self.root.is_dir():
            return {}
        names = [_name_of(folder) for folder in sorted(self.root.iterdir()) if folder.is_dir()]
        return {name: holder for name in names if (holder := self.holder(name)) is not None}

    def clear(self) -> None:
        """Remove all files, unless someone works: a finished run needs none."""
        if not self.living():
            shutil.rmtree(self.root, ignore_errors=True)

    def _folder(self, name: str) -> Path:
        return self.root / quote(name, safe="")

    def _take(self, name: str) -> Claim | None:
        folder = self._folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        number = _last_number(folder)
        before = folder / f"{number}.json"
        if number and self._living(before) is not None:
            return None
        file = folder / f"{number + 1}.json"
        try:
            handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except (FileExistsError, FileNotFoundError):  # someone was faster, or cleared up
            return None
        if number and not before.exists():  # cleared up: numbers begin anew
            file.unlink(missing_ok=True)
            os.close(handle)
            return None
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump({"holder": asdict(this_process())}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        dead = _read(before).get("holder") if number else None
        return Claim(name, file, str(_holder(dead)) if dead else "")

    def _living(self, file: Path) -> Holder | None:
        raw = _read(file)
        if raw.get("released"):
            return None
        holder, me = _holder(raw.get("holder")), this_process()
        if holder.place == me.place:
            return holder if _runs(holder) else None
        return holder if self._age(file) < STALE_S else None

    def _age(self, file: Path) -> float:
        try:
            with file.open("rb") as handle:  # opening asks the server, where there is one
                touched = os.fstat(handle.fileno()).st_mtime
            with tempfile.NamedTemporaryFile(dir=self.root, suffix=".tmp", prefix=".") as probe:
                return os.fstat(probe.fileno()).st_mtime - touched
        except FileNotFoundError:
            return STALE_S

    def _hold(self, claim: Claim) -> None:
        with self._lock:
            self._held[claim.name] = claim
            if self._stop is None:
                self._stop = threading.Event()
                threading.Thread(target=self._beat, args=(self._stop,), daemon=True).start()

    def _let_go(self, claim: Claim) -> None:
        with self._lock:
            self._held.pop(claim.name, None)
            if not self._held and self._stop is not None:
                self._stop.set()
                self._stop = None
            if not claim.lost:
                claim.release()

    def _beat(self, stop: threading.Event) -> None:
        while not stop.wait(BEAT_S):
            with self._lock:
                for claim in self._held.values():
                    claim.beat()


def this_process() -> Holder:
    """This process as a holder."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    started = psutil.Process().create_time()
    return Holder(socket.gethostname(), os.getpid(), started, _place(), since)


@cache
def _place() -> str:
    """Machine, its start, and the name space of process ids (containers have their own)."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return digest(parts)


def _runs(holder: Holder) -> bool:
    try:
        process = psutil.Process(holder.pid)
        same = abs(process.create_time() - holder.started) < 2
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _last_number(folder: Path) -> int:
    """The highest number of a claim's files; 0 without one."""
    try:
        names = [file.removesuffix(".json") for file in os.listdir(folder)]
    except FileNotFoundError:
        return 0
    return max((int(name) for name in names if name.isdecimal()), default=0)


def _name_of(folder: Path) -> str:
    return unquote(folder.name)


def _read(file: Path) -> dict[str, Any]:
    """A claim's content; empty while its holder has not written it, or where it is damaged."""
    try:
        raw = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return raw if isinstance(raw, dict) else {}


def _holder(raw: Any) -> Holder:
    try:
        return Holder(**raw)
    except TypeError:
        return Holder("an unknown machine", 0, 0.0, "", "an unknown time")
