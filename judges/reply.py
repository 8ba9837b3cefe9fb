"""What a judge's server answered, read from the raw JSON of a chat completion."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judges.records import VerdictState

REFUSAL = re.compile(
    r"^\W*(i['’]?m (really |very |so )?sorry|sorry,|i (can ?not|can['’]t|won['’]t|am unable|am not able)"
    r"|i apologi[sz]e|as an ai\b)",
    re.IGNORECASE,
)
"""Openings of a reply that declines. Only consulted when no verdict was found in it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The parts of a chat completion that a verdict is read from.

    ``top_logprobs`` holds, for each generated token, the server's alternatives as
    ``(token, log-probability)``; empty when the server sent none. ``given`` is a preference that was
    imported without its raw reply (in the order shown).
    """

    text: str
    finish_reason: str
    refusal: str
    top_logprobs: tuple[tuple[tuple[str, float], ...], ...]
    model: str
    prompt_tokens: int
    completion_tokens: int
    given: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """A verdict as read from one reply, before the order of the outputs is mapped back."""

    state: VerdictState
    value: float | None = None


def read_reply(body: Mapping[str, Any]) -> Reply:
    """Read a chat completion's JSON.

    Raises:
        ValueError: the body is no chat completion (no choices, wrong types).
    """
    choices = body.get("choices")
    if not isinstance(choices, Sequence) or isinstance(choices, str) or not choices:
        raise ValueError("the reply holds no choices")
    choice = choices[0]
    message = choice.get("message") or {}
    usage = body.get("usage") or {}
    return Reply(
        text=str(message.get("content") or ""),
        finish_reason=str(choice.get("finish_reason") or ""),
        refusal=str(message.get("refusal") or ""),
        top_logprobs=_alternatives(choice.get("logprobs")),
        model=str(body.get("model") or ""),
        prompt_tokens=int(usage.get("prompt_tokens") or 0),
        completion_tokens=int(usage.get("completion_tokens") or 0),
        given=choice.get("given_preference"),
    )


def unread_state(reply: Reply, *, length_matters: bool = True) -> VerdictState:
    """Why a reply without a verdict has none.

    ``length_matters`` is false for one-token readings, which always end at the token limit.
    """
    if reply.finish_reason == "content_filter":
        return "filtered"
    if reply.refusal or REFUSAL.match(reply.text):
        return "refused"
    if length_matters and reply.finish_reason == "length":
        return "truncated"
    return "unparsed"


def _alternatives(logprobs: Any) -> tuple[tuple[tuple[str, float], ...], ...]:
    content = (logprobs or {}).get("content") or []
    return tuple(
        tuple((str(t["token"]), float(t["logprob"])) for t in token.get("top_logprobs") or [])
        for token in content
    )
