"""What was spent under a scope, and what is set aside for requests in flight, by all processes.

The tables stand in the verdict store, so that one budget bounds every process of a run. A process that
is gone holds nothing back.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable

SCHEMA = """
CREATE TABLE IF NOT EXISTS spending (
    scope TEXT PRIMARY KEY,
    calls INTEGER NOT NULL,
    cost REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reservations (
    scope TEXT NOT NULL,
    owner TEXT NOT NULL,
    calls INTEGER NOT NULL,
    cost REAL NOT NULL,
    PRIMARY KEY (scope, owner)
) WITHOUT ROWID;
"""
_PAID = "cost_usd >= 0 AND cost_usd < 1e9"
_SUM = f"""
INSERT OR IGNORE INTO spending
SELECT ?1, count(*), total(CASE WHEN {_PAID} THEN cost_usd ELSE 0 END) FROM (
    SELECT cost_usd FROM replies WHERE scope = ?1 AND origin IN ('api', 'batch')
    UNION ALL SELECT cost_usd FROM unreadable WHERE scope = ?1
)
"""
"""Where a release without these tables has spent already."""


def spent(db: sqlite3.Connection, scope: str) -> tuple[int, float]:
    """Calls and dollars paid for under a scope; inside a transaction that may write."""
    row = db.execute("SELECT calls, cost FROM spending WHERE scope = ?", (scope,)).fetchone()
    if row is None:
        db.execute(_SUM, (scope,))
        row = db.execute("SELECT calls, cost FROM spending WHERE scope = ?", (scope,)).fetchone()
    return int(row[0]), float(row[1])


def book(db: sqlite3.Connection, scope: str, calls: int, cost: float) -> None:
    """Add to what was spent; ``spent`` was called before the replies were written."""
    if calls and math.isfinite(cost) and cost >= 0:
        db.execute(
            "UPDATE spending SET calls = calls + ?, cost = cost + ? WHERE scope = ?",
            (calls, cost, scope),
        )


def reserved(
    db: sqlite3.Connection, scope: str, owner: str, alive: Callable[[str], bool]
) -> tuple[int, float]:
    """Calls and dollars set aside by all living processes; rows of dead ones go."""
    calls, cost = 0, 0.0
    for other, n, dollars in db.execute(
        "SELECT owner, calls, cost FROM reservations WHERE scope = ?", (scope,)
    ).fetchall():
        if other != owner and not alive(other):
            db.execute("DELETE FROM reservations WHERE scope = ? AND owner = ?", (scope, other))
            continue
        calls, cost = calls + n, cost + dollars
    return calls, cost


def set_aside(db: sqlite3.Connection, scope: str, owner: str, calls: int, cost: float) -> None:
    """Add to (or, negative, take from) what a process has set aside."""
    db.execute(
        "INSERT INTO reservations VALUES (?, ?, ?, ?) ON CONFLICT (scope, owner) DO UPDATE"
        " SET calls = calls + excluded.calls, cost = max(0, cost + excluded.cost)",
        (scope, owner, calls, cost),
    )
    db.execute(
        "DELETE FROM reservations WHERE scope = ? AND owner = ? AND calls <= 0", (scope, owner)
    )
