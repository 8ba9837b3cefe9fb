"""Builds a table from the tidy frame and a layout: rows, ranks, foot-notes, detectable differences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from leaderboards.errors import LeaderboardError
from leaderboards.frame import over_seeds
from leaderboards.layouts import COLUMNS, STUBS, Column, Layout, layout_named, ordered_arms
from leaderboards.marks import Footnotes, arm_label, reason
from leaderboards.statistics.power import detectable_difference
from leaderboards.table import Cell, Group, Row, Table

if TYPE_CHECKING:
    import pandas as pd

Point = tuple[str, str, int]
"""A checkpoint of a group: (loss, arm, iteration)."""


def iteration_table(frame: pd.DataFrame, columns: Sequence[str] = ()) -> Table:
    """Rows base and Iter1..N for each arm, columns of the paper's main table (or ``columns``)."""
    layout = layout_named("iterations")
    if columns:
        layout = replace(layout, columns=tuple(columns), extra=())
    return build_table(frame, layout)


def build_table(frame: pd.DataFrame, layout: Layout) -> Table:
    """The table of ``layout`` over the scores in ``frame`` (see ``leaderboards.frame.COLUMNS``).

    Raises LeaderboardError when the frame holds no figure that the layout shows.
    """
    frame = frame[frame["setting"].isin(layout.settings) & (frame["category"].fillna("") == "")]
    frame = over_seeds(with_groups(frame))
    columns = _shown(frame, layout)
    if not columns:
        raise LeaderboardError(f"the runs hold no figure that the table {layout.name!r} shows")
    notes = Footnotes()
    groups = tuple(
        group
        for title, part in frame.groupby("group", sort=False)
        if (group := _group(str(title), part, layout, columns, notes)).rows
    )
    groups, column_notes = lift_notes(groups, len(columns))
    return Table(
        title=layout.title,
        stub=tuple(STUBS[name] for name in layout.stub),
        columns=tuple(column.label for column in columns),
        keys=tuple(column.key for column in columns),
        groups=groups,
        notes=notes.listing(),
        remarks=_remarks(frame),
        column_notes=column_notes,
        detectable=tuple(_detectable(frame, column) for column in columns),
    )


def with_groups(frame: pd.DataFrame) -> pd.DataFrame:
    """Adds ``group``: the model, or model and run where two runs give one checkpoint two values."""
    frame = frame.copy()
    frame["group"] = frame["model"].where(frame["model"] != "", frame["run"])
    identity = ["group", "arm", "loss", "setting", "iteration", "seed", "benchmark", "metric"]
    frame = frame.drop_duplicates([*identity, "category", "value", "protocol"])
    clash = frame.duplicated([*identity, "category"], keep=False)
    for group in frame.loc[clash, "group"].unique():
        rows = frame["group"] == group
        frame.loc[rows, "group"] = frame.loc[rows, "group"] + " · " + frame.loc[rows, "run"]
    return frame


def rows_of(frame: pd.DataFrame, column: Column) -> pd.DataFrame:
    """The rows of the frame that a column shows (its metric, or the benchmark's headline)."""
    rows = frame[frame["benchmark"] == column.benchmark]
    return (
        rows[rows["headline"]] if column.metric is None else rows[rows["metric"] == column.metric]
    )


def _shown(frame: pd.DataFrame, layout: Layout) -> list[Column]:
    keys = [key for key in layout.columns + layout.extra if len(rows_of(frame, COLUMNS[key]))]
    return [COLUMNS[key] for key in keys]


def _group(
    title: str, part: pd.DataFrame, layout: Layout, columns: list[Column], notes: Footnotes
) -> Group:
    cells = [_column_cells(part, column, notes) for column in columns]
    rows = []
    for point in points(part, layout):
        row = tuple(column.get(point, Cell()) for column in cells)
        if any(cell.value is not None for cell in row):
            rows.append((point, row))
    ranked = _rank([row for _, row in rows], columns)
    return Group(
        title, tuple(Row(_labels(p, layout), r) for (p, _), r in zip(rows, ranked, strict=True))
    )


def points(part: pd.DataFrame, layout: Layout) -> list[Point]:
    """Checkpoints of a group in table order, as the layout chooses them."""
    found = {
        (str(loss), str(arm), int(iteration))
        for loss, arm, iteration in part[["loss", "arm", "iteration"]].itertuples(index=False)
    }
    arms = ordered_arms(sorted({arm for _, arm, _ in found}), layout)
    chosen: list[Point] = []
    for loss in sorted({loss for loss, _, _ in found}, key=lambda loss: (loss != "", loss)):
        for arm in arms:
            steps = sorted(i for found_loss, a, i in found if (found_loss, a) == (loss, arm))
            chosen += [(loss, arm, i) for i in (steps[-1:] if layout.rows == "last" else steps)]
    return chosen


def _labels(point: Point, layout: Layout) -> tuple[str, ...]:
    loss, arm, iteration = point
    names = {
        "arm": arm_label(arm),
        "loss": loss.upper(),
        "iteration": "" if arm == "base" else f"Iter{iteration}",
    }
    return tuple(names[name] for name in layout.stub)


def _column_cells(part: pd.DataFrame, column: Column, notes: Footnotes) -> dict[Point, Cell]:
    rows = rows_of(part, column).to_dict("records")
    usual = _usual_protocol(rows)
    cells: dict[Point, Cell] = {}
    for row in rows:
        point = (str(row["loss"]), str(row["arm"]), int(row["iteration"]))
        texts = _reasons(row, usual)
        cell = _cell(row, column, tuple(notes.key(text) for text in texts))
        if point in cells:
            several = notes.key("several protocols for this checkpoint; the column's own is shown")
            kept = cell if row["protocol"] == usual else cells[point]
            cell = replace(kept, notes=(*kept.notes, several))
        cells[point] = cell
    return cells


def _usual_protocol(rows: list[dict[Any, Any]]) -> str:
    base = [row["protocol"] for row in rows if row["arm"] == "base"]
    counts = Counter(base or [row["protocol"] for row in rows])
    return str(counts.most_common(1)[0][0]) if counts else ""


def _reasons(row: dict[Any, Any], usual: str) -> list[str]:
    texts = [reason(code) for code in str(row["marks"]).split("|") if code]
    if row["protocol"] != usual:
        texts.append(f"another protocol ({row['protocol']}) than the column's ({usual})")
    if row["n"] < row["n_expected"]:
        texts.append(f"only {row['n']} of {row['n_expected']} items are in the figure")
    return texts


def _cell(row: dict[Any, Any], column: Column, notes: tuple[str, ...]) -> Cell:
    return Cell(
        value=_figure(row["value"]),
        stderr=_figure(row["stderr"]),
        decimals=max(column.decimals, int(row["digits"])) if column.key != "length" else 0,
        notes=notes,
    )


def _figure(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _rank(rows: list[tuple[Cell, ...]], columns: list[Column]) -> list[tuple[Cell, ...]]:
    ranked = [list(row) for row in rows]
    for position, column in enumerate(columns):
        shown = [row[position] for row in rows]
        for index, rank in enumerate(ranks(shown, column.better)):
            ranked[index][position] = replace(shown[index], rank=rank)
    return [tuple(row) for row in ranked]


def ranks(cells: Sequence[Cell], better: int) -> list[int]:
    """1 for the best printed value, 2 for the second (ties share), 0 for the rest.

    Nothing is ranked where ``better`` is 0 or all printed values are equal.
    """
    values = sorted({float(cell.text) * better for cell in cells if cell.value is not None})
    if not better or len(values) < 2:
        return [0] * len(cells)
    place = {values[-1]: 1, values[-2]: 2}
    return [0 if c.value is None else place.get(float(c.text) * better, 0) for c in cells]


def lift_notes(
    groups: tuple[Group, ...], width: int
) -> tuple[tuple[Group, ...], tuple[tuple[str, ...], ...]]:
    """Move notes that every figure of a column carries from its cells to the column's head."""
    shared: list[tuple[str, ...]] = []
    for position in range(width):
        cells = [row.cells[position] for group in groups for row in group.rows]
        filled = [cell.notes for cell in cells if cell.value is not None]
        common = set(filled[0]).intersection(*filled) if filled else set()
        shared.append(tuple(key for key in filled[0] if key in common) if filled else ())

    def kept(row: Row) -> Row:
        pairs = zip(row.cells, shared, strict=True)
        cells = (replace(c, notes=tuple(k for k in c.notes if k not in keys)) for c, keys in pairs)
        return replace(row, cells=tuple(cells))

    lifted = tuple(replace(group, rows=tuple(map(kept, group.rows))) for group in groups)
    return lifted, tuple(shared)


def _detectable(frame: pd.DataFrame, column: Column) -> str:
    errors = rows_of(frame, column)["stderr"].dropna()
    if not len(errors):
        return ""
    unpaired = float(errors.median()) * math.sqrt(2)
    return f"{detectable_difference(unpaired):.{column.decimals}f}"


def _remarks(frame: pd.DataFrame) -> tuple[str, ...]:
    remarks = []
    for label, name in (("cut at the token limit", "n_truncated"), ("unparsed", "n_unparsed"), ("failed", "n_error"), ("missing", "n_missing")):  # fmt: skip
        parts = []
        for benchmark, rows in frame[frame["headline"]].groupby("benchmark", sort=False):
            if rows[name].max() > 0:
                low, high = int(rows[name].min()), int(rows[name].max())
                span = f"{low}-{high}" if low < high else str(high)
                parts.append(f"{benchmark} {span} of {int(rows['n_expected'].max())}")
        if parts:
            remarks.append(f"Answers {label}, by checkpoint: " + "; ".join(parts) + ".")
    if unfinished := frame.attrs.get("unfinished"):
        remarks.append("Not finished and left out: " + ", ".join(unfinished) + ".")
    return tuple(remarks)
