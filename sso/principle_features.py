"""Which features matter for a query: a model names them, whatever else its reply says."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from groundwork.sampling_params import SamplingParams
from groundwork.seeds import item_random
from groundwork.stored import Lazy
from sso.principles import Feature, PrincipleBook
from sso.records import Message, Query
from sso.settings import PrincipleSettings

if TYPE_CHECKING:  # sso.arms imports this module
    from sso.arms.base import TextEngine
    from sso.sampling import SamplingRound

MAX_QUERY_CHARS = 2000
"""A query is shown to the selecting model up to here: enough to see what matters for it."""


@dataclass(frozen=True)
class Selected:
    """The features of one query, and how many of them a model did not name (filled at random)."""

    names: tuple[str, ...]
    filled: int
    concision: bool


def selection_prompt(book: PrincipleBook, query: str, count: int) -> list[Message]:
    """Few-shot chat that ends with the query, so that all queries share everything before it."""
    listed = "\n".join(f"- {f.name}: {f.meaning}" for f in book.features)
    head = book.selection.instruction.replace("{features}", listed).replace("{count}", str(count))
    turns: list[Message] = []
    for example in book.selection.examples:
        turns.append({"role": "user", "content": _request(example.query)})
        turns.append({"role": "assistant", "content": ", ".join(example.features[:count])})
    turns.append({"role": "user", "content": _request(shorten(query))})
    return [{"role": "user", "content": f"{head}\n\n{turns[0]['content']}"}, *turns[1:]]


def shorten(query: str) -> str:
    """The beginning of a query that is too long to be shown in full."""
    return query if len(query) <= MAX_QUERY_CHARS else query[:MAX_QUERY_CHARS].rstrip() + " ..."


def _request(query: str) -> str:
    return f"Request: {query}"


def parse_features(reply: str, features: Sequence[Feature], count: int) -> list[str]:
    """The features that a reply names, in its order, at most ``count``.

    Names count wherever they stand, in any case, with a slip of spelling; adjectives ("Safe") only
    where they are a whole item of a list, since words like "helpful" also occur in prose.
    """
    hits: dict[str, int] = {}
    for feature in features:
        found = re.search(rf"(?<!\w){re.escape(feature.name)}(?!\w)", reply, re.IGNORECASE)
        if found:
            hits[feature.name] = found.start()
    by_lower = {feature.name.lower(): feature.name for feature in features}
    for word in re.finditer(r"\w{6,}", reply):
        close = difflib.get_close_matches(word.group().lower(), list(by_lower), n=1, cutoff=0.86)
        if close:
            hits.setdefault(by_lower[close[0]], word.start())
    adjectives = {feature.positive.lower(): feature.name for feature in features}
    start = 0
    for item in re.split(r"(\band\b|[,;/|\n&])", reply):
        word_only = re.sub(r"^[\s\d.)*#\-:\"']+|[\s.*:\"'!]+$", "", item).lower()
        if word_only in adjectives:
            hits.setdefault(adjectives[word_only], start)
        start += len(item)
    return sorted(hits, key=lambda name: hits[name])[:count]


def select_features(
    engine: TextEngine | None,
    queries: Sequence[Query],
    book: PrincipleBook,
    settings: PrincipleSettings,
    this_round: SamplingRound,
) -> tuple[list[Selected], int]:
    """Features of every query, and the number of tokens generated.

    ``engine`` None draws all of them at random. What a reply does not name is filled at random from
    the rest; Concision joins with its probability. Draws depend on seed, iteration and query id.
    """
    count = min(settings.features_per_query, len(book.features))
    tokens = 0
    named: list[list[str]] = [[] for _ in queries]
    if engine is not None:
        replies = engine.chat(
            Lazy(len(queries), lambda n: selection_prompt(book, queries[n].text, count)),
            SamplingParams(min(settings.max_new_tokens, 8 + 8 * count)),
            on_done=this_round.count,
        )
        named = [parse_features(reply.text, book.features, count) for reply in replies]
        tokens = sum(reply.completion_tokens for reply in replies)
    chosen = []
    for query, names in zip(queries, named, strict=True):
        rest = [f.name for f in book.features if f.name not in names]
        draw = item_random(this_round.seed, this_round.iteration, query.id, "features")
        filled = draw.sample(rest, count - len(names))
        coin = item_random(this_round.seed, this_round.iteration, query.id, "concision")
        concise = coin.random() < settings.concision_probability
        extra = [book.concision.name] if concise else []
        chosen.append(Selected((*names, *filled, *extra), len(filled), concise))
    return chosen, tokens
