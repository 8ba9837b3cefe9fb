"""MMLU: reading a letter off a written answer. A pure function."""

from __future__ import annotations

import re

LETTERS = "ABCD"


def letter(text: str) -> str | None:
    """The letter of "answer is X" or "Answer: X", else an answer that starts with its letter."""
    said = re.findall(r"answer\s*(?:is|:)\s*\(?([A-D])\b", text, re.IGNORECASE)
    if said:
        return str(said[-1]).upper()
    start = re.match(r"\s*\(?([A-D])\b", text)
    return start.group(1) if start else None
