"""Builds a table from the tidy frame and a layout: rows, ranks, significance, foot-notes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from groundwork.errors import UserError
from leaderboards.compare import ItemStore
from leaderboards.footnotes import hoist_column_notes, reason
from leaderboards.identity import Arms, arms_of_records
from leaderboards.layouts import STUBS, Column, Layout, columns_of, layout_named
from leaderboards.score_frame import over_seeds
from leaderboards.significance import Point, Record, Significance, judge_table
from leaderboards.table import Cell, Group, Row, Table

if TYPE_CHECKING:
    import pandas as pd

Figures = dict[tuple[str, Point, str], Record]
"""(group, checkpoint, column key) to the record that the cell shows."""


def iteration_table(frame: pd.DataFrame, columns: Sequence[str] = ()) -> Table:
    """Rows base and Iter1..N per arm; every column that has figures, or ``columns``."""
    layout = layout_named("iterations")
    if columns:
        layout = replace(layout, columns=tuple(columns), others=False)
    return build_table(frame, layout)


def build_table(frame: pd.DataFrame, layout: Layout, store: ItemStore | None = None) -> Table:
    """The table of ``layout`` over the scores in ``frame`` (see ``leaderboards.score_frame.COLUMNS``).

    ``store`` keeps loaded items for the next table.

    Raises:
        UserError: the frame holds no figure that the layout shows.
    """
    frame = frame[frame["setting"].isin(layout.settings) & (frame["category"].fillna("") == "")]
    records = over_seeds(frame)
    columns = _shown(records, layout)
    if not columns:
        raise UserError(f"the runs hold no figure that the table {layout.name!r} shows")
    rows, arms = _by_cell(records, columns), arms_of_records(records)
    order = _rows(records, layout, arms)
    usual = {column.key: _usual_protocol(rows, column.key) for column in columns}
    figures = {place: _preferred(found, usual[place[2]]) for place, found in rows.items()}
    significance = judge_table(figures, order, columns, store=store)
    seeds = _usual_seeds(figures.values())
    cells = {
        (group, point, column.key): _cell(
            rows.get((group, point, column.key), []), column, usual[column.key], seeds
        )
        for column in columns
        for group, points in order.items()
        for point in points
    }
    published = all(record["source"] == "paper" for record in records)
    groups = [
        _group(group, points, columns, cells, significance, published)
        for group, points in order.items()
    ]
    own = [i for i, column in enumerate(columns) if column.kind == "training"]
    placed = hoist_column_notes([group for group in groups if group.rows], len(columns), own)
    return Table(
        title=layout.title,
        stub=tuple(STUBS[name] for name in layout.stub),
        columns=tuple(column.label for column in columns),
        keys=tuple(column.key for column in columns),
        groups=tuple(_relabel(group, layout, arms) for group in placed.groups),
        notes=placed.notes,
        shared_notes=placed.shared,
        remarks=(*_seeds_remark(figures.values(), seeds), *_remarks(records), *_unfinished(frame)),
        column_notes=placed.columns,
        detectable=tuple(significance.detectable.get(column.key, "") for column in columns),
    )


def shows(column: Column, record: Record) -> bool:
    """Whether a record belongs in a column."""
    return bool(record["info"].column == column.key)


def _shown(records: list[Record], layout: Layout) -> list[Column]:
    found = columns_of(records)
    keys = [key for key in layout.columns if key in found]
    return [found[key] for key in (*keys, *(k for k in found if layout.others and k not in keys))]


def _by_cell(
    records: list[Record], columns: list[Column]
) -> dict[tuple[str, Point, str], list[Record]]:
    cells: dict[tuple[str, Point, str], list[Record]] = {}
    for record in records:
        for column in columns:
            if shows(column, record):
                cells.setdefault((record["group"], _point(record), column.key), []).append(record)
    return cells


def _point(record: Record) -> Point:
    return str(record["loss"]), str(record["arm"]), int(record["iteration"])


def _rows(records: list[Record], layout: Layout, arms: Arms) -> dict[str, list[Point]]:
    """Groups in order of appearance, each with its checkpoints in table order."""
    found: dict[str, set[Point]] = {}
    for record in records:
        found.setdefault(record["group"], set()).add(_point(record))
    return {group: order_points(points, layout, arms) for group, points in found.items()}


def order_points(found: set[Point], layout: Layout, arms: Arms) -> list[Point]:
    """Checkpoints of a group in table order, as the layout chooses them."""
    wanted = {arm for _, arm, _ in found if _is_shown(arm, layout, arms)}
    chosen: list[Point] = []
    for loss in sorted({loss for loss, _, _ in found}, key=lambda loss: (loss != "", loss)):
        for arm in arms.in_order(wanted, layout.arms):
            steps = sorted(i for found_loss, a, i in found if (found_loss, a) == (loss, arm))
            chosen += [(loss, arm, i) for i in (steps[-1:] if layout.rows == "last" else steps)]
    return chosen


def _is_shown(arm: str, layout: Layout, arms: Arms) -> bool:
    listed = not layout.arms or arm in (*layout.arms, "base")
    return listed or (layout.ablations and arms.info(arm).ablation)


def _usual_protocol(rows: dict[tuple[str, Point, str], list[Record]], key: str) -> str:
    """The protocol a column is read under: the base's, else the most frequent one."""
    records = [record for place, found in rows.items() if place[2] == key for record in found]
    base = [record["protocol"] for record in records if record["arm"] == "base"]
    counts = Counter(base or [record["protocol"] for record in records])
    return str(counts.most_common(1)[0][0]) if counts else ""


def _preferred(records: list[Record], usual: str) -> Record:
    return next((record for record in records if record["protocol"] == usual), records[0])


def _cell(records: list[Record], column: Column, usual: str, seeds: int) -> Cell:
    if not records:
        return Cell(decimals=column.decimals)
    record = _preferred(records, usual)
    texts = _reasons(record, usual, seeds)
    if len(records) > 1:
        others = ", ".join(sorted(r["protocol"] for r in records if r is not record))
        texts.append(f"measured under other protocols too, not shown here: {others}")
    digits = column.decimals if column.better == 0 else max(column.decimals, int(record["digits"]))
    return Cell(
        _figure(record["value"]),
        _figure(record["stderr"]),
        digits,
        notes=tuple(texts),
        comparable=record["protocol"] == usual,
    )


def _reasons(record: Record, usual: str, seeds: int) -> list[str]:
    texts = [reason(code) for code in str(record["marks"]).split("|") if code]
    texts += record["notes"]
    if record["protocol"] != usual:
        texts.append(f"another protocol ({record['protocol']}) than the column's ({usual})")
    if record["n"] < record["n_expected"]:
        texts.append(f"only {record['n']} of {record['n_expected']} items are in the figure")
    if record["seeds"] != seeds and not _is_sole_base(record):
        one = f"seed {record['seed']} only"
        texts.append(f"mean over {record['seeds']} seeds" if record["seeds"] > 1 else one)
    return texts


def _is_sole_base(record: Record) -> bool:
    """The starting model has no seed of its own: one evaluation of it serves all seeds."""
    return bool(record["arm"] == "base" and record["seeds"] == 1)


def _usual_seeds(figures: Iterable[Record]) -> int:
    """How many seeds the trained figures of a table are means over, most of them."""
    counts = Counter(record["seeds"] for record in figures if not _is_sole_base(record))
    return int(counts.most_common(1)[0][0]) if counts else 1


def _seeds_remark(figures: Iterable[Record], seeds: int) -> tuple[str, ...]:
    if seeds == 1:
        return ()
    base = any(_is_sole_base(record) for record in figures)
    which = "Figures of trained checkpoints" if base else "Figures"
    return (
        f"{which} are means over {seeds} seeds; their ± holds the spread of items and of seeds.",
    )


def _figure(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _group(
    title: str,
    points: list[Point],
    columns: list[Column],
    cells: dict[tuple[str, Point, str], Cell],
    significance: Significance,
    published: bool = False,
) -> Group:
    """The rows of a group; published figures, which have no items, are ranked as printed."""
    rows: dict[Point, list[Cell]] = {}
    for point in points:
        row = [significance.mark(cells[place], place) for place in _places(title, point, columns)]
        if any(cell.value is not None for cell in row):
            rows[point] = row
    if published:
        for position, column in enumerate(columns):
            shown = [row[position] for row in rows.values()]
            for row, rank in zip(rows.values(), ranks(shown, column.better), strict=True):
                row[position] = replace(row[position], rank=rank)
    return Group(title, tuple(Row((), tuple(row), point=p) for p, row in rows.items()))


def _places(title: str, point: Point, columns: list[Column]) -> list[tuple[str, Point, str]]:
    return [(title, point, column.key) for column in columns]


def _relabel(group: Group, layout: Layout, arms: Arms) -> Group:
    losses = {row.point[0] for row in group.rows if row.point and row.point[0]}
    named = len(losses) > 1 and "loss" not in layout.stub

    def labels(point: Point) -> tuple[str, ...]:
        loss, arm, iteration = point
        texts = {
            "arm": arms.title(arm) + (f" ({loss.upper()})" if named and loss else ""),
            "loss": loss.upper(),
            "iteration": "" if arm == "base" else f"Iter{iteration}",
        }
        return tuple(texts[name] for name in layout.stub)

    rows = (replace(row, labels=labels(row.point)) for row in group.rows if row.point)
    return replace(group, rows=tuple(rows))


def ranks(cells: Sequence[Cell], better: int) -> list[int]:
    """1 for the best printed value, 2 for the second (ties share), 0 for the rest.

    Nothing is ranked where ``better`` is 0 or all printed values are equal, and no figure of another
    protocol is.
    """
    shown = [
        float(c.text) * better if c.value is not None and c.comparable else None for c in cells
    ]
    values = sorted({value for value in shown if value is not None})
    if not better or len(values) < 2:
        return [0] * len(cells)
    place = {values[-1]: 1, values[-2]: 2}
    return [0 if value is None else place.get(value, 0) for value in shown]


_COUNTS = {
    "n_truncated": "cut at the token limit",
    "n_unparsed": "unparsed",
    "n_error": "failed",
    "n_missing": "missing",
    "n_unclosed": "without an end of their reasoning",
}


def _remarks(records: list[Record]) -> tuple[str, ...]:
    """One line per kind of unusable answer: how many, by benchmark, over the checkpoints."""
    remarks = []
    for name, label in _COUNTS.items():
        spans: dict[str, list[Record]] = {}
        for record in records:
            if record["headline"]:
                spans.setdefault(record["benchmark"], []).append(record)
        parts = [_span(bench, rows, name) for bench, rows in spans.items()]
        if any(parts):
            listed = "; ".join(part for part in parts if part)
            remarks.append(f"Answers {label}, by checkpoint: {listed}.")
    return tuple(remarks)


def _span(benchmark: str, records: list[Record], name: str) -> str:
    parts = [part for record in records for _, part in record["parts"]]
    counts = [int(part[name]) for part in parts]
    if max(counts) == 0:
        return ""
    span = f"{min(counts)}-{max(counts)}" if min(counts) < max(counts) else str(max(counts))
    return f"{benchmark} {span} of {max(int(part['n_expected']) for part in parts)}"


def _unfinished(frame: pd.DataFrame) -> list[str]:
    parts = frame.attrs.get("unfinished")
    if not parts:
        return []
    more = f" and {len(parts) - 4} more" if len(parts) > 4 else ""
    return ["Not finished and left out: " + ", ".join(parts[:4]) + more + "."]
