"""Plots of scores: by iteration, against answer length, and in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from groundwork.errors import UserError
from leaderboards.build_table import shows
from leaderboards.layouts import COLUMNS, Column
from leaderboards.plots.style import (
    COLORS,
    Record,
    Style,
    arm_text,
    band,
    grid,
    literal,
    roomy,
    styles_of,
    whole_steps,
)
from leaderboards.score_frame import over_seeds

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from leaderboards.history_series import Series

PANELS = (
    "ae2_lc", "mt_bench", "gpqa", "mmlu_pro", "math", "gsm8k", "mmlu", "ifeval", "pair_accuracy",
)  # fmt: skip


def iterations_figure(frame: pd.DataFrame) -> Figure:
    """Scores by iteration: a panel a benchmark, a line an arm, bands of 95 %."""
    records = [r for r in over_seeds(frame) if not r["category"] and r["value"] == r["value"]]
    shown = [(COLUMNS[key], found) for key in PANELS if (found := of_column(records, COLUMNS[key]))]
    if not shown:
        raise UserError("no scores to plot by iteration")
    styles = styles_of([record["arm"] for record in records])
    columns = min(3, len(shown))
    figure, axes = grid(columns, -(-len(shown) // columns))
    for axis, (column, found) in zip(axes, shown, strict=False):
        _iteration_panel(axis, column, found, styles)
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    axes[0].legend(frameon=False, fontsize=7)
    return figure


def of_column(records: Sequence[Record], column: Column) -> list[Record]:
    """The records that a table column shows."""
    return [record for record in records if shows(column, record)]


def _iteration_panel(
    axis: Axes, column: Column, records: Sequence[Record], styles: Mapping[str, Style]
) -> None:
    base = [record for record in records if record["arm"] == "base"][:1]
    for arm, style in styles.items():
        rows = [
            *base,
            *sorted((r for r in records if r["arm"] == arm), key=lambda r: r["iteration"]),
        ]
        if len(rows) > len(base):
            band(axis, rows, arm, style)
    if base and not any(record["arm"] != "base" for record in records):
        band(axis, base, "base", {"color": "#555555", "marker": "o"})
    axis.set_title(column.label, fontsize=8)
    axis.set_xlabel("iteration")
    axis.set_ylabel(records[0]["unit"])
    roomy(axis, records[0]["unit"])
    whole_steps(axis)


def length_figure(frame: pd.DataFrame) -> Figure:
    """Answer length against win rate (length-controlled, and raw where there is one), by checkpoint."""
    records = [
        r for r in over_seeds(frame) if r["benchmark"] == "alpaca_eval" and not r["category"]
    ]
    lengths = {_point(r): r["value"] for r in records if r["metric"] == "length"}
    metrics = [m for m in ("lc_win_rate", "win_rate") if any(r["metric"] == m for r in records)]
    if not lengths or not metrics:
        raise UserError("no AlpacaEval lengths and win rates to plot")
    styles = {**styles_of([r["arm"] for r in records]), "base": {"color": "#555555", "marker": "*"}}
    figure, axes = grid(len(metrics))
    for axis, metric in zip(axes, metrics, strict=True):
        rates = {_point(r): r["value"] for r in records if r["metric"] == metric}
        for arm, style in styles.items():
            points = sorted(p for p in rates if p[0] == arm and p in lengths)
            x, y = [lengths[p] for p in points], [rates[p] for p in points]
            axis.plot(x, y, label=arm_text(arm), linewidth=0.8, **style)
            for point, at, value in zip(points, x, y, strict=True):
                if arm != "base":
                    axis.annotate(
                        str(point[2]), (at, value), (4, 3), textcoords="offset points", fontsize=6
                    )
        axis.set_xlabel("mean length (characters)")
        axis.set_ylabel(f"{metric.replace('_', ' ').replace('lc', 'LC')} (percent)")
    axes[0].legend(frameon=False, fontsize=7)
    return figure


def _point(record: Record) -> tuple[str, str, int]:
    return record["arm"], record["loss"], record["iteration"]


def history_figure(series: Sequence[Series]) -> Figure:
    """A panel a series over the runs in time order, with 95 % bars and level shifts."""
    shown = list(series)[:24]
    columns = min(3, len(shown))
    figure, axes = grid(columns, -(-len(shown) // columns))
    for axis, one in zip(axes, shown, strict=False):
        x = list(range(len(one.points)))
        errors = [1.96 * (point.stderr or 0) for point in one.points]
        axis.errorbar(
            x, [p.value for p in one.points], yerr=errors, fmt="o-", color=COLORS[0], linewidth=1
        )
        roomy(axis, one.unit)
        for change in one.changes():
            axis.axvline(change.index - 0.5, color=COLORS[1], linestyle="--", linewidth=1)
        axis.set_title(literal(one.title), fontsize=6)
        ticks = x[:: max(1, len(x) // 6)]
        axis.set_xticks(
            ticks,
            [one.points[i].commit or one.points[i].created[:10] for i in ticks],
            fontsize=5,
            rotation=30,
        )
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    return figure
