"""Records of the judging room: what is asked of a judge and what it answered."""

from __future__ import annotations

from typing import Literal

from groundwork.records import Record

VerdictState = Literal["ok", "unparsed", "refused", "filtered", "truncated", "error"]
"""``ok``: a usable value. ``unparsed``: a reply without one. ``refused``: the judge declined.
``filtered``: the provider's content filter stepped in. ``truncated``: cut at the token limit
before a value. ``error``: no reply could be had."""


class Comparison(Record):
    """Two answers to one instruction. Verdict values are about ``output_2`` (the evaluated side)."""

    item_id: str
    instruction: str
    output_1: str
    output_2: str


class Rating(Record):
    """A conversation whose last assistant turn is to be rated.

    ``turns`` alternates user and assistant texts and ends with the answer to rate: two entries for
    a first-turn rating, four for a second-turn one. ``references`` holds one reference answer
    per turn where the question has them, else it is empty.
    """

    item_id: str
    category: str
    turns: tuple[str, ...]
    references: tuple[str, ...] = ()


class Verdict(Record):
    """The verdict of a judge on one item.

    ``value``: for a weighted preference 1..2 (2 = output_2 preferred); for a rating 1..10; for a
    pairwise order 1 (first shown preferred), 2 or 1.5 (tie). ``None`` unless ``state`` is ``ok``.
    ``swapped``: the outputs were shown in the order (output_2, output_1); ``value`` is already
    mapped back. ``request_key`` is the verdict store's key of the request that was answered.
    """

    item_id: str
    kind: Literal["preference", "rating", "pairwise"]
    judge: str
    protocol: str
    state: VerdictState
    value: float | None = None
    swapped: bool = False
    raw: str = ""
    request_key: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    cached: bool = False
