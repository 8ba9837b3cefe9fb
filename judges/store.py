"""The verdict store: every reply of every judge, paid for once and kept.

One SQLite file (write-ahead log), shared by runs and processes. A row of ``replies`` is one
request that was answered: its key (judge, full prompt, sampling parameters, protocol, attempt), the
request and the raw reply, so that verdicts are read from it again without paying. ``claims`` holds
the requests in flight, so that two processes never send the same one.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import threading
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judges import ledger, unreadable
from judges.errors import JudgeError
from judges.stored_reply import BROKEN, COLUMNS, StoredReply, from_row, to_row
from judges.unreadable import Unreadable

VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY,
    judge TEXT NOT NULL,
    served TEXT NOT NULL,
    protocol TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    origin TEXT NOT NULL,
    scope TEXT NOT NULL,
    created REAL NOT NULL,
    cost_usd REAL NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    request BLOB NOT NULL,
    reply BLOB NOT NULL,
    tags BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS replies_by_judge ON replies (judge, protocol);
CREATE INDEX IF NOT EXISTS replies_by_scope ON replies (scope);
CREATE TABLE IF NOT EXISTS claims (
    key TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    expires REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
"""
LOOKUP_CHUNK = 500
CHECKPOINT_EVERY = 500
"""Replies after which the write-ahead log is copied into the file, in a thread: it waits
for the disk (10 to 50 ms), and requests in flight would wait with it."""
LOG_PAGES = 50_000
"""Length of the log (4 kB pages) at which SQLite does so itself, should the thread lag behind."""


class VerdictStore:
    """The store of one file. Safe for several threads and processes at once.

    Raises:
        JudgeError: the file can't be opened, is no verdict store, or is of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        pid = os.getpid()
        self.owner = f"{uuid.uuid4().hex}:{socket.gethostname()}:{pid}:{_started(pid)}"
        self._lock = threading.RLock()
        self._uncopied = 0
        self._copying: threading.Thread | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                self.path, timeout=60, isolation_level=None, check_same_thread=False
            )
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise JudgeError(
                f"{self.path}: no usable verdict store ({error}){_advice(error)}"
            ) from None

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}")
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, VERSION):
            raise JudgeError(f"{self.path}: verdict store of version {found}, expected {VERSION}")
        with self._write() as db:
            for statement in (SCHEMA + unreadable.SCHEMA + ledger.SCHEMA).split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version={VERSION}")

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._naming_the_file():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _naming_the_file(self) -> Iterator[None]:
        """An error of the file (full disk, read-only, damaged) as one line that names it."""
        try:
            yield
        except sqlite3.Error as error:
            raise JudgeError(f"{self.path}: verdict store: {error}{_advice(error)}") from None

    def close(self) -> None:
        """Close the file; claims of this process are given up."""
        if self._copying is not None:
            self._copying.join()
        with self._lock:
            with self._write() as db:
                for table in ("claims", "reservations"):
                    db.execute(f"DELETE FROM {table} WHERE owner = ?", (self.owner,))
            self._db.close()

    # Replies

    def get(self, keys: Sequence[str], *, whole: bool = False) -> dict[str, StoredReply]:
        """The stored replies among these keys; request and tags are left empty unless ``whole``.

        A damaged one is set aside (``unreadable``): it counts as not there, and is asked for again.
        """
        columns = COLUMNS if whole else COLUMNS.replace("request, reply, tags", "'', reply, ''")
        found: dict[str, StoredReply] = {}
        for start in range(0, len(keys), LOOKUP_CHUNK):
            chunk = list(keys[start : start + LOOKUP_CHUNK])
            marks = ",".join("?" * len(chunk))
            with self._lock, self._naming_the_file():
                rows = self._db.execute(
                    f"SELECT {columns} FROM replies WHERE key IN ({marks})", chunk
                ).fetchall()
            for row in rows:
                try:
                    found[row[0]] = from_row(row)
                except BROKEN as error:
                    self.set_reply_aside(row[0], f"damaged in the store: {error}")
        return found

    def put(self, rows: Iterable[StoredReply]) -> None:
        """Commit replies and end their claims. A reply that is already there is kept."""
        rows = list(rows)
        with self._write() as db:
            for row in rows:
                paid = row.origin in ("api", "batch") and row.scope != ""
                if paid:
                    ledger.spent(db, row.scope)
                new = db.execute(
                    f"INSERT OR IGNORE INTO replies ({COLUMNS}) VALUES ({','.join('?' * 14)})",
                    to_row(row),
                ).rowcount
                if paid:
                    ledger.book(db, row.scope, new, row.cost_usd)
            db.executemany("DELETE FROM claims WHERE key = ?", [(row.key,) for row in rows])
        self._uncopied += len(rows)
        busy = self._copying is not None and self._copying.is_alive()
        if self._uncopied >= CHECKPOINT_EVERY and not busy:
            self._uncopied = 0
            self._copying = threading.Thread(target=_copy_log, args=(self.path,), daemon=True)
            self._copying.start()

    def rows(
        self, *, judge: str | None = None, protocol: str | None = None
    ) -> Iterator[StoredReply]:
        """All replies, optionally of one judge or with one start of the protocol id, streamed."""
        where, values = ["1"], []
        if judge is not None:
            where.append("judge = ?")
            values.append(judge)
        if protocol is not None:
            where.append("substr(protocol, 1, ?) = ?")
            values += [len(protocol), protocol]  # type: ignore[list-item]
        reader = sqlite3.connect(self.path, timeout=60)
        try:
            with self._naming_the_file():
                for row in reader.execute(
                    f"SELECT {COLUMNS} FROM replies WHERE {' AND '.join(where)}"
                    " ORDER BY created, key",
                    values,
                ):
                    with suppress(*BROKEN):
                        yield from_row(row)
        finally:
            reader.close()

    def delete(self, keys: Sequence[str]) -> None:
        """Forget replies (a person's decision; judging never does this)."""
        with self._write() as db:
            db.executemany("DELETE FROM replies WHERE key = ?", [(key,) for key in keys])

    def put_unreadable(self, row: Unreadable) -> None:
        """Keep a reply that could not be read, and book what it may have cost."""
        with self._write() as db:
            if row.scope:
                ledger.spent(db, row.scope)
                ledger.book(db, row.scope, 1, row.cost_usd)
            unreadable.insert(db, row)

    def unreadable(self) -> list[Unreadable]:
        """The replies that could not be read, oldest first."""
        with self._lock, self._naming_the_file():
            return unreadable.select(self._db)

    def set_reply_aside(self, key: str, reason: str) -> None:
        """Move a stored reply that is of no use to ``unreadable``; its cost stays booked."""
        with self._write() as db:
            row = db.execute(
                "SELECT judge, scope, cost_usd, reply FROM replies WHERE key = ?", (key,)
            ).fetchone()
            if row is None:
                return
            raw = row[3] if isinstance(row[3], bytes) else str(row[3]).encode()
            with suppress(zlib.error):
                raw = zlib.decompress(raw)
            db.execute("DELETE FROM replies WHERE key = ?", (key,))
            cost = float(row[2]) if isinstance(row[2], float) and 0 <= row[2] < 1e9 else 0.0
            kept = Unreadable(key, str(row[0]), str(row[1]), reason, raw, cost_usd=cost)
            unreadable.insert(db, kept)

    def mend(self, costs: Sequence[str], facts: Sequence[str]) -> None:
        """Count nothing for replies whose cost is no amount, and forget facts that can't be read."""
        with self._write() as db:
            db.executemany(
                "UPDATE replies SET cost_usd = 0, prompt_tokens = 0, completion_tokens = 0"
                " WHERE key = ?",
                [(key,) for key in costs],
            )
            db.executemany("DELETE FROM facts WHERE name = ?", [(name,) for name in facts])

    def spent(self, scope: str) -> tuple[int, float]:
        """Calls and dollars paid for under a scope, by any process."""
        with self._write() as db:
            return ledger.spent(db, scope)

    def reserve(
        self, scope: str, cost: float, max_calls: int | None, max_cost: float | None
    ) -> tuple[int, float] | None:
        """Set a request's highest cost aside, where the budget covers it beside all that living
        processes have set aside: what was spent so far; else ``None``."""
        with self._write() as db:
            calls, dollars = ledger.spent(db, scope)
            held = ledger.reserved(db, scope, self.owner, _alive)
            if max_calls is not None and calls + held[0] + 1 > max_calls:
                return None
            if max_cost is not None and not dollars + held[1] + cost <= max_cost:
                return None
            ledger.set_aside(db, scope, self.owner, 1, cost)
            return calls, dollars

    def unreserve(self, scope: str, cost: float) -> None:
        """Give a reservation up: its request was answered (and booked), or never will be."""
        with self._write() as db:
            ledger.set_aside(db, scope, self.owner, -1, -cost)

    def stats(self) -> list[dict[str, Any]]:
        """One row per judge, served snapshot, protocol and origin: replies, tokens, dollars."""
        names = ["judge", "served", "protocol", "origin", "replies", "reasked"]
        names += ["prompt_tokens", "completion_tokens", "cost_usd"]
        with self._lock:
            rows = self._db.execute(
                "SELECT judge, served, protocol, origin, count(*), sum(attempt),"
                " sum(prompt_tokens), sum(completion_tokens), total(cost_usd)"
                " FROM replies GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
            ).fetchall()
        return [dict(zip(names, row, strict=True)) for row in rows]

    # Claims

    def claim(self, keys: Sequence[str], lease_s: float) -> set[str]:
        """Take the keys that nobody else is asking now; returns those taken.

        A claim ends with its reply, with ``release``, after ``lease_s`` seconds, or at once when
        its process on this host is gone. An answered key is not claimed.
        """
        now, taken = time.time(), set()
        with self._write() as db:
            for key in keys:
                if db.execute("SELECT 1 FROM replies WHERE key = ?", (key,)).fetchone():
                    continue
                held = db.execute(
                    "SELECT owner, expires FROM claims WHERE key = ?", (key,)
                ).fetchone()
                if held and held[0] != self.owner and held[1] > now and _alive(held[0]):
                    continue
                db.execute(
                    "INSERT OR REPLACE INTO claims VALUES (?, ?, ?)",
                    (key, self.owner, now + lease_s),
                )
                taken.add(key)
        return taken

    def release(self, keys: Sequence[str]) -> None:
        """Give claims of this process up (nothing was answered)."""
        with self._write() as db:
            db.executemany(
                "DELETE FROM claims WHERE key = ? AND owner = ?",
                [(key, self.owner) for key in keys],
            )

    # Facts

    def fact(self, name: str) -> Any:
        """A stored fact (a judge's served snapshot, canary verdicts), else ``None``."""
        with self._lock:
            row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        try:
            return None if row is None else json.loads(row[0])
        except (ValueError, TypeError, RecursionError):
            return None  # damaged: found out again

    def set_fact(self, name: str, value: Any) -> None:
        """Store a fact, replacing what was there."""
        with self._write() as db:
            db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value)))


@dataclass(frozen=True)
class ScopeLedger:
    """A store's spending and reservations under one scope."""

    store: VerdictStore
    scope: str

    def reserve(
        self, cost: float, max_calls: int | None, max_cost: float | None
    ) -> tuple[int, float] | None:
        """As ``VerdictStore.reserve``."""
        return self.store.reserve(self.scope, cost, max_calls, max_cost)

    def unreserve(self, cost: float) -> None:
        """As ``VerdictStore.unreserve``."""
        self.store.unreserve(self.scope, cost)


def _advice(error: Exception) -> str:
    damaged = any(word in str(error) for word in ("malformed", "not a database", "corrupt"))
    return "; sso-bench verdicts verify --mend saves what can be read" if damaged else ""


def _copy_log(path: Path) -> None:
    """Copy the log into the file: most of it beside the writers, then the rest and begin it anew."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=1)) as db:
        db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        db.execute("PRAGMA wal_checkpoint(RESTART)")


def _started(pid: int) -> str:
    """When a process started, so that a reused process id is not mistaken for it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def _alive(owner: str) -> bool:
    """Whether a claim's process may still be at work (always true for another host)."""
    _, host, pid, started = owner.split(":")
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return not started or _started(int(pid)) in ("", started)
