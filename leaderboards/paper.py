"""The paper's own figures, from the project's copy of them, as a frame and beside measured cells."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundwork.errors import UserError
from leaderboards.build_table import build_table
from leaderboards.layouts import LAYOUTS, Layout, layout_named
from leaderboards.legacy_info import BENCHMARKS, arm_info
from leaderboards.score_frame import to_frame
from leaderboards.table import Cell, Group, Row, Table

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {c.key: (name, c) for name, info in BENCHMARKS.items() for c in info.columns}
"""Column key to (benchmark, column) of every figure that the paper has."""
FIGURES = Path(__file__).with_name("paper_results.csv")
_ARMS = {
    "sso_without_w": "without-w",
    "sso_without_g": "without-g",
    "sso_without_w_g": "without-w-g",
}


@cache
def published() -> tuple[dict[str, str], ...]:
    """The rows of the paper's tables: table, model, method, loss, setting, iteration, metric, value."""
    import csv

    with FIGURES.open(encoding="utf-8", newline="") as lines:
        return tuple(csv.DictReader(lines))


def paper_frame(table: str) -> pd.DataFrame:
    """One table of the paper as a tidy frame (columns: ``leaderboards.score_frame.COLUMNS``)."""
    rows = [row for row in published() if row["table"] == table]
    if not rows:
        known = ", ".join(dict.fromkeys(row["table"] for row in published()))
        raise UserError(f"the paper has no table {table!r} here; known: {known}")
    return to_frame([_row(row) for row in rows])


def paper_table(table: str) -> Table:
    """One table of the paper, drawn through the layout that claims it."""
    layout = next((layout for layout in LAYOUTS.values() if table in layout.paper), None)
    return build_table(paper_frame(table), layout or layout_named("iterations"))


def _row(row: dict[str, str]) -> dict[str, Any]:
    benchmark, column = COLUMNS[row["metric"]]
    metric = column.metric or "published"
    headline = column.metric is None or row["metric"] in ("ae2_lc", "mt_bench", "average")
    arm = _ARMS.get(row["method"], row["method"])
    return {
        "source": "paper",
        "run": row["table"],
        "model": row["model"],
        "group": row["model"],
        "arm": arm,
        "arm_info": arm_info(arm),
        "loss": row["loss"],
        "setting": row["setting"],
        "iteration": 0 if arm == "base" else int(row["iteration"] or 1),
        "seed": 0,
        "benchmark": benchmark,
        "metric": metric,
        "category": "",
        "headline": headline,
        "value": float(row["value"]),
        "unit": _unit(row["metric"]),
        "protocol": "paper",
        "n": 0,
        "n_expected": 0,
        **dict.fromkeys(("n_truncated", "n_unparsed", "n_error", "n_missing"), 0),
        **dict.fromkeys(("judge", "data", "marks", "folder"), ""),
        "digits": len(row["value"].partition(".")[2]),
        "notes": (),
        "info": BENCHMARKS[benchmark].of_score(metric, headline),
    }


def _unit(metric: str) -> str:
    return {"length": "characters", "mt_bench": "points"}.get(metric, "percent")


def normalised(model: str) -> str:
    """A model's name as it is compared: without its organisation, lower case, letters and digits."""
    name = model.rstrip("/").rsplit("/", 1)[-1].lower()
    name = "".join(character for character in name if character.isalnum())
    return name.removeprefix("meta")


def published_model(model: str) -> str | None:
    """The paper's name of a model, or None when the paper has no figures of it."""
    names = {normalised(row["model"]): row["model"] for row in published()}
    return names.get(normalised(model))


def with_published_values(table: Table, layout: Layout, model: str | None = None) -> Table:
    """The table with the paper's value and the difference in each cell.

    Rows are matched by model, arm, iteration and loss; ``model`` chooses the paper's model for all
    groups (needed where the runs start from a model that the paper does not have). A last remark
    names the paper's model, or states that the paper has no figures.
    """
    wanted = published_model(model) if model else None
    if model and wanted is None:
        known = ", ".join(dict.fromkeys(row["model"] for row in published()))
        raise UserError(f"the paper has no model {model!r}; it has {known}")
    groups, remarks = [], []
    for group in table.groups:
        name = wanted or published_model(group.title.split(" · ")[0])
        if name is None:
            remarks.append(
                f"The paper has no figures of {group.title}; name one of its models (--paper-model)."
            )
            groups.append(group)
            continue
        matched = _with_group(group, name, table, layout)
        groups.append(matched)
        count = sum(cell.reference is not None for row in matched.rows for cell in row.cells)
        remarks.append(f"{group.title}: {count} published figures of {name} stand beside ours.")
    if any(table.column_notes) or any(
        cell.notes for g in groups for r in g.rows for cell in r.cells
    ):
        remarks.append("A difference to the paper under a note's mark is no evidence either way.")
    return replace(table, groups=tuple(groups), remarks=(*table.remarks, *remarks))


Values = dict[tuple[str, str, str, int, str], float]


def _values(layout: Layout) -> Values:
    """(model, loss, arm, iteration, column) to the published value; a layout's own tables win."""
    own = [row for row in published() if row["table"] in layout.paper]
    others = [row for row in published() if row["setting"] in layout.settings]
    values: Values = {}
    for row in (*own, *others):
        arm = _ARMS.get(row["method"], row["method"])
        iteration = 0 if arm == "base" else int(row["iteration"] or 1)
        key = (row["model"], row["loss"], arm, iteration, row["metric"])
        values.setdefault(key, float(row["value"]))
    return values


def _with_group(group: Group, model: str, table: Table, layout: Layout) -> Group:
    values = _values(layout)
    last = max((key[3] for key in values if key[0] == model), default=1)

    def matched(row: Row) -> Row:
        if row.point is None:
            return row
        loss, arm, iteration = row.point
        base, final = arm == "base", layout.rows == "last"
        step = 0 if base else last if final else iteration
        cells = []
        for cell, column in zip(row.cells, table.keys, strict=True):
            places = [(model, kind, arm, step, column) for kind in (loss, "")]
            cells.append(_with(cell, next((values[p] for p in places if p in values), None)))
        return replace(row, cells=tuple(cells))

    return replace(group, rows=tuple(map(matched, group.rows)))


def _with(cell: Cell, reference: float | None) -> Cell:
    if reference is None:
        return cell
    difference = None if cell.value is None else cell.value - reference
    return replace(cell, reference=reference, difference=difference)
