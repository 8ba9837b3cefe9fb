"""Records of the training core: what a query, a principle, a contrast and a preference pair are.

Every record is one line of JSON. ``v`` is the schema version of that line.
"""

from __future__ import annotations

from typing import Literal

from groundwork.chat_tokens import Message
from groundwork.records import Record


class Query(Record):
    """One user request x (a user turn without a system prompt)."""

    id: str
    text: str
    source: str = ""


class Principle(Record):
    """The contrasting guidelines x+ / x- of one query.

    ``features`` are names of the preference features they came from; ``fallback``:
    generated text did not parse and the predefined text of the features was used.
    """

    query_id: str
    features: tuple[str, ...]
    good: str
    bad: str
    source: Literal["predefined", "generated"] = "predefined"
    fallback: bool = False


class Response(Record):
    """One sampled completion. ``tokens`` counts the completion tokens, end-of-turn token included."""

    text: str
    tokens: int
    truncated: bool = False


class Contrast(Record):
    """A query with y+ (under the good principle), y- (under the bad one) and yo (plain)."""

    query: Query
    principle: Principle
    good: Response
    bad: Response
    original: Response | None = None


class PreferencePair(Record):
    """One comparison to train on or to judge: ``chosen`` is preferred to ``rejected`` given ``prompt``.

    ``kind``: ``policy`` is the plain query x, ``generator-good``
    is x+ and ``generator-bad`` is x-; ``annotated`` pairs come from a preference data set.
    ``truncated`` names the sides that were cut at the token limit: they have no end of turn.
    """

    id: str
    query_id: str
    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    kind: Literal["policy", "generator-good", "generator-bad", "annotated"] = "policy"
    truncated: tuple[Literal["chosen", "rejected"], ...] = ()
