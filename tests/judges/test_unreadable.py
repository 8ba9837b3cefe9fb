"""Unreadable replies: kept raw up to a bound, with what they may have cost."""

from __future__ import annotations

import sqlite3

from judges.unreadable import MOST_RAW, SCHEMA, Unreadable, insert, select


def test_rows_come_back_oldest_first_and_bounded() -> None:
    db = sqlite3.connect(":memory:")
    db.executescript(SCHEMA)
    insert(db, Unreadable("b", "j", "run", "no JSON", b"x" * (MOST_RAW + 9), created=2.0))
    insert(db, Unreadable("a", "j", "run", "no JSON", b"\xff\x00", created=1.0, cost_usd=0.5))
    first, second = select(db)
    assert (first.key, first.raw, first.cost_usd) == ("a", b"\xff\x00", 0.5)
    assert (second.key, len(second.raw)) == ("b", MOST_RAW)
