"""Replies that could not be read: kept raw and booked, so that nothing paid for is lost or hidden.

A request whose reply is here has no answer in the store, and is asked again by the next run.
"""

from __future__ import annotations

import sqlite3
import time
import zlib
from dataclasses import dataclass

MOST_RAW = 1 << 16
"""Bytes of a reply that are kept."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS unreadable (
    key TEXT NOT NULL,
    judge TEXT NOT NULL,
    scope TEXT NOT NULL,
    error TEXT NOT NULL,
    created REAL NOT NULL,
    cost_usd REAL NOT NULL,
    raw BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS unreadable_by_scope ON unreadable (scope);
"""


@dataclass(frozen=True)
class Unreadable:
    """One reply that was no chat completion. ``cost_usd`` is the most that it can have cost."""

    key: str
    judge: str
    scope: str
    error: str
    raw: bytes
    created: float = 0.0
    cost_usd: float = 0.0


def insert(db: sqlite3.Connection, row: Unreadable) -> None:
    """Add a reply."""
    packed = zlib.compress(row.raw[:MOST_RAW], 1)
    created = row.created or time.time()
    values = (row.key, row.judge, row.scope, row.error, created, row.cost_usd, packed)
    db.execute("INSERT INTO unreadable VALUES (?, ?, ?, ?, ?, ?, ?)", values)


def select(db: sqlite3.Connection) -> list[Unreadable]:
    """All of them, oldest first."""
    names = "key, judge, scope, error, created, cost_usd, raw"
    rows = db.execute(f"SELECT {names} FROM unreadable ORDER BY created").fetchall()
    return [
        Unreadable(key, judge, scope, error, zlib.decompress(raw), created, cost)
        for key, judge, scope, error, created, cost, raw in rows
    ]
