"""Annotated preference sets: rows of prompt, chosen, rejected as preference pairs to train on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from groundwork.errors import UserError
from groundwork.files import numbered_json_lines
from sso.filters import Dropped
from sso.records import Message, PreferencePair

FIELDS = ("prompt", "chosen", "rejected")
_ROLES = {"human": "user", "gpt": "assistant"}


def read_preferences(path: Path) -> tuple[list[PreferencePair], list[Dropped], int]:
    """The usable pairs of a preference file, those dropped, and how many lines repeat another.

    ``prompt`` is a text or a list of messages; ``chosen`` and ``rejected`` are texts, messages, or
    whole conversations whose last message counts. Messages have ``role`` and ``content`` (or ``from``
    and ``value``). Pairs with an empty or twice the same side are dropped.

    Raises:
        UserError: a line that lacks a field or holds something else in it (file and line named).
    """
    pairs: list[PreferencePair] = []
    dropped: list[Dropped] = []
    seen: set[str] = set()
    repeated = 0
    for number, row in numbered_json_lines(path):
        pair = _pair(row, f"{path}:{number}", number)
        if pair.id in seen:
            repeated += 1
            continue
        seen.add(pair.id)
        chosen, rejected = " ".join(pair.chosen.split()), " ".join(pair.rejected.split())
        if not chosen or not rejected:
            role = "rejected" if chosen else "chosen"
            dropped.append(Dropped(query_id=pair.id, reason="empty", role=role))
        elif chosen == rejected:
            dropped.append(Dropped(query_id=pair.id, reason="identical", role="rejected"))
        else:
            pairs.append(pair)
    return pairs, dropped, repeated


def _pair(row: Mapping[str, object], where: str, number: int) -> PreferencePair:
    for field in FIELDS:
        if row.get(field) is None:
            raise UserError(f"{where}: field {field!r} is missing; a row has {', '.join(FIELDS)}")
    item = str(row.get("id") or f"line-{number}")
    pair = PreferencePair(
        id=item,
        query_id=item,
        prompt=_prompt(row["prompt"], f"{where}: prompt"),
        chosen=_response(row["chosen"], f"{where}: chosen"),
        rejected=_response(row["rejected"], f"{where}: rejected"),
        kind="annotated",
    )
    for text in (pair.chosen, pair.rejected, *(turn["content"] for turn in pair.prompt)):
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise UserError(f"{where}: a text holds a lone surrogate, which no tokenizer reads")
    return pair


def _prompt(value: object, where: str) -> tuple[Message, ...]:
    if isinstance(value, str):
        if not value.strip():
            raise UserError(f"{where} is empty")
        return ({"role": "user", "content": value},)
    messages = _messages(value, where)
    if messages[-1]["role"] != "user":
        raise UserError(
            f"{where}: the last message is by {messages[-1]['role']!r}, not by the user"
        )
    return tuple(messages)


def _response(value: object, where: str) -> str:
    if isinstance(value, str):
        return value.strip()
    last = _messages(value, where)[-1]
    if last["role"] != "assistant":
        raise UserError(f"{where}: the last message is by {last['role']!r}, not by the assistant")
    return last["content"].strip()


def _messages(value: object, where: str) -> list[Message]:
    turns = [value] if isinstance(value, Mapping) else value
    if not isinstance(turns, list) or not turns:
        raise UserError(f"{where}: a text or a list of messages was expected")
    messages = []
    for turn in turns:
        fields = turn if isinstance(turn, Mapping) else {}
        role, content = (
            fields.get("role", fields.get("from")),
            fields.get("content", fields.get("value")),
        )
        if not isinstance(role, str) or not isinstance(content, str):
            raise UserError(f"{where}: a message needs the texts 'role' and 'content'")
        messages.append({"role": _ROLES.get(role, role), "content": content})
    return messages
