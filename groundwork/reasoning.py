"""Reasoning sections (``<think>...</think>`` and its kin) apart from the answer after them.

Models that think aloud write their reasoning into the text. A grader or a judge is to see the answer
alone: the reasoning holds numbers, letters and verdicts that are not the final ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache

Markers = tuple[str, str]
"""Opening and closing tag of a section, matched regardless of case."""

MARKERS: tuple[Markers, ...] = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
    ("<|channel>thought", "<channel|>"),
)
"""DeepSeek-R1, Qwen3 and most others; Magistral; Seed; Kimi; Sky-T1; Command A; gpt-oss; Gemma 4."""


_more: ContextVar[tuple[Markers, ...]] = ContextVar("more_markers", default=())

NEXT_MESSAGE = "<|end|><|start|>assistant"
"""What gpt-oss writes between its reasoning and the channel of its answer."""


@dataclass(frozen=True)
class SplitText:
    """A text's reasoning and the answer without it. ``unclosed``: it ends inside the reasoning."""

    reasoning: str
    answer: str
    unclosed: bool = False


@contextmanager
def more_markers(markers: Iterable[Sequence[str]]) -> Iterator[None]:
    """Within the ``with`` these pairs of tags are known beside ``MARKERS``, for a model that has its own."""
    token = _more.set(tuple((opening, closing) for opening, closing in markers))
    try:
        yield
    finally:
        _more.reset(token)


def split_reasoning(
    text: str, markers: Sequence[Markers] | None = None, *, opened: bool = False
) -> SplitText:
    """Split a text into reasoning and answer; a text without sections is its own answer, unchanged.

    A section begins with an opening tag at the start of a line, outside of fenced code, and ends
    with its first closing tag. Where a closing tag comes first, the template has written the opening
    one, and everything before belongs to the reasoning. An unclosed section reaches to the end.

    Args:
        text: what the model wrote.
        markers: pairs of tags; default: ``MARKERS`` and those of ``more_markers``.
        opened: the prompt ended inside a section (``opens_reasoning``), so that even a text without
            any tag is unclosed reasoning.
    """
    pattern, closings = _pattern(_known(markers))
    lowered = text.lower()
    if not opened and not any(o in lowered or c in lowered for o, c in closings.items()):
        return SplitText("", text)  # most texts, without the cost of the pattern
    reasoning: list[str] = []
    answer: list[str] = []
    start, waiting, fenced = 0, "", False
    if opened:
        waiting = "any"
    for found in pattern.finditer(text):
        tag = found.group().strip().lower()
        closing = tag in closings.values()
        if waiting and (tag == waiting or (waiting == "any" and closing)):
            reasoning.append(text[start : found.start()])
            start, waiting = found.end(), ""
        elif waiting:
            continue
        elif tag == "```":
            fenced = not fenced
        elif closing and not reasoning and not fenced:
            reasoning.append(text[: found.start()])
            answer, start = [], found.end()
        elif tag in closings and not fenced:
            answer.append(text[start : found.start()])
            start, waiting = found.end(), closings[tag]
    if not reasoning and not waiting:
        return SplitText("", text)
    (reasoning if waiting else answer).append(text[start:])
    thoughts = (part.strip().removesuffix(NEXT_MESSAGE).strip() for part in reasoning)
    return SplitText("\n".join(thoughts), "".join(answer).strip(), bool(waiting))


def _known(markers: Sequence[Markers] | None) -> tuple[Markers, ...]:
    return (*MARKERS, *_more.get()) if markers is None else tuple(markers)


def opens_reasoning(prompt: str, markers: Sequence[Markers] | None = None) -> bool:
    """Whether a rendered prompt ends with an opening tag, as some chat templates write it."""
    end = prompt.rstrip().lower()
    return any(end.endswith(opening.lower()) for opening, _ in _known(markers))


@lru_cache(maxsize=16)
def _pattern(markers: tuple[Markers, ...]) -> tuple[re.Pattern[str], dict[str, str]]:
    """Every tag in one pass: openings and code fences at the start of a line, closings anywhere."""
    closings = {opening.lower(): closing.lower() for opening, closing in markers}
    openings = "|".join(re.escape(opening) for opening in (*closings, "```"))
    ends = "|".join(re.escape(closing) for closing in closings.values())
    pattern = re.compile(f"^[ \\t]{{0,8}}(?:{openings})|(?:{ends})", re.MULTILINE | re.IGNORECASE)
    return pattern, closings
