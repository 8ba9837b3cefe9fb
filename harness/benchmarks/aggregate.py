"""From graded items to item scores and scores, for the benchmarks with an answer key."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.benchmarks.answers_file import final_answer, reasoning_state
from harness.benchmarks.base import EvalRequest, Outcome, ProtocolSpec
from leaderboards.records import ItemScore, Score


@dataclass(frozen=True)
class Answer:
    """A saved answer as a grader sees it; ``logprobs`` are (nats, greedy) of every choice."""

    target: Mapping[str, Any]
    text: str = ""
    logprobs: Sequence[tuple[float, bool]] = ()
    task: str = ""


@dataclass(frozen=True)
class Grade:
    """What a scorer says of one answer.

    ``values`` maps metric to 0..1; ``weights`` gives a metric's weight where an item counts more
    than once (the instructions of an IFEval prompt). No values: the protocol excludes the item.
    """

    values: Mapping[str, float]
    extracted: str | None = None
    unparsed: bool = False
    error: str = ""
    weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Header:
    """What all scores of one evaluation share; ``headline`` is the metric a table shows."""

    benchmark: str
    protocol: str
    headline: str
    settings: Mapping[str, str] = field(default_factory=dict)
    data: str = ""
    marks: tuple[str, ...] = ()


def protocol_id(spec: ProtocolSpec, settings: Mapping[str, Any]) -> str:
    """``gsm8k/community@1#1a2b3c4d``: name, version and a hash of all settings in force."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return f"{spec.name}@{spec.version}#{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def flat(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings as the text that a score carries."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        for key, value in settings.items()
    }


def data_marks(request: EvalRequest, drawn: int, available: int) -> tuple[str, ...]:
    """``sample-data``, ``item-limit`` and the protocol's own marks, where they apply."""
    sample = ("sample-data",) if request.data.kind == "sample" else ()
    limited = ("item-limit",) if drawn < available else ()
    return sample + limited + tuple(request.protocol.marks)


def outcome(rows: Sequence[Mapping[str, Any]], grades: Sequence[Grade], header: Header) -> Outcome:
    """Item scores in the order given; a score per metric, and the headline metric by category."""
    items = [_item(row, grade, header) for row, grade in zip(rows, grades, strict=True)]
    metrics = list(dict.fromkeys(metric for grade in grades for metric in grade.values))
    if header.headline not in metrics:
        metrics.insert(0, header.headline)
    scores = [_score(header, metric, items, grades) for metric in metrics]
    categories = sorted({item.category for item in items} - {""})
    if len(categories) > 1:
        for category in categories:
            part = [k for k, item in enumerate(items) if item.category == category]
            chosen = [items[k] for k in part], [grades[k] for k in part]
            scores.append(_score(header, header.headline, *chosen, category=category))
    return Outcome(items=items, scores=scores)


def _item(row: Mapping[str, Any], grade: Grade, header: Header) -> ItemScore:
    return ItemScore(
        benchmark=header.benchmark,
        item_id=str(row["item_id"]),
        values={metric: float(value) for metric, value in grade.values.items()},
        category=str(row.get("category") or ""),
        cluster=str(row.get("cluster") or ""),
        truncated=bool(row.get("truncated")),
        unparsed=grade.unparsed,
        error=grade.error or str(row.get("error") or ""),
        reasoning=reasoning_state(final_answer(row)),
        prompt_hash=str(row.get("prompt_hash") or ""),
        extracted=grade.extracted,
    )


def _score(
    header: Header,
    metric: str,
    items: Sequence[ItemScore],
    grades: Sequence[Grade],
    category: str = "",
) -> Score:
    valued = [(g.values[metric], g.weights.get(metric, 1.0)) for g in grades if metric in g.values]
    clusters = [
        i.cluster or i.item_id for i, g in zip(items, grades, strict=True) if metric in g.values
    ]
    mean, stderr = weighted_mean(valued, clusters)
    return Score(
        benchmark=header.benchmark,
        metric=metric,
        value=None if mean is None else 100 * mean,
        stderr=None if stderr is None else 100 * stderr,
        n=len(valued),
        n_expected=len(items),
        n_truncated=sum(item.truncated for item in items),
        n_unparsed=sum(item.unparsed for item in items),
        n_error=sum(bool(item.error) for item in items),
        **reasoning_counts(item.reasoning for item in items),
        protocol=header.protocol,
        settings=dict(header.settings),
        data=header.data,
        marks=header.marks,
        headline=metric == header.headline and not category,
        category=category,
    )


def reasoning_counts(states: Iterable[str]) -> dict[str, int]:
    """How many answers had reasoning sections, and how many ended inside one."""
    listed = list(states)
    return {
        "n_reasoning": len(listed) - listed.count(""),
        "n_unclosed": listed.count("unclosed"),
    }


def weighted_mean(
    valued: Sequence[tuple[float, float]], clusters: Sequence[str] | None = None
) -> tuple[float | None, float | None]:
    """Mean of (value, weight) pairs and its standard error, linearised for the ratio of two sums.

    With equal weights and clusters of one item the error is s / sqrt(n) with the n - 1 standard
    deviation; items of one cluster (permutations of a question, instructions of a prompt) move
    together. ``None`` where there is no item, or one cluster.
    """
    total = sum(weight for _, weight in valued)
    if not total:
        return None, None
    mean = sum(value * weight for value, weight in valued) / total
    sums: dict[str, float] = {}
    for number, (value, weight) in enumerate(valued):
        key = clusters[number] if clusters is not None else str(number)
        sums[key] = sums.get(key, 0.0) + weight * (value - mean)
    count = len(sums)
    if count < 2:
        return mean, None
    return mean, math.sqrt(count / (count - 1) * sum(s * s for s in sums.values())) / total
