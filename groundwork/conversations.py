"""Prompts and preference pairs in the shapes that files of this field have, as one list of messages.

A message has ``role`` and ``content`` (or ``from`` and ``value``, as in ShareGPT files). A preference
row has ``chosen`` and ``rejected``: texts, one message, or whole conversations whose last message is
the answer. Its prompt is a text or messages under a usual name, or implicit: what both conversations
share before their last message (as in TRL's implicit prompts).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from groundwork.errors import UserError

Message = dict[str, str]

PROMPT_FIELDS = ("prompt", "instruction", "question", "query", "messages", "conversations")
"""Names under which files give the prompt of a row; the first that is present counts."""
TITLES = {"system": "System", "user": "User", "assistant": "Assistant"}
_ROLES = {"human": "user", "gpt": "assistant", "model": "assistant", "chatgpt": "assistant"}


@dataclass(frozen=True)
class Preference:
    """A preference row: the whole conversation before the answers, and the two answers."""

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str


def read_messages(value: Any, where: str) -> list[Message]:
    """A message or a list of messages; a text is a user's message.

    Raises:
        UserError: anything else; ``where`` names the place.
    """
    if isinstance(value, str):
        if not value.strip():
            raise UserError(f"{where} is empty")
        return [{"role": "user", "content": value}]
    turns = [value] if isinstance(value, Mapping) else value
    if not isinstance(turns, Sequence) or isinstance(turns, bytes) or not turns:
        raise UserError(f"{where}: a text or a list of messages was expected")
    messages = []
    for turn in turns:
        fields = turn if isinstance(turn, Mapping) else {}
        role = fields.get("role", fields.get("from"))
        content = fields.get("content", fields.get("value"))
        if not isinstance(role, str) or not isinstance(content, str):
            raise UserError(f"{where}: a message needs the texts 'role' and 'content'")
        messages.append({"role": _ROLES.get(role, role), "content": content})
    return messages


def read_preference(row: Mapping[str, Any], where: str) -> Preference:
    """The prompt and both answers of a preference row.

    Raises:
        UserError: a missing field, something else in it, or conversations that disagree with each
            other or with the prompt; ``where`` names the row.
    """
    for field in ("chosen", "rejected"):
        if row.get(field) is None:
            raise UserError(
                f"{where}: field {field!r} is missing; a row has prompt, chosen, rejected"
            )
    before, chosen = _answer(row["chosen"], f"{where}: chosen")
    other, rejected = _answer(row["rejected"], f"{where}: rejected")
    if before and other and before != other:
        raise UserError(f"{where}: chosen and rejected are answers to different conversations")
    shared = before or other
    named = next((name for name in PROMPT_FIELDS if row.get(name) is not None), "")
    if not named and not shared:
        raise UserError(f"{where}: field 'prompt' is missing; a row has prompt, chosen, rejected")
    prompt = read_messages(row[named], f"{where}: {named}") if named else shared
    if named and shared:
        _check_agreement(prompt, shared, row[named], f"{where}: {named}")
        prompt = shared
    if prompt[-1]["role"] != "user":
        raise UserError(
            f"{where}: {named or 'chosen'}: the last message is by {prompt[-1]['role']!r}, not by "
            "the user"
        )
    return Preference(tuple(prompt), chosen, rejected)


def transcript(prompt: str | Sequence[Mapping[str, Any]]) -> str:
    """A prompt as one text: a user's single message as it is, a longer conversation with its roles."""
    if isinstance(prompt, str):
        return prompt
    messages = read_messages(list(prompt), "prompt") if prompt else []
    if len(messages) == 1 and messages[0]["role"] == "user":
        return messages[0]["content"]
    return "\n\n".join(f"{TITLES.get(m['role'], m['role'])}: {m['content']}" for m in messages)


def _answer(value: Any, where: str) -> tuple[list[Message], str]:
    """The messages before an answer, and the answer."""
    if isinstance(value, str):
        return [], value
    messages = read_messages(value, where)
    if messages[-1]["role"] != "assistant":
        raise UserError(
            f"{where}: the last message is by {messages[-1]['role']!r}, not by the assistant"
        )
    return messages[:-1], messages[-1]["content"]


def _check_agreement(prompt: list[Message], shared: list[Message], given: Any, where: str) -> None:
    """A prompt in words is one of the user's turns; one in messages is the conversation itself."""
    turns = [m["content"].strip() for m in shared if m["role"] == "user"]
    same = given.strip() in turns if isinstance(given, str) else prompt == shared
    # a system message may stand in the conversations alone
    plain = [m for m in shared if m["role"] != "system"]
    if not same and prompt != plain:
        raise UserError(f"{where} is not the conversation that chosen and rejected answer")
