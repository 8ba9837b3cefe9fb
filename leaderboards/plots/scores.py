"""Plots of scores: by iteration, against answer length, and in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from groundwork.errors import UserError
from leaderboards.identity import arms_of_records
from leaderboards.layouts import Column, columns_of
from leaderboards.plots.style import (
    BASE_COLOR,
    COLORS,
    Line,
    Look,
    Record,
    band,
    grid,
    line_of,
    literal,
    looks,
    one_legend,
    roomy,
    whole_steps,
    with_bars,
)
from leaderboards.score_frame import over_seeds

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from leaderboards.history_series import Series


def iterations_figure(frame: pd.DataFrame) -> Figure:
    """Scores by iteration: a panel per benchmark, a line per arm of each experiment, bands of 95 %."""
    everything = over_seeds(frame)
    records = [r for r in everything if r["headline"] and not r["category"] and r["info"].column]
    records = [r for r in records if r["value"] == r["value"]]
    columns = list(columns_of(records).values())
    if not columns:
        raise UserError("no scores to plot by iteration")
    drawn = looks(map(line_of, everything), arms_of_records(everything))
    wide = min(3, len(columns))
    figure, axes = grid(wide, -(-len(columns) // wide))
    for axis, column in zip(axes, columns, strict=False):
        found = [record for record in records if record["info"].column == column.key]
        _iteration_panel(axis, column, found, drawn)
    for axis in axes[len(columns) :]:
        axis.set_visible(False)
    one_legend(figure, axes)
    return figure


def _iteration_panel(
    axis: Axes, column: Column, records: Sequence[Record], drawn: Mapping[Line, Look]
) -> None:
    bases = {r["group"]: r for r in records if r["arm"] == "base"}
    trained = {r["group"] for r in records if r["arm"] != "base"}
    for line, look in drawn.items():
        rows = sorted(
            (r for r in records if line_of(r) == line), key=lambda record: record["iteration"]
        )
        if rows:
            start = [bases[line[0]]] if line[0] in bases else []
            band(axis, [*start, *rows], look)
    alone = [group for group in bases if group not in trained]
    for place, group in enumerate(alone):
        label = "base" if len(bases) == 1 else literal(group)
        color = BASE_COLOR if len(alone) == 1 else COLORS[place % len(COLORS)]
        band(axis, [bases[group]], Look(label, {"color": color, "marker": "*"}))
    axis.set_title(column.label, fontsize=8)
    axis.set_xlabel("iteration")
    axis.set_ylabel(records[0]["unit"])
    roomy(axis, records[0]["unit"])
    whole_steps(axis)


def length_figure(frame: pd.DataFrame) -> Figure:
    """Answer length against each rate of the benchmark that measures one, by checkpoint."""
    everything = over_seeds(frame)
    usable = [r for r in everything if not r["category"] and r["value"] == r["value"]]
    measured = {r["benchmark"] for r in usable if r["unit"] == "characters"}
    records = [r for r in usable if r["benchmark"] in measured and r["info"].column]
    lengths = {_point(r): r["value"] for r in records if r["unit"] == "characters"}
    rates = [c for k, c in columns_of(records).items() if c.better]
    if not lengths or not rates:
        raise UserError("no answer lengths and win rates to plot")
    drawn = looks(map(line_of, everything), arms_of_records(everything))
    figure, axes = grid(len(rates))
    for axis, column in zip(axes, rates, strict=True):
        found = {_point(r): r for r in records if r["info"].column == column.key}
        for group in dict.fromkeys(point[0][0] for point in found):
            base = ((group, "base", ""), 0)
            if base in found and base in lengths:
                look = Look("base", {"marker": "*", "color": BASE_COLOR})
                with_bars(axis, [lengths[base]], [found[base]], look)
        for line, look in drawn.items():
            points = sorted(p for p in found if p[0] == line and p in lengths)
            x, rows = [lengths[p] for p in points], [found[p] for p in points]
            if rows:
                with_bars(axis, x, rows, look)
            for point, at, row in zip(points, x, rows, strict=True):
                spot = (at, row["value"])
                axis.annotate(str(point[1]), spot, (4, 3), textcoords="offset points", fontsize=6)
        axis.set_xlabel("mean length (characters)")
        axis.set_ylabel(f"{column.label} (percent)")
    one_legend(figure, axes)
    return figure


def _point(record: Record) -> tuple[Line, int]:
    return line_of(record), record["iteration"]


def history_figure(series: Sequence[Series]) -> Figure:
    """A panel per series over the runs in time order, with 95 % bars and level shifts."""
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
