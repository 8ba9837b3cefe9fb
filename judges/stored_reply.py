"""A stored reply: one answered request, and the row of the verdict store that it is kept in."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from judges.request import JudgeRequest

BROKEN = (zlib.error, ValueError, TypeError, AttributeError, RecursionError)
"""What reading a damaged row raises."""
COLUMNS = (
    "key, judge, served, protocol, attempt, origin, scope, created, cost_usd, prompt_tokens,"
    " completion_tokens, request, reply, tags"
)


@dataclass(frozen=True)
class StoredReply:
    """One answered request. ``origin`` is ``api``, ``batch``, ``local`` or ``import:<format>``."""

    key: str
    judge: str
    served: str
    protocol: str
    attempt: int
    request: Mapping[str, Any]
    reply: Mapping[str, Any]
    origin: str = "api"
    scope: str = ""
    created: float = 0.0
    cost_usd: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    tags: Mapping[str, Any] | None = None

    @property
    def imported(self) -> bool:
        """Whether this project's import wrote the row, and no server."""
        return self.origin.startswith("import:")

    @classmethod
    def of(
        cls, request: JudgeRequest, judge: str, reply: Mapping[str, Any], **facts: Any
    ) -> StoredReply:
        """The reply of a judge to a request, under the request's key; ``facts``: other fields."""
        return cls(
            key=request.key(judge),
            judge=judge,
            protocol=request.protocol,
            attempt=request.attempt,
            request={"messages": list(request.messages), "params": dict(request.params)},
            reply=reply,
            **{"served": judge, "tags": request.tags, **facts},
        )


def _pack(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return zlib.compress(text.encode("utf-8", "surrogatepass"), 1)


def _unpack(blob: bytes) -> Any:
    return json.loads(zlib.decompress(blob).decode("utf-8", "surrogatepass"))


def to_row(row: StoredReply) -> tuple[Any, ...]:
    """The reply as a row of ``replies`` (``COLUMNS``), its texts packed."""
    return (
        row.key,
        row.judge,
        row.served,
        row.protocol,
        row.attempt,
        row.origin,
        row.scope,
        row.created or time.time(),
        row.cost_usd,
        row.prompt_tokens,
        row.completion_tokens,
        _pack(row.request),
        _pack(row.reply),
        _pack(row.tags or {}),
    )


def from_row(row: tuple[Any, ...]) -> StoredReply:
    """A row of ``replies`` (``COLUMNS``). Raises one of ``BROKEN`` where it is damaged."""
    key, judge, served, protocol, attempt, origin, scope, created, cost, prompt, completion = row[
        :11
    ]
    return StoredReply(
        key=key,
        judge=judge,
        served=served,
        protocol=protocol,
        attempt=attempt,
        request=_unpack(row[11]) if row[11] else {},
        reply=_unpack(row[12]),
        origin=origin,
        scope=scope,
        created=created,
        cost_usd=cost,
        prompt_tokens=prompt,
        completion_tokens=completion,
        tags=_unpack(row[13]) if row[13] else {},
    )
