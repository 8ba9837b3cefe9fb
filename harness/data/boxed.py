"""The boxed answer of a LaTeX solution, which MATH files carry instead of an answer field."""

from __future__ import annotations

import re

BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")


def boxed_answers(text: str) -> list[str]:
    r"""Contents of every complete ``\boxed{...}`` (or ``\fbox``), in order, braces balanced."""
    found = []
    for match in BOX.finditer(text):
        depth, start = 1, match.end()
        for position in range(start, len(text)):
            if text[position] == "{" and text[position - 1] != "\\":
                depth += 1
            elif text[position] == "}" and text[position - 1] != "\\":
                depth -= 1
            if depth == 0:
                found.append(text[start:position].strip())
                break
    return found


def last_boxed(text: str) -> str | None:
    r"""The last complete ``\boxed{...}``, ``None`` where there is none."""
    found = boxed_answers(text)
    return found[-1] if found else None
