"""The boxed answer of a LaTeX solution, which MATH files carry instead of an answer field."""

from __future__ import annotations

import re

BOX = re.compile(r"\\(?:boxed|fbox)\s{0,9}\{")
BRACES = re.compile(r"(?<!\\)[{}]")


def boxed_spans(text: str) -> list[tuple[int, int]]:
    r"""Begin and end of the contents of every complete ``\boxed{...}`` (or ``\fbox``), in order of
    their beginnings, braces balanced. Linear in the text."""
    starts = {match.end() - 1 for match in BOX.finditer(text)}
    if not starts:
        return []
    spans, opened = [], []
    for brace in BRACES.finditer(text, min(starts)):
        if brace.group() == "{":
            opened.append(brace.start())
        elif opened:
            begin = opened.pop()
            if begin in starts:
                spans.append((begin + 1, brace.start()))
    return sorted(spans)


def boxed_answers(text: str) -> list[str]:
    r"""Contents of every complete ``\boxed{...}`` (or ``\fbox``), in order, braces balanced."""
    return [text[begin:end].strip() for begin, end in boxed_spans(text)]


def last_boxed(text: str) -> str | None:
    r"""The last complete ``\boxed{...}``, ``None`` where there is none."""
    found = boxed_answers(text)
    return found[-1] if found else None
