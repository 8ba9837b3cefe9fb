"""Ratings and pair verdicts as FastChat's ``model_judgment`` files, both ways."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from groundwork.files import numbered_json_lines, write_json_lines
from judges.errors import JudgeError
from judges.import_export.files import Exchanged, field
from judges.prompts import SINGLE, PromptBook
from judges.protocols import pairwise, rating
from judges.records import Comparison
from judges.reply import read_reply
from judges.request import JudgeRequest
from judges.store import VerdictStore
from judges.stored_reply import StoredReply

Mode = Literal["single", "pair"]
FAILED = "$ERROR$"
"""What FastChat writes as the judgment when its own calls failed: no reply of the judge."""
UNPARSED = -1
WINNERS = {1.0: "model_1", 2.0: "model_2", 1.5: "tie"}


@dataclass(frozen=True)
class Judgments:
    """Which verdicts of a store to export: one judge's ratings (``single``) or pair verdicts.

    Attributes:
        models: name of the judged model, or of the two of a pair.
        item_ids: only these, as a store may hold several models.
    """

    judge: str
    mode: Mode = "single"
    models: tuple[str, ...] = ("model",)
    item_ids: frozenset[str] | None = None


def export_fastchat(
    store: VerdictStore, path: Path, book: PromptBook, chosen: Judgments
) -> Exchanged:
    """Write ratings or pair verdicts; a question's number is the first number in its item id.

    Raises:
        JudgeError: the store holds none of them.
    """
    rows = list((_pairs if chosen.mode == "pair" else _singles)(store, book, chosen))
    if not rows:
        raise JudgeError(
            f"{store.path}: no {chosen.mode} judgment of judge {chosen.judge!r} with these prompts"
        )
    rows.sort(key=lambda row: (row["question_id"], row["turn"]))
    return Exchanged(write_json_lines(path, rows), {})


def import_fastchat(
    store: VerdictStore, path: Path, book: PromptBook, *, judge: str | None = None
) -> Exchanged:
    """Read a ``*_single.jsonl`` of FastChat as ratings by the judge that made them.

    Raises:
        JudgeError: a line lacks a field, names a prompt that ``book`` lacks, has a score that its
            judgment does not read as, or repeats another line. Nothing is stored then.
    """
    stored: list[StoredReply] = []
    left_out: dict[str, int] = {}
    seen: dict[str, int] = {}
    for number, row in numbered_json_lines(path):
        place = f"{path}:{number}"
        judgment = field(row, "judgment", place, str)
        if judgment == FAILED:
            left_out["failed calls"] = left_out.get("failed calls", 0) + 1
            continue
        read = _single(row, judgment, book, judge, place)
        if read.key in seen:
            raise JudgeError(f"{place}: the same judgment as in line {seen[read.key]}")
        seen[read.key] = number
        stored.append(read)
    store.put(stored)
    return Exchanged(len(stored), left_out)


def _single(
    row: dict[str, Any], judgment: str, book: PromptBook, judge: str | None, place: str
) -> StoredReply:
    by = field(row, "judge", place, (list, tuple))
    if len(by) != 2 or by[1] not in book.templates or by[1] not in SINGLE:
        raise JudgeError(f"{place}: judged with prompt {by[-1:]}, which is no single-answer prompt")
    score, read = field(row, "score", place, (int, float)), rating.parse_score(judgment)
    if score != (UNPARSED if read is None else read):
        raise JudgeError(f"{place}: score {score}, but the judgment reads as {read}")
    name = judge or str(by[0])
    messages = [
        {"role": "system", "content": book.templates[by[1]].system},
        {"role": "user", "content": field(row, "user_prompt", place, str)},
    ]
    turn = field(row, "turn", place, int)
    tags = {"item_id": f"{row.get('question_id')}", "category": "", "turn": turn}
    request = JudgeRequest(messages, rating.PARAMS, rating.protocol(book, by[1]), tags=tags)
    message = {"role": "assistant", "content": judgment}
    return StoredReply.of(
        request,
        name,
        {"model": name, "choices": [{"message": message, "finish_reason": "stop"}]},
        origin="import:fastchat",
        created=float(row.get("tstamp") or 0.0),
    )


def _singles(store: VerdictStore, book: PromptBook, chosen: Judgments) -> Iterator[dict[str, Any]]:
    for row in _latest(store, f"mt-bench/{book.protocol}/", chosen).values():
        judgment = read_reply(row.reply).text
        value = rating.read(read_reply(row.reply)).value
        tags = row.tags or {}
        yield {
            "question_id": question_number(str(tags["item_id"])),
            "model": chosen.models[0],
            "judge": [chosen.judge, row.protocol.rpartition("/")[2]],
            "user_prompt": row.request["messages"][1]["content"],
            "judgment": judgment,
            "score": UNPARSED if value is None else value,
            "turn": int(tags["turn"]),
            "tstamp": row.created,
        }


def _pairs(store: VerdictStore, book: PromptBook, chosen: Judgments) -> Iterator[dict[str, Any]]:
    models = chosen.models if len(chosen.models) == 2 else ("model_1", "model_2")
    found = _latest(store, pairwise.protocol(book), chosen)
    for (item, swapped), first in found.items():
        second = found.get((item, True))
        if swapped or second is None:
            continue
        row: dict[str, Any] = {
            "question_id": question_number(str((first.tags or {})["item_id"])),
            "model_1": models[0],
            "model_2": models[1],
            "judge": [chosen.judge, pairwise.NAME],
            "turn": 1,
            "tstamp": first.created,
        }
        for game, stored, turned in (("g1", first, False), ("g2", second, True)):
            reply = read_reply(stored.reply)
            value = pairwise.read(reply).value
            if value is not None and turned:
                value = 3 - value
            row[f"{game}_winner"] = "error" if value is None else WINNERS[value]
            row[f"{game}_user_prompt"] = stored.request["messages"][1]["content"]
            row[f"{game}_judgment"] = reply.text
        yield row


def _latest(
    store: VerdictStore, protocol: str, chosen: Judgments
) -> dict[tuple[str, bool], StoredReply]:
    """The last attempt of each request, by what was asked (first two messages) and the order."""
    found: dict[tuple[str, bool], StoredReply] = {}
    for row in store.rows(judge=chosen.judge, protocol=protocol):
        tags = row.tags or {}
        item_ids = chosen.item_ids
        if item_ids is not None and str(tags.get("item_id")) not in item_ids:
            continue
        asked = row.request["messages"][1]["content"]
        if "output_1" in tags:
            asked = Comparison(
                **{k: v for k, v in tags.items() if k != "swapped"}
            ).model_dump_json()
        key = (asked, bool(tags.get("swapped")))
        if key not in found or row.attempt > found[key].attempt:
            found[key] = row
    return found


def question_number(item_id: str) -> int:
    """The first number in an item id, as FastChat numbers its questions.

    Raises:
        JudgeError: there is none.
    """
    found = re.search(r"\d+", item_id)
    if found is None:
        raise JudgeError(f"item id {item_id!r} holds no question number, which FastChat needs")
    return int(found.group())
