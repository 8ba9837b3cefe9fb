"""Contamination: which training queries occur in a benchmark's items.

A query is contaminated when its normalised text equals an item's, or when they share an n-gram of
words: 13 by default (the usual length since GPT-3), shorter for texts that have fewer words. Items
are read as the benchmarks' files have them; of a gated set only its position is reported.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.data.source import DataSource

NGRAM = 13
SHORTEST = 8
"""Texts of fewer words than this are only compared as a whole."""
WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Overlap:
    """One query found in one benchmark: ``kind`` is ``exact`` or ``ngram`` of ``words`` words;
    ``share`` is the part of the query's n-grams that the item holds."""

    query_id: str
    benchmark: str
    item: str
    kind: str
    words: int
    share: float


ITEM_FIELDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "gsm8k": (("gsm8k/test.jsonl",), ("question",)),
    "math": (("math/math_test_5000.jsonl", "math/math_500.jsonl"), ("problem",)),
    "mmlu_pro": (("mmlu_pro/test.jsonl",), ("question",)),
    "mmlu": (("mmlu/test.jsonl",), ("question",)),
    "gpqa": (
        ("gpqa/gpqa_extended.csv", "gpqa/gpqa_main.csv", "gpqa/gpqa_diamond.csv"),
        ("Question",),
    ),
    "ifeval": (("ifeval/input_data.jsonl",), ("prompt",)),
    "alpaca_eval": (
        (
            "alpaca_eval/gpt4_1106_preview_model_outputs.json",
            "alpaca_eval/alpaca_eval_gpt4_baseline.json",
            "alpaca_eval/sample_baseline_outputs.json",
        ),
        ("instruction",),
    ),
    "mt_bench": (("mt_bench/question.jsonl",), ("turns",)),
}
"""Where a benchmark's questions are: files (all that exist are read) and fields."""


def find_overlaps(
    queries: Mapping[str, str],
    data: DataSource,
    benchmarks: Sequence[str],
    *,
    ngram: int = NGRAM,
    shortest: int = SHORTEST,
) -> list[Overlap]:
    """The queries (id -> text) that occur in the benchmarks' items: at most one overlap a query and
    benchmark, the largest, in the order of the queries.

    A benchmark without its data in this source is left out: it can't be evaluated either.
    """
    words = {key: normalised(text) for key, text in queries.items()}
    exact: dict[str, list[str]] = {}
    grams: dict[int, dict[int, list[str]]] = {}
    for key, tokens in words.items():
        exact.setdefault(text_key(tokens), []).append(key)
        size = gram_size(len(tokens), ngram, shortest)
        for gram in set(_grams(tokens, size)):
            grams.setdefault(size, {}).setdefault(gram, []).append(key)
    best: dict[tuple[str, str], Overlap] = {}
    for benchmark in benchmarks:
        for item, text in item_texts(data, benchmark):
            tokens = normalised(text)
            for overlap in _hits(benchmark, item, tokens, words, exact, grams):
                place = (overlap.query_id, benchmark)
                if place not in best or overlap.share > best[place].share:
                    best[place] = overlap
    order = {key: number for number, key in enumerate(queries)}
    return sorted(best.values(), key=lambda o: (order[o.query_id], o.benchmark))


def _hits(
    benchmark: str,
    item: str,
    tokens: Sequence[str],
    words: Mapping[str, Sequence[str]],
    exact: Mapping[str, Sequence[str]],
    grams: Mapping[int, Mapping[int, Sequence[str]]],
) -> Iterator[Overlap]:
    for key in exact.get(text_key(tokens), ()):
        yield Overlap(key, benchmark, item, "exact", len(tokens), 1.0)
    for size, index in grams.items():
        shared: dict[str, int] = {}
        for gram in set(_grams(tokens, size)):
            for key in index.get(gram, ()):
                shared[key] = shared.get(key, 0) + 1
        for key, count in shared.items():
            total = len(set(_grams(words[key], size)))
            yield Overlap(key, benchmark, item, "ngram", size, count / total)


def item_texts(data: DataSource, benchmark: str) -> Iterator[tuple[str, str]]:
    """(file:row, question) of a benchmark's items in this data source."""
    names, fields = ITEM_FIELDS.get(benchmark, ((), ()))
    for name in names:
        if data.find(name) is None:
            continue
        for number, row in enumerate(data.rows(name, required=fields), 1):
            for value in (row[field] for field in fields):
                for text in value if isinstance(value, list) else [value]:
                    yield f"{name}:{number}", str(text)


def gram_size(words: int, ngram: int = NGRAM, shortest: int = SHORTEST) -> int:
    """Length of the n-grams that a text of so many words is searched for: ``ngram``, or all of a
    shorter text; 0 for one that is too short to mean anything."""
    return 0 if words < shortest else min(words, ngram)


def normalised(text: str) -> list[str]:
    """Words in lower case, without punctuation."""
    return WORD.findall(text.lower())


def text_key(tokens: Sequence[str]) -> str:
    """Hash of a normalised text; an empty one never matches."""
    return (
        hashlib.sha256(" ".join(tokens).encode()).hexdigest() if tokens else f"empty {id(tokens)}"
    )


def _grams(tokens: Sequence[str], size: int) -> Iterator[int]:
    if size:
        for start in range(len(tokens) - size + 1):
            yield hash(tuple(tokens[start : start + size]))


def report(overlaps: Sequence[Overlap], given: int) -> dict[str, Any]:
    """Counts for a report: queries given, contaminated, and by benchmark and kind."""
    by_benchmark: dict[str, dict[str, int]] = {}
    for overlap in overlaps:
        kinds = by_benchmark.setdefault(overlap.benchmark, {"exact": 0, "ngram": 0})
        kinds[overlap.kind] += 1
    contaminated = len({overlap.query_id for overlap in overlaps})
    return {"queries": given, "contaminated": contaminated, "by_benchmark": by_benchmark}
