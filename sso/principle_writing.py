"""Good and bad guidelines for each query: predefined, or written by a model for this very query."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from groundwork.errors import UserError
from groundwork.stage_result import StageResult
from groundwork.stored import Lazy
from sso.principle_features import Selected, select_features, shorten
from sso.principles import PrincipleBook
from sso.records import Message, Principle, Query
from sso.settings import PrincipleSettings

if TYPE_CHECKING:  # sso.arms imports this module
    from sso.arms.base import CompletionLike, TextEngine
    from sso.sampling import SamplingRound

MIN_WORDS = 4
MAX_WORDS = 150

_KIND = r"(?:\s+(?:guidelines?|principles?|responses?|answers?|one))?"
_NUMBER = r"(?:\s*#?\d+)?"
_LABEL = re.compile(
    rf"^[\s>*#_\-\d.)(\"]*(?P<line>good|bad){_KIND}{_NUMBER}(?:[*_\")]*\s*:|[*_\")]*\s[\-–—](?=\s))[\s*_]*"
    rf"|(?<=[.!?*]\s)[*_]*(?P<inline>(?-i:Good|Bad)){_KIND}{_NUMBER}[*_]*:[\s*_]*",
    re.IGNORECASE | re.MULTILINE,
)
_PLACEHOLDER = re.compile(
    r"[<\[][^<>\[\]]*\b(?:guideline|principle|insert|your|here)\b[^<>\[\]]*[>\]]|^\W*\.\.\.|\.\.\.\W*$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Guidelines:
    """What a model wrote; ``problem`` names why it can't be used ("" when it can)."""

    good: str = ""
    bad: str = ""
    problem: str = ""


def writing_prompt(book: PrincipleBook, query: str, names: Sequence[str]) -> list[Message]:
    """Few-shot chat that asks for the two guidelines of one query; the query comes last."""
    turns: list[Message] = []
    for example in book.writing.examples:
        turns.append({"role": "user", "content": _task(book, example.query, example.features)})
        answer = f"Good: {example.good}\nBad: {example.bad}"
        turns.append({"role": "assistant", "content": answer})
    turns.append({"role": "user", "content": _task(book, shorten(query), names)})
    first = {"role": "user", "content": f"{book.writing.instruction}\n\n{turns[0]['content']}"}
    return [first, *turns[1:]]


def direct_writing_prompt(book: PrincipleBook, query: str) -> list[Message]:
    """Few-shot chat that asks for a bad and then a good guideline of one query, without features.

    Source: arXiv 2410.17131, second version, whose writer gets three worked examples.

    Raises:
        UserError: the principles file has no ``direct_writing``.
    """
    if book.direct_writing is None:
        raise UserError(
            "the principles file has no direct_writing, which principles.select=none needs"
        )
    turns: list[Message] = []
    for example in book.direct_writing.examples:
        turns.append({"role": "user", "content": f"Request: {example.query}"})
        turns.append({"role": "assistant", "content": f"Bad: {example.bad}\nGood: {example.good}"})
    turns.append({"role": "user", "content": f"Request: {shorten(query)}"})
    head = f"{book.direct_writing.instruction}\n\n{turns[0]['content']}"
    return [{"role": "user", "content": head}, *turns[1:]]


def _task(book: PrincipleBook, query: str, names: Sequence[str]) -> str:
    features = [book.feature(name) for name in names]
    listed = "; ".join(f"{f.name} ({f.positive}, not {f.negative}: {f.meaning})" for f in features)
    return f"Features: {listed}\nRequest: {query}"


def parse_guidelines(reply: str, *, truncated: bool = False) -> Guidelines:
    """Read the good and the bad guideline out of a reply.

    Takes labelled text ("Good: ... Bad: ...", with Markdown, numbers or quotes round it) and JSON with
    such keys. Of a reply that was cut, whole sentences of its last guideline count. Problems:
    ``missing``, ``short``, ``long``, ``placeholder``, ``same``.
    """
    good, bad = _from_json(reply) or _from_labels(reply)
    if truncated and good and reply.rstrip().endswith(good):
        good = _whole_sentences(good)
    elif truncated and bad:
        bad = _whole_sentences(bad)
    good, bad = _clean(good), _clean(bad)
    if not good or not bad:
        return Guidelines(good, bad, "missing")
    for text in (good, bad):
        words = len(text.split())
        if words < MIN_WORDS or words > MAX_WORDS:
            return Guidelines(good, bad, "short" if words < MIN_WORDS else "long")
        if _PLACEHOLDER.search(text):
            return Guidelines(good, bad, "placeholder")
    if _plain(good) == _plain(bad):
        return Guidelines(good, bad, "same")
    return Guidelines(good, bad)


def _from_json(reply: str) -> tuple[str, str] | None:
    begin, end = reply.find("{"), reply.rfind("}")
    if begin < 0 or end < begin:
        return None
    try:
        data = json.loads(reply[begin : end + 1], strict=False)
    except json.JSONDecodeError:
        return None
    if not isinstance(data, dict):
        return None
    found = {"good": "", "bad": ""}
    for key, value in data.items():
        for side in found:
            if re.match(rf"{side}\b", key.replace("_", " "), re.IGNORECASE) and not found[side]:
                found[side] = value if isinstance(value, str) else ""
    return found["good"], found["bad"]


def _from_labels(reply: str) -> tuple[str, str]:
    labels = list(_LABEL.finditer(reply))
    ends = [label.start() for label in labels[1:]] + [len(reply)]
    found = {"good": "", "bad": ""}
    for label, end in zip(labels, ends, strict=False):  # no label: one end and nothing to read
        side = (label["line"] or label["inline"]).lower()
        if not found[side]:
            found[side] = reply[label.end() : end].strip().split("\n\n")[0]
    return found["good"], found["bad"]


def _whole_sentences(text: str) -> str:
    cut = max(text.rfind(mark) for mark in (".", "!", "?"))
    return text[: cut + 1]


def _clean(text: str) -> str:
    one_line = " ".join(text.replace("**", "").replace("__", "").split())
    return one_line.strip(" \"'“”`*_-")


def _plain(text: str) -> str:
    return re.sub(r"\W+", " ", text).strip().casefold()


def make_principles(
    engine: TextEngine,
    queries: Sequence[Query],
    book: PrincipleBook,
    settings: PrincipleSettings,
    this_round: SamplingRound,
) -> tuple[Sequence[Principle], StageResult]:
    """Select the features of every query and give it a good and a bad principle.

    ``engine`` is the policy or another writer; it selects (greedily) when ``settings.select`` is
    ``policy`` and writes (sampled as the round's responses are) when ``settings.source`` is
    ``generated``; with ``select`` none it is asked for guidelines without features. Text that does not parse, or repeats a few-shot example, falls back to the predefined
    principles. Also returns counts by outcome, rates, and the tokens generated.

    Raises:
        UserError: more features per query than the principles file has.
    """
    if settings.features_per_query > len(book.features):
        raise UserError(
            f"principles.features_per_query is {settings.features_per_query}, "
            f"but the principles file has {len(book.features)} features"
        )
    by_policy, direct = settings.select == "policy", settings.select == "none"
    usual = settings.model_copy(update={"concision_probability": 0.0}) if direct else settings
    selected, tokens = select_features(
        engine if by_policy else None, queries, book, usual, this_round
    )
    counts = Counter[str]() if direct else _selection_counts(selected, by_policy)
    if settings.source == "predefined":
        ids = [query.id for query in queries]
        principles: Sequence[Principle] = Lazy(
            len(ids), lambda n: _predefined(book, ids[n], selected[n])
        )
    else:
        replies = engine.chat(
            Lazy(
                len(queries),
                lambda n: (
                    direct_writing_prompt(book, queries[n].text)
                    if direct
                    else writing_prompt(book, queries[n].text, selected[n].names)
                ),
            ),
            replace(this_round.settings.params(), max_new_tokens=settings.max_new_tokens),
            seeds=[this_round.item_seed(query.id, "principle") for query in queries],
            on_done=this_round.count,
        )
        tokens += sum(reply.completion_tokens for reply in replies)
        principles = _principles(book, queries, selected, replies, counts)
        if direct:
            principles = [
                p if p.fallback else p.model_copy(update={"features": ()}) for p in principles
            ]
    rates = _rates(counts, len(queries), settings)
    return principles, StageResult(counts, rates, tokens)


def _principles(
    book: PrincipleBook,
    queries: Sequence[Query],
    selected: Sequence[Selected],
    replies: Sequence[CompletionLike],
    counts: Counter[str],
) -> list[Principle]:
    """What was written where it can be used, else the predefined text; adds to ``counts``."""
    found = []
    counts["principle_fallbacks"] = 0
    for query, chosen, reply in zip(queries, selected, replies, strict=True):
        text = _written(book, reply)
        if text.problem:
            counts["principle_fallbacks"] += 1
            counts[f"principle_fallbacks_{text.problem}"] += 1
            found.append(_predefined(book, query.id, chosen, fallback=True))
        else:
            found.append(
                Principle(
                    query_id=query.id,
                    features=chosen.names,
                    good=text.good,
                    bad=text.bad,
                    source="generated",
                )
            )
    return found


def _written(book: PrincipleBook, reply: CompletionLike) -> Guidelines:
    text = parse_guidelines(reply.text, truncated=reply.truncated)
    shown = [(e.good, e.bad) for e in book.writing.examples]
    if book.direct_writing is not None:
        shown += [(e.good, e.bad) for e in book.direct_writing.examples]
    copied = {_plain(text) for both in shown for text in both}
    if not text.problem and ({_plain(text.good), _plain(text.bad)} & copied):
        return Guidelines(text.good, text.bad, "copied")
    return text


def _predefined(
    book: PrincipleBook, query_id: str, chosen: Selected, fallback: bool = False
) -> Principle:
    return Principle(
        query_id=query_id,
        features=chosen.names,
        good=book.predefined(chosen.names, "good"),
        bad=book.predefined(chosen.names, "bad"),
        fallback=fallback,
    )


def _selection_counts(selected: Sequence[Selected], by_policy: bool) -> Counter[str]:
    counts: Counter[str] = Counter(
        f"feature_{n.lower().replace(' ', '_')}" for s in selected for n in s.names
    )
    counts["concision_added"] = sum(s.concision for s in selected)
    counts["features_filled"] = sum(s.filled for s in selected)
    if by_policy:
        counts["selection_fallbacks"] = sum(s.filled > 0 for s in selected)
    return counts


def _rates(counts: Mapping[str, int], n: int, settings: PrincipleSettings) -> dict[str, float]:
    rates = {}
    if settings.select != "none":
        rates["concision_rate"] = counts["concision_added"] / max(n, 1)
    if settings.select == "policy":
        rates["selection_fallback_rate"] = counts["selection_fallbacks"] / max(n, 1)
    if settings.source == "generated":
        rates["principle_fallback_rate"] = counts.get("principle_fallbacks", 0) / max(n, 1)
    return rates
