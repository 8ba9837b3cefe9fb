"""Compares two checkpoints on one benchmark: paired by item where items exist."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from leaderboards.items import Items, Matched, load_items, match
from leaderboards.statistics.paired import from_estimate, is_binary, mcnemar, paired_t

EQUAL = 1e-6
"""Items whose values differ by less are equal."""
SCALES = {"percent": 100.0, "points": 1.0, "characters": 1.0}


@dataclass(frozen=True)
class Comparison:
    """Second minus first checkpoint, in the score's unit.

    ``method``: "mcnemar" (exact), "paired t", "clustered t", "correlated z" (a model-based figure:
    the two standard errors with the correlation of the items' raw values), "unpaired z" (no items
    in common), each with "+ seeds" where several seeds were averaged. ``counts`` are the items lost
    and gained (right or wrong answers only; means where there are several seeds); ``span`` is the
    range of the items' values, ``seed_stderr`` the part of ``stderr`` that comes from ``seeds`` seeds.
    """

    difference: float
    stderr: float
    df: float
    p_value: float
    n: int
    method: str
    counts: tuple[float, float] | None = None
    span: float = 0.0
    seeds: int = 1
    seed_stderr: float = 0.0

    @property
    def paired(self) -> bool:
        return not self.method.startswith("unpaired")


class ItemStore:
    """Loads the items of evaluation folders once and keeps the last ones.

    ``known`` holds items of another source (a baseline file), by the name that stands in
    their record's ``folder``; ``rename`` gives the ids of loaded items the form of the known ones.
    """

    def __init__(
        self,
        known: Mapping[str, Items] | None = None,
        size: int = 256,
        rename: Callable[[str], str] | None = None,
    ) -> None:
        self._known = dict(known or {})
        self._load = lru_cache(maxsize=size)(partial(_loaded, rename))

    def load(self, folder: str) -> Items | None:
        """The items behind a record's ``folder``; None when there are none."""
        return self._known[folder] if folder in self._known else self._load(folder)


def _loaded(rename: Callable[[str], str] | None, folder: str) -> Items | None:
    items = load_items(folder)
    if items is None or rename is None:
        return items
    import pyarrow as pa

    return replace(items, ids=pa.array([rename(item) for item in items.ids.to_pylist()]))


def compare_rows(
    first: Mapping[str, Any], second: Mapping[str, Any], store: ItemStore
) -> Comparison | None:
    """Compare two rows of ``over_seeds``; None when a value is missing or the protocols differ."""
    if first["protocol"] != second["protocol"] or _missing(first) or _missing(second):
        return None
    of_pairs = second["info"].kind == "pairs"  # every training draws pairs of its own
    pairs = [] if of_pairs else _pairs(first, second, store)
    if not pairs:
        return _unpaired(first, second)
    singles = [_paired(*pair) for pair in pairs]
    return singles[0] if len(singles) == 1 else _over_seeds(singles)


def flipped_items(
    first: Mapping[str, Any], second: Mapping[str, Any], store: ItemStore
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ids of the items that only the first, and only the second, got right (over all seeds); none for
    figures that are not right or wrong by item."""
    lost: set[str] = set()
    gained: set[str] = set()
    for (_, mine, name), (_, theirs, other) in _pairs(first, second, store):
        before = dict(zip(mine.ids.to_pylist(), mine.values[name].tolist(), strict=True))
        after = dict(zip(theirs.ids.to_pylist(), theirs.values[other].tolist(), strict=True))
        if not {*before.values(), *after.values()} <= {0.0, 1.0}:
            continue
        common = before.keys() & after.keys()
        lost |= {item for item in common if before[item] > after[item]}
        gained |= {item for item in common if before[item] < after[item]}
    return tuple(sorted(lost)), tuple(sorted(gained))


def item_outcomes(
    first: Mapping[str, Any], second: Mapping[str, Any], store: ItemStore
) -> tuple[int, int, int]:
    """Common items that the second side does better on, equally, and worse on, over all seeds."""
    wins = ties = losses = 0
    for (_, mine, name), (_, theirs, other) in _pairs(first, second, store):
        data = match(mine, theirs, name, other)
        change = data.second - data.first
        wins += int((change > EQUAL).sum())
        losses += int((change < -EQUAL).sum())
        ties += int((np.abs(change) <= EQUAL).sum())
    return wins, ties, losses


def _missing(row: Mapping[str, Any]) -> bool:
    return row["value"] is None or math.isnan(row["value"])


Side = tuple[Mapping[str, Any], Items, str]


def _pairs(
    first: Mapping[str, Any], second: Mapping[str, Any], store: ItemStore
) -> list[tuple[Side, Side]]:
    """Sides of equal seed; a single-seed first side (one base for all seeds) serves every seed."""
    mine, theirs = dict(first["parts"]), dict(second["parts"])
    pairs = []
    for seed, part in theirs.items():
        other = mine.get(seed) or (next(iter(mine.values())) if len(mine) == 1 else None)
        sides = [_side(entry, store) for entry in (other, part) if entry is not None]
        found = [side for side in sides if side is not None]
        if len(found) != 2:
            return []
        pairs.append((found[0], found[1]))
    return pairs


def _side(part: Mapping[str, Any], store: ItemStore) -> Side | None:
    items = store.load(part["folder"]) if part["folder"] else None
    if items is None:
        return None
    name = items.metric(part["metric"], part["info"].item_metrics)
    if (
        name is None
        and len(items.values) == 1
        and is_mean(part, items, only := next(iter(items.values)))
    ):
        name = only
    return (part, items, name) if name else None


def _paired(first: Side, second: Side) -> Comparison:
    (row, items, name), (other, other_items, other_name) = first, second
    data = match(items, other_items, name, other_name)
    if data.first.size < 2:
        return _unpaired(row, other)
    if not is_mean(row, items, name):
        return _correlated(row, other, data)
    return compare_items(data, SCALES[row["unit"]])


def compare_items(data: Matched, scale: float = 1.0) -> Comparison:
    """Compare two checkpoints whose figure is ``scale`` times the mean of their items."""
    labels = None if data.clusters is None else data.clusters.tolist()
    test = paired_t(data.first, data.second, labels)
    values = np.concatenate([data.first, data.second])
    found = Comparison(
        test.difference * scale,
        test.stderr * scale,
        test.df,
        test.p_value,
        test.n,
        "paired t" if labels is None else "clustered t",
        span=float(values.max() - values.min()) * scale,
    )
    if labels is None and is_binary(values):
        exact = mcnemar(data.first, data.second)
        counts = (exact.only_first, exact.only_second)
        found = replace(found, p_value=exact.p_value, method="mcnemar", counts=counts, span=scale)
    return found


def is_mean(row: Mapping[str, Any], items: Items, name: str) -> bool:
    """Whether the score is the plain mean of its items (a length-controlled rate is not)."""
    mean = float(np.nanmean(items.values[name])) * SCALES[row["unit"]]
    return abs(mean - row["value"]) <= 1e-6 * max(1.0, abs(mean))


def _correlated(row: Mapping[str, Any], other: Mapping[str, Any], data: Matched) -> Comparison:
    if data.first.std() == 0 or data.second.std() == 0 or not _has_errors(row, other):
        return _unpaired(row, other)
    rho = float(np.corrcoef(data.first, data.second)[0, 1])
    a, b = row["stderr"], other["stderr"]
    stderr = math.sqrt(max(a * a + b * b - 2 * rho * a * b, 0.0))
    test = from_estimate(other["value"] - row["value"], stderr, math.inf)
    n = int(data.first.size)
    return Comparison(test.difference, stderr, math.inf, test.p_value, n, "correlated z")


def _has_errors(*rows: Mapping[str, Any]) -> bool:
    return all(row["stderr"] is not None and row["stderr"] > 0 for row in rows)


def _unpaired(first: Mapping[str, Any], second: Mapping[str, Any]) -> Comparison:
    difference = second["value"] - first["value"]
    if not _has_errors(first, second):
        return Comparison(difference, math.nan, math.inf, 1.0, 0, "unpaired z")
    stderr = math.hypot(first["stderr"], second["stderr"])
    p = from_estimate(difference, stderr, math.inf).p_value
    return Comparison(difference, stderr, math.inf, p, 0, "unpaired z")


def _over_seeds(parts: list[Comparison]) -> Comparison:
    """Mean difference over seeds; errors of items (shared by the seeds) and of seeds are added.

    Degrees of freedom by Welch and Satterthwaite over the two components.
    """
    k = len(parts)
    differences = np.array([part.difference for part in parts])
    items = float(np.mean([part.stderr**2 for part in parts]))
    seeds = float(differences.var(ddof=1)) / k
    total = items + seeds
    item_df = min(part.df for part in parts)
    spread = (items**2 / item_df if math.isfinite(item_df) else 0.0) + seeds**2 / (k - 1)
    df = total**2 / spread if spread > 0 else math.inf
    test = from_estimate(float(differences.mean()), math.sqrt(total), df)
    method = f"{parts[0].method} + seeds".replace("mcnemar", "paired t")
    lost, gained = np.mean([part.counts or (math.nan, math.nan) for part in parts], axis=0)
    return Comparison(
        test.difference,
        test.stderr,
        df,
        test.p_value,
        min(part.n for part in parts),
        method,
        counts=None if math.isnan(lost) else (float(lost), float(gained)),
        span=max(part.span for part in parts),
        seeds=k,
        seed_stderr=math.sqrt(seeds),
    )
