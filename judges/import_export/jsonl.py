"""The store's own format: one request and its raw reply per line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from groundwork.files import numbered_json_lines, write_json_lines
from judges.errors import JudgeError
from judges.import_export.files import Exchanged, field
from judges.reply import MOST_TOKENS
from judges.request import JudgeRequest
from judges.store import VerdictStore
from judges.stored_reply import StoredReply

NAMES = [f.name for f in fields(StoredReply)]
BATCH = 500


def export_jsonl(
    store: VerdictStore, path: Path, *, judge: str | None = None, protocol: str | None = None
) -> Exchanged:
    """Write replies (of one judge, of protocols that start so) with all that the store has of them."""
    rows = store.rows(judge=judge, protocol=protocol)
    count = write_json_lines(path, ({name: getattr(row, name) for name in NAMES} for row in rows))
    return Exchanged(count, {})


def import_jsonl(store: VerdictStore, path: Path) -> Exchanged:
    """Read replies back. What the store already holds stays as it is.

    Raises:
        JudgeError: a line lacks a field, its key is not that of its request, or occurs twice.
    """
    kept, known, batch = 0, 0, []
    for row in _rows(path):
        batch.append(row)
        if len(batch) == BATCH:
            known += len(store.get([r.key for r in batch]))
            store.put(batch)
            kept, batch = kept + len(batch), []
    known += len(store.get([r.key for r in batch]))
    store.put(batch)
    kept += len(batch)
    return Exchanged(kept - known, {"already there": known} if known else {})


def _rows(path: Path) -> Iterator[StoredReply]:
    # All lines are checked before the first one is stored.
    seen: dict[str, int] = {}
    for number, row in numbered_json_lines(path):
        read = _row(row, f"{path}:{number}")
        if read.key in seen:
            raise JudgeError(f"{path}:{number}: the same request as in line {seen[read.key]}")
        seen[read.key] = number
    for number, row in numbered_json_lines(path):
        yield _row(row, f"{path}:{number}")


def _row(row: dict[str, Any], place: str) -> StoredReply:
    for name in ("key", "judge", "served", "protocol"):
        field(row, name, place, str)
    request = field(row, "request", place, dict)
    field(row, "reply", place, dict)
    _check_amounts(row, place)
    if unknown := [name for name in row if name not in NAMES]:
        raise JudgeError(f"{place}: unknown field {unknown[0]!r}")
    asked = JudgeRequest(
        field(request, "messages", place, list),
        field(request, "params", place, dict),
        row["protocol"],
        row.get("attempt", 0),
    )
    if asked.key(row["judge"]) != row["key"]:
        raise JudgeError(f"{place}: the key is not that of the request")
    return StoredReply(**{"attempt": 0, **row, "origin": _origin(str(row.get("origin", "")))})


def _check_amounts(row: dict[str, Any], place: str) -> None:
    """Counts are whole numbers from 0, cost and time finite ones."""
    for name in ("attempt", "prompt_tokens", "completion_tokens", "cost_usd", "created"):
        value = row.get(name, 0)
        whole = name not in ("cost_usd", "created")
        if (
            isinstance(value, bool)
            or not isinstance(value, int if whole else int | float)
            or not 0 <= value <= MOST_TOKENS * 100
        ):
            raise JudgeError(f"{place}: {name} is {value!r}, no amount")
    for name in ("scope", "origin"):
        if not isinstance(row.get(name, ""), str):
            raise JudgeError(f"{place}: {name} is no text")
    if not isinstance(row.get("tags") or {}, dict):
        raise JudgeError(f"{place}: tags are no object")


def _origin(origin: str) -> str:
    """An import is not this store's spend."""
    return origin if origin == "local" or origin.startswith("import:") else "import:jsonl"
