"""Texts of the report: chats and answers as one text each, shortened visibly, within a budget."""

from __future__ import annotations

import json
from typing import Any

ANSWER_LIMIT = 6_000
"""Characters of one text that are kept; longer ones are cut in the middle, visibly."""


def as_text(value: Any) -> str:
    """A prompt or an answer as one text: turns of a chat by role, several answers one by one."""
    if value is None:
        return ""
    if isinstance(value, list):
        return shortened("\n\n".join(_turn(turn) for turn in value))
    return shortened(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _turn(turn: Any) -> str:
    if isinstance(turn, dict) and "content" in turn:
        return f"[{turn.get('role', 'turn')}]\n{turn['content']}"
    return turn if isinstance(turn, str) else json.dumps(turn, ensure_ascii=False)


def shortened(text: str, limit: int = ANSWER_LIMIT) -> str:
    """The text, its middle left out where it is longer than ``limit``."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"


def step_of(total: int, limit: int) -> int:
    """Every how many-th entry fits, so that ``total`` characters become at most ``limit``."""
    return max(1, -(-total // limit))


def thinned(step: int, what: str) -> list[str]:
    """The remark that only every ``step``-th entry is shown; none for a step of 1."""
    if step == 1:
        return []
    ordinal = {2: "second", 3: "third"}.get(step, f"{step}th")
    return [f"To keep the page small, every {ordinal} {what} is shown here."]
