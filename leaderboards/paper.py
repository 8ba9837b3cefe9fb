"""The two papers' own figures, from the project's copy of them, as a frame and in measured cells.

Version 1 (October 2024) is the arm ``sso-joint`` and its ablations, version 2 (June 2025) the arm
``sso`` and its own: a figure of one version is never compared with an arm of the other.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from groundwork.errors import UserError, did_you_mean
from leaderboards.build_table import build_table
from leaderboards.layouts import LAYOUTS, Layout, layout_named
from leaderboards.legacy_info import BENCHMARKS, arm_info
from leaderboards.score_frame import to_frame
from leaderboards.table import Cell, Group, Row, Table

if TYPE_CHECKING:
    import pandas as pd

Version = Literal["v1", "v2"]
FILES: dict[Version, str] = {"v1": "paper_results.csv", "v2": "paper_results_v2.csv"}
COLUMNS = {c.key: (name, c) for name, info in BENCHMARKS.items() for c in info.columns}
"""Column key to (benchmark, column) of every figure that the papers have."""
ARMS: dict[Version, dict[str, str]] = {
    "v1": {
        "sso": "sso-joint",
        "sso_without_w": "without-w",
        "sso_without_g": "without-g",
        "sso_without_w_g": "without-w-g",
    },
    "v2": {},
}
"""A paper's name of a method to the arm that it is here, where the two differ."""
SHARED = frozenset({"base", "pbaa", "ultrafeedback"})
"""Arms that both versions have."""
CHECKPOINTS = {
    "BAAI/Infinity-Instruct-3M-0625-Llama3-8B": "Llama3-8B-SFT",
    "BAAI/Infinity-Instruct-3M-0625-Qwen2-7B": "Qwen2-7B-SFT",
    "BAAI/Infinity-Instruct-7M-Gen-Llama3_1-8B": "Infinity-Llama3.1-8B-SFT",
}
"""Public checkpoints that the papers give names of their own."""
WRITERS = {"writer_weak": "weak writer", "writer_strong": "strong writer"}


@cache
def published() -> tuple[dict[str, str], ...]:
    """The rows of both papers' tables: version, table, model, method, arm, loss, setting, iteration,
    metric, value."""
    rows = []
    for version, name in FILES.items():
        with Path(__file__).with_name(name).open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                arm = ARMS[version].get(row["method"], row["method"])
                rows.append({**row, "version": version, "arm": arm})
    return tuple(rows)


def table_names() -> tuple[str, ...]:
    """Every published table as ``v1:table1``."""
    return tuple(dict.fromkeys(f"{row['version']}:{row['table']}" for row in published()))


def paper_frame(table: str) -> pd.DataFrame:
    """One published table (``v1:table1``) as a tidy frame (see ``score_frame.COLUMNS``).

    Raises:
        UserError: no such table; the nearest one is named.
    """
    if table not in table_names():
        raise UserError(f"no published table {table!r} ({did_you_mean(table, table_names())})")
    version, _, name = table.partition(":")
    return to_frame(
        [_row(row) for row in published() if (row["version"], row["table"]) == (version, name)]
    )


def paper_table(table: str) -> Table:
    """One published table, drawn through the layout that claims it."""
    layout = next((layout for layout in LAYOUTS.values() if table in layout.paper), None)
    return build_table(paper_frame(table), layout or layout_named("iterations"))


def _row(row: dict[str, str]) -> dict[str, Any]:
    benchmark, column = COLUMNS[row["metric"]]
    metric = column.metric or "published"
    headline = column.metric is None or row["metric"] in ("ae2_lc", "mt_bench", "average")
    writer = WRITERS.get(row["setting"])
    return {
        "source": "paper",
        "run": f"{row['version']}:{row['table']}",
        "model": row["model"],
        "group": f"{row['model']} · {writer}" if writer else row["model"],
        "arm": row["arm"],
        "arm_info": arm_info(row["arm"]),
        "loss": row["loss"],
        "setting": row["setting"],
        "iteration": _iteration(row),
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
        **dict.fromkeys(
            ("n_truncated", "n_unparsed", "n_error", "n_missing", "n_reasoning", "n_unclosed"), 0
        ),
        **dict.fromkeys(("judge", "data", "marks", "folder", "preset"), ""),
        "digits": len(row["value"].partition(".")[2]),
        "notes": (),
        "info": BENCHMARKS[benchmark].of_score(metric, headline),
    }


def _iteration(row: Mapping[str, str]) -> int:
    return 0 if row["arm"] == "base" else int(row["iteration"] or 1)


def _unit(metric: str) -> str:
    return {"length": "characters", "mt_bench": "points"}.get(metric, "percent")


def normalized(model: str) -> str:
    """A model's name as it is compared: without its organisation, lower case, letters and digits."""
    name = model.rstrip("/").rsplit("/", 1)[-1].lower()
    name = "".join(character for character in name if character.isalnum())
    return name.removeprefix("meta")


def published_model(model: str) -> str | None:
    """The papers' name of a model, or None when they have no figures of it."""
    names = {normalized(row["model"]): row["model"] for row in published()}
    names |= {normalized(checkpoint): name for checkpoint, name in CHECKPOINTS.items()}
    return names.get(normalized(model))


@cache
def version_of_arm(arm: str) -> Version | None:
    """The version that an arm belongs to; None for an arm of both, or of neither."""
    if arm in SHARED:
        return None
    found = [version for version in FILES if any(_is_row(r, version, arm) for r in published())]
    return found[0] if len(found) == 1 else None


def _is_row(row: Mapping[str, str], version: Version, arm: str) -> bool:
    return row["version"] == version and row["arm"] == arm


def with_published_values(
    table: Table,
    layout: Layout,
    model: str | None = None,
    version: Version | None = None,
    presets: Mapping[str, str] | None = None,
) -> Table:
    """The table with the paper's value and the difference in each cell.

    Rows are matched by version, model, arm, iteration and loss. An arm of one version is only
    compared with that version's figures. The others (base, pbaa, ultrafeedback) are compared with
    ``version``, else with the version of the arms beside them, else with that of the group's preset
    (``presets``). ``model`` chooses the paper's model for all groups. A last remark per group names
    model and versions, or states that the papers have no figures.

    Raises:
        UserError: the papers have no such model.
    """
    wanted = published_model(model) if model else None
    if model and wanted is None:
        known = list(dict.fromkeys(row["model"] for row in published()))
        raise UserError(f"the papers have no model {model!r} ({did_you_mean(model, known)})")
    groups, remarks = [], []
    for group in table.groups:
        name = wanted or published_model(group.title.split(" · ")[0])
        if name is None:
            remarks.append(
                f"The papers have no figures of {group.title}; name one of their models "
                "(--paper-model)."
            )
            groups.append(group)
            continue
        usual = version or _usual_version(group, (presets or {}).get(group.title, ""))
        matched = _with_group(group, name, table, layout, usual)
        groups.append(matched)
        remarks.append(_matched(matched, name, usual))
    if any(table.column_notes) or table.shared_notes or _has_notes(groups):
        remarks.append("A difference to the paper under a note is no evidence either way.")
    return replace(table, groups=tuple(groups), remarks=(*table.remarks, *remarks))


def _usual_version(group: Group, preset: str) -> Version:
    """The version with which the shared arms of a group are compared."""
    own = {version_of_arm(row.point[1]) for row in group.rows if row.point} - {None}
    if own == {"v2"}:
        return "v2"
    return "v2" if not own and preset.startswith("v2") else "v1"


def _matched(group: Group, model: str, usual: Version) -> str:
    rows = [row for row in group.rows if any(cell.reference is not None for cell in row.cells)]
    count = sum(cell.reference is not None for row in rows for cell in row.cells)
    found = {version_of_arm(row.point[1]) or usual for row in rows if row.point}
    versions = f" ({', '.join(sorted(found))})" if found else ""
    return f"{group.title}: {count} published figures of {model}{versions} are in the table."


def _has_notes(groups: Sequence[Group]) -> bool:
    return any(cell.notes for group in groups for row in group.rows for cell in row.cells)


Values = dict[tuple[str, str, str, str, int, str], float]


@cache
def _values(layout: Layout) -> Values:
    """(version, model, loss, arm, iteration, column) to the published value; a layout's own tables
    win, then those of its settings (one round of the second version is online training)."""
    settings = {*layout.settings, *(("one_round",) if "online" in layout.settings else ())}
    own = [row for row in published() if f"{row['version']}:{row['table']}" in layout.paper]
    others = [row for row in published() if row["setting"] in settings]
    values: Values = {}
    for row in (*own, *others):
        if row["setting"] in WRITERS:
            continue
        place = (row["version"], row["model"], row["loss"], row["arm"], _iteration(row))
        values.setdefault((*place, row["metric"]), float(row["value"]))
    return values


def _with_group(group: Group, model: str, table: Table, layout: Layout, usual: Version) -> Group:
    values = _values(layout)

    def matched(row: Row) -> Row:
        if row.point is None:
            return row
        loss, arm, iteration = row.point
        version = version_of_arm(arm) or usual
        step = 0 if arm == "base" else iteration
        cells = []
        for cell, column in zip(row.cells, table.keys, strict=True):
            places = [(version, model, kind, arm, step, column) for kind in (loss, "")]
            cells.append(_with(cell, next((values[p] for p in places if p in values), None)))
        return replace(row, cells=tuple(cells))

    return replace(group, rows=tuple(map(matched, group.rows)))


def _with(cell: Cell, reference: float | None) -> Cell:
    if reference is None:
        return cell
    difference = None if cell.value is None else cell.value - reference
    return replace(cell, reference=reference, difference=difference)
