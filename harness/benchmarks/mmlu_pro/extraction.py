"""MMLU-Pro: reading a letter off an answer. Pure functions.

The official repository (TIGER-AI-Lab/MMLU-Pro) tries three patterns in turn and then takes a random
letter; here the random letter is left out and the answer counts as unparsed. The second and third
official patterns need quadratic time on long lines; what they find is found here in linear time.
"""

from __future__ import annotations

import re

LETTERS = "ABCDEFGHIJ"
PHRASE = re.compile(r"answer is \(?([A-J])\)?")
LABEL = re.compile(r"(?=[aA]nswer:\s*([A-J]))")
ALONE = re.compile(r"\b[A-J]\b")


def official(text: str) -> tuple[str | None, int]:
    """The letter by the official chain and the stage that found it (1 to 3); ``(None, 0)``.

    1: the first "answer is (X)". 2: the last "Answer: X" of the first line that has one. 3: the
    last stand-alone letter A to J of the text.
    """
    phrase = PHRASE.search(text)
    if phrase:
        return phrase.group(1), 1
    labelled = last_label(text)
    if labelled:
        return labelled, 2
    last = last_letter(text)
    return (last, 3) if last else (None, 0)


def last_label(text: str) -> str | None:
    r"""What ``.*[aA]nswer:\s*([A-J])`` finds: the last label that starts in the first line with one."""
    found = None
    line_end = len(text)
    for match in LABEL.finditer(text):
        if match.start() > line_end:
            break
        if found is None:
            end = text.find("\n", match.start())
            line_end = end if end >= 0 else len(text)
        found = match.group(1)
    return found


def last_letter(text: str) -> str | None:
    r"""What ``\b[A-J]\b(?!.*\b[A-J]\b)`` (dot matches all) finds: the last stand-alone letter."""
    letters = ALONE.findall(text)
    return str(letters[-1]) if letters else None
