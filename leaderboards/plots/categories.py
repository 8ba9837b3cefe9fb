"""Plots of parts of a benchmark: ratings by category as a radar, accuracy by subject."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from groundwork.errors import UserError
from leaderboards.identity import arms_of_records
from leaderboards.plots.style import (
    BASE_COLOR,
    RANGES,
    Look,
    Record,
    grid,
    interval,
    line_of,
    literal,
    looks,
    one_legend,
)
from leaderboards.score_frame import over_seeds

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MOST_CATEGORIES = 24
"""More categories than this (the 57 subjects of MMLU) are not drawn."""
MOST_CHECKPOINTS = 8

Drawn = dict[str, tuple[Look, list[Record]]]
"""A checkpoint's name to its look and its records by category."""


def radar_figure(frame: pd.DataFrame) -> Figure:
    """Ratings by category: a radar per benchmark with ratings, base and every last iteration."""
    found = {name: part for name, part in _by_benchmark(frame, "points").items() if len(part) >= 3}
    if not found:
        raise UserError("no ratings by category to plot")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(found), 3.6), dpi=150)
    for place, (title, part) in enumerate(found.items(), 1):
        axis = figure.add_subplot(1, len(found), place, projection="polar")
        names = list(part)
        angles = [2 * math.pi * k / len(names) for k in range(len(names))]
        for look, records in _checkpoints(part).values():
            values = {r["category"]: r["value"] for r in records}
            radii = [values.get(name, math.nan) for name in names]
            axis.plot(
                [*angles, angles[0]],
                [*radii, radii[0]],
                label=look.label,
                linewidth=1.1,
                **look.style,
            )
        axis.set_xticks(angles, [literal(name) for name in names], fontsize=6)
        axis.set_ylim(0, RANGES["points"][1])
        axis.tick_params(axis="y", labelsize=5)
        axis.set_title(f"{literal(title)} (points)", fontsize=8)
        axis.legend(frameon=False, fontsize=6, loc="upper left", bbox_to_anchor=(1.08, 1.05))
    figure.subplots_adjust(left=0.1, right=0.68, bottom=0.1, top=0.86, wspace=0.9)
    return figure


def subjects_figure(frame: pd.DataFrame) -> Figure:
    """Accuracy by subject: a panel per benchmark with subjects, base and every last iteration."""
    found = {name: part for name, part in _by_benchmark(frame, "percent").items() if len(part) >= 2}
    if not found:
        raise UserError("no accuracy by subject to plot")
    tallest = max(map(len, found.values()))
    figure, axes = grid(len(found), width=3.8, height=max(2.5, 0.9 + 0.3 * tallest))
    for axis, (title, part) in zip(axes, found.items(), strict=True):
        names = list(part)[::-1]
        drawn = _checkpoints(part)
        for number, (look, records) in enumerate(drawn.values()):
            shift = 0.5 * (0.5 - (number + 0.5) / len(drawn))
            places = [names.index(r["category"]) + shift for r in records]
            ends = [interval(r) for r in records]
            errors = [
                [max(0.0, r["value"] - low) for r, (low, _) in zip(records, ends, strict=True)],
                [max(0.0, high - r["value"]) for r, (_, high) in zip(records, ends, strict=True)],
            ]
            axis.errorbar([r["value"] for r in records], places, xerr=errors, fmt="none",
                          ecolor=look.style["color"], elinewidth=0.7, alpha=0.6)  # fmt: skip
            axis.plot(
                [r["value"] for r in records], places, linestyle="", label=look.label, **look.style
            )
        axis.set_yticks(range(len(names)), [literal(name)[:22] for name in names], fontsize=6)
        axis.set_xlim(-1, 101)
        axis.set_xlabel("percent")
        axis.set_title(literal(title), fontsize=8)
    figure.subplots_adjust(left=1.5 / figure.get_size_inches()[0], wspace=1.3)
    one_legend(figure, axes)
    return figure


def _by_benchmark(frame: pd.DataFrame, unit: str) -> dict[str, dict[str, list[Record]]]:
    """Title to category to records, of the benchmarks with categories in ``unit``."""
    found: dict[str, dict[str, list[Record]]] = {}
    for record in over_seeds(frame):
        if record["category"] and record["unit"] == unit and record["value"] == record["value"]:
            part = found.setdefault(record["info"].title, {})
            part.setdefault(record["category"], []).append(record)
    return {title: part for title, part in found.items() if len(part) <= MOST_CATEGORIES}


def _checkpoints(part: dict[str, list[Record]]) -> Drawn:
    """Base and the last iteration of every line, the first few, with one record per category each."""
    records = [record for found in part.values() for record in found]
    drawn = looks(map(line_of, records), arms_of_records(records))
    groups = list(dict.fromkeys(record["group"] for record in records))
    found: Drawn = {}
    for group in groups:
        base = _first_per_category(
            [r for r in records if (r["group"], r["arm"]) == (group, "base")]
        )
        if base:
            label = "base" if len(groups) == 1 else f"{literal(group)}: base"
            found[label] = (Look(label, {"color": BASE_COLOR, "marker": "*"}), base)
    for line, look in drawn.items():
        mine = [r for r in records if line_of(r) == line]
        if not mine:
            continue
        last = max(r["iteration"] for r in mine)
        own = _first_per_category([r for r in mine if r["iteration"] == last])
        label = f"{look.label} {last}"
        found[label] = (Look(label, look.style), own)
    return dict(list(found.items())[:MOST_CHECKPOINTS])


def _first_per_category(records: Sequence[Record]) -> list[Record]:
    """One record per category: several metrics of a category leave the first."""
    return list({r["category"]: r for r in reversed(records)}.values())[::-1]
