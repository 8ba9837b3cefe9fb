"""Which changes of a table are real: every checkpoint against base and against its last iteration."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from leaderboards.compare import Comparison, ItemStore, compare_rows
from leaderboards.layouts import Column
from leaderboards.statistics.correction import holm
from leaderboards.statistics.power import detectable_difference
from leaderboards.table import Cell

BEST_ALPHA = 0.05

Record = dict[str, Any]
"""A row of ``over_seeds``."""
Point = tuple[str, str, int]
"""A checkpoint of a group: (loss, arm, iteration)."""
Place = tuple[str, Point, str]
"""A cell: (group, checkpoint, column key)."""


@dataclass(frozen=True)
class Significance:
    """Signs of the significant changes, the best figures, and the smallest detectable difference of
    each column."""

    versus_base: Mapping[Place, int]
    versus_previous: Mapping[Place, int]
    best: frozenset[Place]
    detectable: Mapping[str, str]

    def mark(self, cell: Cell, place: Place) -> Cell:
        """The cell with its signs and its rank."""
        base, previous = self.versus_base.get(place, 0), self.versus_previous.get(place, 0)
        rank = int(place in self.best)
        return replace(cell, versus_base=base, versus_previous=previous, rank=rank)


def judge_table(
    figures: Mapping[Place, Record],
    order: Mapping[str, Sequence[Point]],
    columns: Sequence[Column],
    alpha: float = 0.05,
    store: ItemStore | None = None,
) -> Significance:
    """Test every checkpoint of a table against base and against the previous iteration.

    All these tests together are one family, corrected by Holm's method at ``alpha``. ``store`` keeps
    loaded items for the next table.
    """
    store = store or ItemStore()
    tests: dict[tuple[str, Place], Comparison] = {}
    best: set[Place] = set()
    for column in (column for column in columns if column.kind != "training"):
        for group, points in order.items():  # all of a group's items at a time: they stay loaded
            for kind, before, after in _planned(points):
                first = figures.get((group, before, column.key))
                second = figures.get((group, after, column.key))
                found = compare_rows(first, second, store) if first and second else None
                if found is not None:
                    tests[kind, (group, after, column.key)] = found
            best |= {(group, p, column.key) for p in _best(figures, group, points, column, store)}
    signs = _signs(tests, {column.key: column.better for column in columns}, alpha)
    return Significance(
        {place: sign for (kind, place), sign in signs.items() if kind == "base"},
        {place: sign for (kind, place), sign in signs.items() if kind == "previous"},
        frozenset(best),
        {column.key: _detectable(tests, column) for column in columns},
    )


def _best(
    figures: Mapping[Place, Record],
    group: str,
    points: Sequence[Point],
    column: Column,
    store: ItemStore,
) -> list[Point]:
    """The best checkpoint of a column and those that can't be told from it on the same items; none
    where the column is not ranked, or no figure is worse than the best by more than noise (5 %,
    corrected by Holm over the group's figures)."""
    found = {p: figures[group, p, column.key] for p in points if (group, p, column.key) in figures}
    usable = {p: r for p, r in found.items() if r["source"] == "run" and r["value"] == r["value"]}
    if not column.better or len(usable) < 2:
        return []
    protocols = Counter(record["protocol"] for record in usable.values())
    usual = figures_of_base(usable) or protocols.most_common(1)[0][0]
    usable = {p: record for p, record in usable.items() if record["protocol"] == usual}
    top = max(usable, key=lambda p: usable[p]["value"] * column.better)
    tests = {p: compare_rows(r, usable[top], store) for p, r in usable.items() if p != top}
    known = {p: t for p, t in tests.items() if t and _same_items(t, usable[p], usable[top])}
    if not known:
        return []
    adjusted = dict(zip(known, holm([test.p_value for test in known.values()]), strict=True))
    equal = [p for p, test in known.items() if adjusted[p] > BEST_ALPHA or not test.difference]
    return [top, *equal] if len(equal) < len(known) else []


def figures_of_base(records: Mapping[Point, Record]) -> str:
    """The protocol of the base's figure; empty where there is none."""
    return next((str(r["protocol"]) for (_, arm, _), r in records.items() if arm == "base"), "")


def _same_items(test: Comparison, first: Record, second: Record) -> bool:
    most = max(first["n"] / first["seeds"], second["n"] / second["seeds"])
    return test.paired and test.n >= 0.9 * most


def _planned(points: Sequence[Point]) -> list[tuple[str, Point, Point]]:
    """(kind, before, after) of every test; the first iteration's previous one is base itself."""
    bases = [point for point in points if point[1] == "base"]
    planned = []
    for point in points:
        loss, arm, iteration = point
        if arm == "base":
            continue
        planned += [("base", base, point) for base in bases[:1]]
        previous = (loss, arm, iteration - 1)
        if previous in points:
            planned.append(("previous", previous, point))
    return planned


def _signs(
    tests: Mapping[tuple[str, Place], Comparison], better: Mapping[str, int], alpha: float
) -> dict[tuple[str, Place], int]:
    family = {key: test for key, test in tests.items() if better[key[1][2]]}
    if not family:
        return {}
    adjusted = holm([test.p_value for test in family.values()])
    return {
        key: int(math.copysign(1, test.difference * better[key[1][2]]))
        for (key, test), p in zip(family.items(), adjusted, strict=True)
        if p <= alpha and test.difference
    }


def _detectable(tests: Mapping[tuple[str, Place], Comparison], column: Column) -> str:
    """Median over the column's comparisons; '*' where they could not be paired by item."""
    found = [test for (_, place), test in tests.items() if place[2] == column.key]
    found = [test for test in found if test.stderr > 0]
    if not found:
        return ""
    stderr = float(np.median([test.stderr for test in found]))
    unpaired = "" if all(test.paired for test in found) else "*"
    return f"{detectable_difference(stderr):.{column.decimals}f}{unpaired}"
