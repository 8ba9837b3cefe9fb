"""How good preference pairs are: on-policyness, length, diversity, near-copies."""

from __future__ import annotations

import re
import statistics
from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from groundwork.records import Record
from groundwork.stored import Lazy, chosen
from sso.records import Message, PreferencePair

if TYPE_CHECKING:  # sso.arms imports this module
    import numpy as np
    from numpy.typing import NDArray

    from sso.arms.base import TextEngine

GRAMS = 1_000_000
"""n-grams that are collected before those seen before are taken out."""
NEAR_COPY = 0.8
"""Overlap of word trigrams from which two responses count as near-copies of each other."""


class PairQuality(Record):
    """One pair measured. Log-probabilities are nats per token under pi_t given the plain query x,
    end-of-turn token included for responses that ended; ``original_logp`` is that of yo."""

    pair_id: str
    query_id: str
    chosen_chars: int
    rejected_chars: int
    overlap: float
    near_copy: bool
    chosen_logp: float | None = None
    rejected_logp: float | None = None
    original_logp: float | None = None


def words(text: str) -> list[str]:
    """Lower-case words and single punctuation marks."""
    return re.findall(r"\w+|[^\w\s]", text.lower())


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    """The word n-grams of a text, in order; a text of fewer words gives one shorter tuple."""
    tokens = words(text)
    if 0 < len(tokens) < n:
        return [tuple(tokens)]
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]


def distinct_n(texts: Iterable[str], n: int) -> float:
    """Different n-grams over all n-grams of a set of texts, 0..1 (Li et al. 2016); 0 when empty. ``n`` is 1 or 2;
    takes eight bytes per different n-gram."""
    import numpy as np

    numbers: dict[str, int] = {}
    seen, some = np.empty(0, np.int64), array("q")
    total = 0
    for text in texts:
        ids = [numbers.setdefault(word, len(numbers)) for word in words(text)]
        if n == 1:
            keys = ids
        elif len(ids) == 1:  # one shorter tuple, no pair of words
            keys = [-1 - ids[0]]
        else:
            keys = [first << 32 | second for first, second in pairwise(ids)]
        total += len(keys)
        some.extend(keys)
        if len(some) > max(GRAMS, len(seen)):
            seen, some = _union(seen, some), array("q")
    return len(_union(seen, some)) / total if total else 0.0


def _union(seen: NDArray[np.int64], some: array[int]) -> NDArray[np.int64]:
    """The different numbers of both, by sorting in place: numpy's own union takes several times the memory."""
    import numpy as np

    both = np.concatenate([seen, np.array(some, np.int64)])
    both.sort()
    first = np.ones(len(both), bool)
    np.not_equal(both[1:], both[:-1], out=first[1:])
    return both[first]


def overlap(first: str, second: str) -> float:
    """Jaccard overlap of two texts' sets of word trigrams, 0..1; 1 for two empty texts."""
    a, b = set(ngrams(first, 3)), set(ngrams(second, 3))
    return len(a & b) / len(a | b) if a | b else 1.0


def average_logprobs(
    engine: TextEngine,
    prompts: Sequence[Sequence[Message]],
    texts: Sequence[str],
    truncated: Sequence[bool],
) -> list[float | None]:
    """Average log-probability (nats per token) of each text after its prompt; None where prompt and
    text don't fit the engine's context.

    A text that was not cut is scored with the token that ends a turn.
    """
    render = getattr(engine, "render", None)
    known = list(range(len(texts)))
    if render is not None:

        def whole_turn(place: int) -> str:
            answer = {"role": "assistant", "content": texts[place]}
            return str(render([*prompts[place], answer], add_generation_prompt=False))

        whole = Lazy(len(texts), whole_turn)
        known = [i for i, fits in enumerate(fits_context(engine, whole)) if fits]
    scored = engine.logprobs(
        chosen(prompts, known),
        chosen(texts, known),
        ended=[not truncated[i] for i in known],
    )
    averages: list[float | None] = [None] * len(texts)
    for i, found in zip(known, scored, strict=True):
        averages[i] = found.total / max(found.tokens, 1)
    return averages


def fits_context(engine: TextEngine, texts: Sequence[str]) -> list[bool]:
    """Whether each rendered text leaves room for at least one more token in the engine's context.

    True for all where the engine has no known context length. A byte is the shortest token there is, so only long
    texts are tokenised.
    """
    limit = getattr(engine, "max_length", None)
    count = getattr(engine, "count_tokens", None)
    if limit is None or count is None:
        return [True] * len(texts)
    return [len(text.encode("utf-8")) < limit or count(text) < limit for text in texts]


def measure_pairs(pairs: Sequence[PreferencePair]) -> Lazy[PairQuality]:
    """Lengths and overlap of each pair; log-probabilities are left open."""

    def measured(place: int) -> PairQuality:
        pair = pairs[place]
        shared = overlap(pair.chosen, pair.rejected)
        return PairQuality(
            pair_id=pair.id,
            query_id=pair.query_id,
            chosen_chars=len(pair.chosen),
            rejected_chars=len(pair.rejected),
            overlap=shared,
            near_copy=shared >= NEAR_COPY,
        )

    return Lazy(len(pairs), measured)


def summarize(
    pairs: Sequence[PreferencePair],
    quality: Sequence[PairQuality],
    tokens: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, float]:
    """Means over the pairs, flat.

    ``chosen_chars``, ``rejected_chars``, ``length_ratio`` (chosen over rejected), ``near_copy_rate``,
    ``SIDE_distinct_1|2``; with log-probabilities ``chosen_logp``, ``rejected_logp``, ``logp_margin``
    (chosen - rejected), with yo also ``original_logp``, ``chosen_gap`` and ``rejected_gap`` (a side
    minus yo: the closer to 0, the more on-policy). ``tokens`` adds mean token counts by side.
    """
    measures = {
        "chosen_chars": statistics.fmean(q.chosen_chars for q in quality),
        "rejected_chars": statistics.fmean(q.rejected_chars for q in quality),
        "near_copy_rate": statistics.fmean(float(q.near_copy) for q in quality),
    }
    measures["length_ratio"] = measures["chosen_chars"] / max(measures["rejected_chars"], 1e-9)
    for side in ("chosen", "rejected"):
        for n in (1, 2):
            texts = (getattr(pair, side) for pair in pairs)
            measures[f"{side}_distinct_{n}"] = distinct_n(texts, n)
    for side, counts in (tokens or {}).items():
        measures[f"{side}_tokens"] = statistics.fmean(counts)
    for side in ("chosen", "rejected", "original"):
        values = [v for q in quality if (v := getattr(q, f"{side}_logp")) is not None]
        if values:
            measures[f"{side}_logp"] = statistics.fmean(values)
    measures |= _mean_difference(quality, "logp_margin", "chosen_logp", "rejected_logp")
    measures |= _mean_difference(quality, "chosen_gap", "chosen_logp", "original_logp")
    measures |= _mean_difference(quality, "rejected_gap", "rejected_logp", "original_logp")
    return measures


def _mean_difference(
    quality: Sequence[PairQuality], name: str, first: str, second: str
) -> dict[str, float]:
    both = [(getattr(q, first), getattr(q, second)) for q in quality]
    differences = [a - b for a, b in both if a is not None and b is not None]
    return {name: statistics.fmean(differences)} if differences else {}
