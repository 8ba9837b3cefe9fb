"""MMLU-Pro: reading a letter off an answer. Pure functions.

The official repository (TIGER-AI-Lab/MMLU-Pro) tries three patterns in turn and then takes a random
letter; here the random letter is left out and the answer counts as unparsed.
"""

from __future__ import annotations

import re

LETTERS = "ABCDEFGHIJ"
STAGES = (
    re.compile(r"answer is \(?([A-J])\)?"),
    re.compile(r".*[aA]nswer:\s*([A-J])"),
)


def official(text: str) -> tuple[str | None, int]:
    """The letter by the official chain and the stage that found it (1 to 3); ``(None, 0)``.

    1: the first "answer is (X)". 2: the last "Answer: X" of the first line that has one. 3: the
    last stand-alone letter A to J of the text.
    """
    for number, pattern in enumerate(STAGES, 1):
        found = pattern.search(text)
        if found:
            return found.group(1), number
    last = last_letter(text)
    return (last, 3) if last else (None, 0)


def last_letter(text: str) -> str | None:
    """The last stand-alone capital A to J, what the third pattern finds (in linear time)."""
    letters = re.findall(r"\b[A-J]\b", text)
    return str(letters[-1]) if letters else None
