"""Annotated preference sets: rows of prompt, chosen, rejected as preference pairs to train on."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from groundwork.conversations import read_preference
from groundwork.errors import UserError
from groundwork.files import numbered_json_lines
from sso.filters import Dropped
from sso.records import PreferencePair


def read_preferences(path: Path) -> tuple[list[PreferencePair], list[Dropped], int]:
    """The usable pairs of a preference file, those dropped, and how many lines repeat another.

    The shapes of a row are those of ``groundwork.conversations``. Pairs with an empty or twice the
    same side are dropped. A line that repeats another with the same id is skipped; different pairs
    under one id are all kept, under ids of their own.

    Raises:
        UserError: a line that lacks a field or holds something else in it (file and line named).
    """
    pairs: list[PreferencePair] = []
    dropped: list[Dropped] = []
    seen: set[bytes] = set()
    ids: set[str] = set()
    repeated = 0
    for number, row in numbered_json_lines(path):
        pair = _pair(row, f"{path}:{number}", number)
        if (same := sha256(pair.model_dump_json().encode()).digest()) in seen:
            repeated += 1
            continue
        seen.add(same)
        if pair.id in ids:
            pair = pair.model_copy(update=dict.fromkeys(("id", "query_id"), f"{pair.id}#{number}"))
        ids.add(pair.id)
        if not pair.chosen or not pair.rejected:
            role = "rejected" if pair.chosen else "chosen"
            dropped.append(Dropped(query_id=pair.id, reason="empty", role=role))
        elif pair.chosen == pair.rejected:
            dropped.append(Dropped(query_id=pair.id, reason="identical", role="rejected"))
        else:
            pairs.append(pair)
    return pairs, dropped, repeated


def _pair(row: Mapping[str, object], where: str, number: int) -> PreferencePair:
    item = str(row.get("id") or f"line-{number}")
    read = read_preference(row, where)
    pair = PreferencePair(
        id=item,
        query_id=item,
        prompt=read.prompt,
        chosen=read.chosen.strip(),
        rejected=read.rejected.strip(),
        kind="annotated",
    )
    for text in (pair.chosen, pair.rejected, *(turn["content"] for turn in pair.prompt)):
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise UserError(f"{where}: a text holds a lone surrogate, which no tokenizer reads")
    return pair
