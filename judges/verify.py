"""A verdict store verified: what in it is poisoned or damaged, and how that is mended.

Poisoned is a row that was stored and is no verdict's source: a reply that can't be read, one that is not
the reply to its request, a cost that is no amount. Mending moves it to the unreadable replies, so that
its request is asked again, and keeps what it cost. A damaged file is saved row by row into a new one.
"""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from groundwork.printable import one_line
from judges.errors import JudgeError
from judges.reply import MOST_TOKENS, read_reply
from judges.request import JudgeRequest
from judges.store import VerdictStore
from judges.stored_reply import BROKEN, COLUMNS, StoredReply, from_row

MOST_DOLLARS = 10_000.0
"""No one reply costs that much."""
RANGES = [f"{first:02x}" for first in range(256)]
"""Starts of keys; damage in one range costs no other range's rows."""


@dataclass
class StoreCheck:
    """What a check of a store found.

    Attributes:
        rows: replies that were read.
        poisoned: keys of replies that are no use, with the reason.
        costs: keys of good replies whose cost or token counts are no amounts.
        facts: names of facts that can't be read.
        file: what is wrong with the file itself; empty where nothing is.
        kept: unreadable replies that are kept raw, to be asked again.
    """

    rows: int = 0
    poisoned: dict[str, str] = field(default_factory=dict)
    costs: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    file: str = ""
    kept: int = 0

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.poisoned or self.costs or self.facts or self.file)

    def lines(self) -> list[str]:
        """What is wrong, one line per kind."""
        found = [self.file] if self.file else []
        reasons: dict[str, int] = {}
        for reason in self.poisoned.values():
            reasons[reason] = reasons.get(reason, 0) + 1
        found += [f"{count} replies: {reason}" for reason, count in reasons.items()]
        if self.costs:
            found.append(f"{len(self.costs)} replies: a cost or token count that is no amount")
        if self.facts:
            found.append(f"{len(self.facts)} facts that can't be read")
        return found


def check_store(path: Path) -> StoreCheck:
    """Read all of a store; nothing is changed."""
    found = StoreCheck()
    with closing(_open(path)) as db:
        found.file = _file_damage(db)
        for row in _rows(db):
            found.rows += 1
            if reason := poison(row):
                found.poisoned[str(row[0])] = reason
            elif not _amounts(row):
                found.costs.append(str(row[0]))
        with suppress(sqlite3.Error):
            found.facts = [name for name, text in db.execute("SELECT * FROM facts") if _bad(text)]
        with suppress(sqlite3.Error):
            found.kept = db.execute("SELECT count(*) FROM unreadable").fetchone()[0]
    return found


def mend_store(path: Path) -> StoreCheck:
    """Check a store and mend what is wrong; what was found. A damaged file is kept beside the new one,
    as ``NAME.damaged``.

    Raises:
        JudgeError: nothing of it can be read.
    """
    found = check_store(path)
    if found.file:
        _save(path)
    if found.whole:
        return found
    store = VerdictStore(path)
    try:
        for key, reason in found.poisoned.items():
            store.set_reply_aside(key, reason)
        store.mend(found.costs, found.facts)
    finally:
        store.close()
    return found


def poison(row: tuple[Any, ...]) -> str:
    """Why a row of ``replies`` can't give a verdict; empty where it can."""
    try:
        reply = from_row(row)
    except BROKEN:
        return "it can't be unpacked"
    if not isinstance(reply.request, dict) or not isinstance(reply.reply, dict):
        return "request or reply is no JSON object"
    if not _is_its_own(reply):
        return "its key is not that of its request"
    if reply.origin == "local":
        total, tokens = (reply.reply.get(name) for name in ("total", "tokens"))
        usable = isinstance(total, int | float) and math.isfinite(total) and isinstance(tokens, int)
        return "" if usable else "its log-probability is no number"
    try:
        read_reply(reply.reply, imported=reply.imported)
    except ValueError:
        return "it is no chat completion"
    if reply.served != one_line(reply.served, 200):
        return "the server's name is no printable line"
    return ""


def _is_its_own(reply: StoredReply) -> bool:
    messages, params = reply.request.get("messages"), reply.request.get("params")
    if not isinstance(messages, list) or not isinstance(params, dict):
        return False
    asked = JudgeRequest(messages, params, reply.protocol, reply.attempt)
    return asked.key(reply.judge) == reply.key


def _amounts(row: tuple[Any, ...]) -> bool:
    cost, prompt, completion = row[8:11]
    tokens = all(isinstance(n, int) and 0 <= n <= MOST_TOKENS for n in (prompt, completion))
    return tokens and isinstance(cost, int | float) and 0 <= cost <= MOST_DOLLARS


def _bad(text: Any) -> bool:
    try:
        json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return True
    return False


def _open(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise JudgeError(f"no store of verdicts {path}")
    db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=60)
    db.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return db


def _file_damage(db: sqlite3.Connection) -> str:
    try:
        said = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        db.execute("SELECT count(*) FROM replies").fetchone()
    except sqlite3.Error as error:
        return f"the file is damaged: {error}"
    return "" if said == "ok" else f"the file is damaged: {one_line(str(said), 120)}"


def _rows(db: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    """Every row that can be read: range by range, forwards and, where that fails, backwards."""
    for start, end in zip(RANGES, [*RANGES[1:], "g"], strict=True):
        seen: set[str] = set()
        for order in ("ASC", "DESC"):
            try:
                for row in db.execute(
                    f"SELECT {COLUMNS} FROM replies WHERE key >= ? AND key < ? ORDER BY key {order}",
                    (start, end),
                ):
                    if row[0] not in seen:
                        seen.add(row[0])
                        yield row
                break
            except sqlite3.Error:
                continue


def _save(path: Path) -> None:
    """A new store of all rows that can be read, in the place of a damaged one."""
    fresh = path.with_name(f".{path.name}.saved.tmp")
    for old in fresh.parent.glob(f"{fresh.name}*"):
        old.unlink()
    target = VerdictStore(fresh)
    saved = 0
    with closing(_open(path)) as db:
        for row in _rows(db):
            with suppress(*BROKEN):
                target.put([from_row(row)])
                saved += 1
    target.close()
    if not saved:
        for old in fresh.parent.glob(f"{fresh.name}*"):
            old.unlink()
        raise JudgeError(
            f"{path}: nothing of this verdict store can be read: move it away, a new one is then made"
        )
    aside = path.with_name(f"{path.name}.damaged")
    for suffix in ("-wal", "-shm", ""):
        file = path.with_name(path.name + suffix)
        if file.is_file():
            shutil.move(file, aside.with_name(aside.name + suffix))
    fresh.rename(path)
