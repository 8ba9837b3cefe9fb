"""One request to a judge: what is sent, and the key under which its answer is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Message = dict[str, str]


@dataclass(frozen=True)
class JudgeRequest:
    """A chat with a judge. ``attempt`` is 1 for the one re-ask after a reply without a verdict."""

    messages: Sequence[Message]
    params: Mapping[str, Any]
    protocol: str
    attempt: int = 0
    tags: Mapping[str, Any] = field(default_factory=dict, compare=False)
    _keys: dict[str, str] = field(init=False, default_factory=dict, compare=False, repr=False)

    def key(self, judge: str) -> str:
        """Fingerprint of judge, full prompt, sampling parameters, protocol and attempt (hex)."""
        if judge not in self._keys:
            self._keys[judge] = self._fingerprint(judge)
        return self._keys[judge]

    def _fingerprint(self, judge: str) -> str:
        text = json.dumps(
            [judge, list(self.messages), dict(self.params), self.protocol, self.attempt],
            sort_keys=True,
            ensure_ascii=False,
            separators=(",", ":"),
        )
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def characters(self) -> int:
        """Length of the prompt in characters."""
        return sum(len(message["content"]) for message in self.messages)


def text_digest(text: str) -> str:
    """Eight hex digits that stand for a prompt template in a protocol id."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]
