"""JSON from a server that is not trusted: bounded in size, depth and parts, with finite numbers."""

from __future__ import annotations

import json
import math
from typing import Any

DEEPEST = 64
"""Levels of nesting; a chat completion with log-probabilities has 7."""
MOST_PARTS = 400_000
"""Lists and objects; 8,192 tokens with their 5 alternatives have 60,000."""
MOST_VALUES = 1_000_000


def parse_object(data: bytes | str) -> dict[str, Any]:
    """A JSON object. Numbers that are not finite are null, as the server's own NaN is.

    Raises:
        ValueError: something else, or more than a reply may hold; one line.
    """
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    parts = text.count("[") + text.count("{")
    if parts > MOST_PARTS or text.count(",") > MOST_VALUES:
        raise ValueError("the reply has more parts than a chat completion can")
    try:
        body = json.loads(text, parse_constant=lambda name: None, parse_float=_finite)
    except RecursionError:
        raise ValueError("the reply is nested too deeply") from None
    if not isinstance(body, dict):
        raise ValueError("the reply is not a JSON object")
    if parts > DEEPEST and not _shallow(body):
        raise ValueError("the reply is nested too deeply")
    return body


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _shallow(body: Any) -> bool:
    """Whether no value lies deeper than ``DEEPEST``."""
    level = [body]
    for _ in range(DEEPEST):
        level = [
            inner
            for value in level
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return True
    return False
