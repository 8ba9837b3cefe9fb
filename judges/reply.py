"""What a judge's server answered, read from the raw JSON of a chat completion."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from groundwork.printable import one_line, whole_characters
from groundwork.reasoning import split_reasoning
from judges.records import VerdictState

REFUSAL = re.compile(
    r"^\W*(i['’]?m (really |very |so )?sorry|sorry,|i (can ?not|can['’]t|won['’]t|am unable|am not able)"
    r"|i apologi[sz]e|as an ai\b)",
    re.IGNORECASE,
)
"""Openings of a reply that declines. Only consulted for a reply without a verdict."""
MOST_TOKENS = 10**8
LABEL = 200
"""Characters of a name or reason that a server gives."""
ROUNDING = 1e-3
"""A log-probability this little above 0 is a rounding error of the server."""
LEAST = -1e6
"""Below it, a log-probability is probability 0 (vLLM writes -9999 for that)."""


Alternatives = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """The parts of a chat completion that a verdict is read from.

    Attributes:
        text: the answer, without the judge's reasoning.
        reasoned: the model reasoned first (in a field or section of its own, or by its token count).
        unfinished: the text ended inside the reasoning.
        malformed: the content is neither text nor absent.
        top_logprobs: for each generated token, the server's alternatives as (token,
            log-probability); empty when the server sent none.
        usage_known: the token counts are the server's, and plausible.
        given: a preference that was imported without its raw reply (in the order shown).
    """

    text: str
    finish_reason: str
    refusal: str
    top_logprobs: tuple[Alternatives, ...]
    model: str
    prompt_tokens: int
    completion_tokens: int
    reasoned: bool = False
    unfinished: bool = False
    malformed: bool = False
    usage_known: bool = True
    given: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """A verdict as read from one reply, before the order of the outputs is mapped back."""

    state: VerdictState
    value: float | None = None


def read_reply(body: Mapping[str, Any], *, imported: bool = False) -> Reply:
    """Read a chat completion's JSON, which may be anything: fields of another type count as absent.

    Args:
        imported: the body is a row that this project's import wrote, whose own field
            ``given_preference`` counts; a server's is ignored.

    Raises:
        ValueError: the body is no chat completion (no choices, wrong types); names the server's
            reason where it sent one.
    """
    choices = body.get("choices")
    if not isinstance(choices, Sequence) or isinstance(choices, str) or not choices:
        error = body.get("error")
        reason = error.get("message") if isinstance(error, Mapping) else error
        told = isinstance(reason, str) and reason
        raise ValueError(f"the server says: {reason}" if told else "the reply holds no choices")
    choice = _mapping(choices[0])
    message = _mapping(choice.get("message"))
    usage = _mapping(body.get("usage"))
    details = _mapping(usage.get("completion_tokens_details"))
    counts = [_count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens")]
    text, malformed = _text(message.get("content"))
    split = split_reasoning(whole_characters(text))
    apart = any(message.get(name) for name in ("reasoning_content", "reasoning"))
    return Reply(
        text=split.answer,
        finish_reason=_label(choice.get("finish_reason")),
        refusal=_label(message.get("refusal")),
        top_logprobs=_alternatives(choice.get("logprobs")),
        model=_label(body.get("model")),
        prompt_tokens=counts[0] or 0,
        completion_tokens=counts[1] or 0,
        reasoned=bool(split.reasoning or apart or _count(details.get("reasoning_tokens"))),
        unfinished=split.unclosed,
        malformed=malformed,
        usage_known=None not in counts,
        given=_preference(choice.get("given_preference")) if imported else None,
    )


def unread_state(reply: Reply, *, length_matters: bool = True) -> VerdictState:
    """Why a reply without a verdict has none.

    ``length_matters`` is false for one-token readings, which always end at the token limit.
    """
    if reply.malformed or reply.finish_reason == "error":
        return "error"
    if reply.finish_reason == "content_filter":
        return "filtered"
    if reply.refusal or REFUSAL.match(reply.text):
        return "refused"
    if reply.unfinished or (reply.finish_reason == "length" and (length_matters or reply.reasoned)):
        return "truncated"
    return "unparsed"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _label(value: Any) -> str:
    """A short text in one line; empty for anything else."""
    return one_line(value, LABEL) if isinstance(value, str) else ""


def _text(content: Any) -> tuple[str, bool]:
    """A message's content (text, or a list of text parts), and whether it is something else."""
    if content is None or isinstance(content, str):
        return content or "", False
    if isinstance(content, list):
        parts = [_mapping(part).get("text") for part in content]
        if all(isinstance(part, str) for part in parts):
            return "".join(map(str, parts)), False
    return "", True


def _count(value: Any) -> int | None:
    """A plausible number of tokens."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= MOST_TOKENS else None


def _preference(value: Any) -> float | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value <= 2
    return float(value) if usable else None


def _alternatives(logprobs: Any) -> tuple[Alternatives, ...]:
    """The alternatives per token, in the chat's form or the old completions' form."""
    logprobs = _mapping(logprobs)
    content = logprobs.get("content")
    if isinstance(content, list):
        rows = [_mapping(token).get("top_logprobs") for token in content]
        return tuple(
            tuple(
                _alternative(_mapping(top).get("token"), _mapping(top).get("logprob"))
                for top in (row if isinstance(row, list) else [])
            )
            for row in rows
        )
    tops = logprobs.get("top_logprobs")
    if isinstance(tops, list):  # tokens, token_logprobs, top_logprobs: one object per token
        return tuple(tuple(_alternative(*item) for item in _mapping(top).items()) for top in tops)
    return ()


def _alternative(token: Any, logprob: Any) -> tuple[str, float]:
    """A token and its log-probability; null, NaN and values above 0 are probability 0."""
    name = token if isinstance(token, str) else ""
    usable = isinstance(logprob, int | float) and not isinstance(logprob, bool)
    if not usable or not LEAST <= logprob <= ROUNDING:
        return name, -math.inf
    return name, min(float(logprob), 0.0)
