"""The look of every plot, and how figures become files and SVG elements.

Colours are the Okabe-Ito set, which stays apart for colour-blind readers and in grey; each arm
keeps its colour and marker through all plots of a set of runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundwork.errors import UserError
from leaderboards.footnotes import arm_label
from leaderboards.layouts import Layout, ordered_arms

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
RANGES = {"percent": (0.0, 100.0), "points": (1.0, 10.0)}
FORMATS = (".pdf", ".svg", ".png")

Record = dict[str, Any]
Style = dict[str, Any]


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PDF, SVG or PNG (by the ending), with no date inside."""
    if path.suffix not in FORMATS:
        raise UserError(f"a plot is written as {', '.join(FORMATS)}, not as {path.name!r}")
    metadata = {"Date": None} if path.suffix == ".svg" else {"CreationDate": None}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata=None if path.suffix == ".png" else metadata)
    except OSError as error:
        raise UserError(f"a plot can't be written: {path}: {error.strerror}") from None
    return path


def svg(figure: Figure, name: str) -> str:
    """A figure as an SVG element to put into a page: transparent, text as text, ids made unique."""
    import io

    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def grid(columns: int, rows: int = 1, width: float = 3.1, height: float = 2.5) -> Any:
    """(figure, list of axes) of a grid, in a style fit for a paper's column."""
    import matplotlib
    from matplotlib.figure import Figure

    style: Any = {"font.size": 8, "axes.spines.top": False, "axes.spines.right": False,
             "axes.grid": True, "grid.alpha": 0.3, "lines.markersize": 4}  # fmt: skip
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(width * columns, height * rows), dpi=150)
        axes = figure.subplots(rows, columns, squeeze=False)
    # Fixed margins in inches: a layout engine would draw everything twice to find them.
    wide, high = figure.get_size_inches()
    figure.subplots_adjust(
        left=0.7 / wide,
        right=1 - 0.1 / wide,
        bottom=0.5 / high,
        top=1 - 0.28 / high,
        wspace=0.8 / (width - 0.8),
        hspace=0.78 / (height - 0.78),
    )
    return figure, list(axes.flat)


def literal(text: str) -> str:
    """Text that matplotlib does not read as a formula."""
    return text.replace("$", r"\$")


def arm_text(arm: str) -> str:
    """An arm as a plot names it."""
    return literal(arm_label(arm))


def styles_of(arms: Sequence[str]) -> dict[str, Style]:
    """Colour and marker of every arm but base, in table order."""
    ordered = ordered_arms(sorted(set(arms) - {"base"}), Layout("", "", ()))
    return {
        arm: {"color": COLORS[i % len(COLORS)], "marker": MARKERS[i % len(MARKERS)]}
        for i, arm in enumerate(ordered)
    }


def band(axis: Axes, rows: Sequence[Record], arm: str, style: Style) -> None:
    """A line over iterations with its 95 % band, inside the unit's own range."""
    x = [row["iteration"] for row in rows]
    y = [row["value"] for row in rows]
    low, high = zip(*map(interval, rows), strict=True)
    axis.plot(x, y, label=arm_text(arm), linewidth=1.2, **style)
    axis.fill_between(x, low, high, color=style["color"], alpha=0.13, linewidth=0)


def interval(row: Record) -> tuple[float, float]:
    """The 95 % interval of a record: its own, else 1.96 standard errors; cut to the unit's range."""
    value, stderr = row["value"], row["stderr"]
    half = 1.96 * stderr if stderr == stderr else 0.0
    floor, ceiling = RANGES.get(row.get("unit", ""), (-math.inf, math.inf))
    low, high = row.get("ci_low"), row.get("ci_high")
    low = value - half if low is None or low != low else low
    high = value + half if high is None or high != high else high
    return max(low, floor), min(high, ceiling)


def roomy(axis: Axes, unit: str) -> None:
    """Gives a panel of equal values an axis of a sensible height instead of a magnified nothing."""
    low, high = axis.dataLim.intervaly
    if high - low < 1e-9 and unit in RANGES:
        floor, ceiling = RANGES[unit]
        axis.set_ylim(
            max(low - 5, floor - 0.004 * (ceiling - floor)),
            min(high + 5, ceiling + 0.004 * (ceiling - floor)),
        )


def whole_steps(axis: Axes) -> None:
    """Ticks at whole iterations only, also where there is just one."""
    import numpy as np

    steps = [int(x) for line in axis.get_lines() for x in np.asarray(line.get_xdata(), dtype=float)]
    if steps:
        axis.set_xticks(range(min(steps), max(steps) + 1))
        axis.set_xlim(min(steps) - 0.15, max(steps) + 0.15)


def whole_numbers(axis: Axes) -> None:
    """Few ticks, at whole numbers of the x axis only."""
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def stage_seed(stage: str) -> str:
    """The seed part of a stage's id (``seed-1``); empty in a run of one seed."""
    first = stage.split("/")[0]
    return first if first.startswith("seed-") else ""


def stage_place(stage: str) -> tuple[str, int] | None:
    """(arm, iteration) of a stage's id, e.g. ``seed-1/sso/iter-2/policy``; None outside an arm."""
    parts = stage.split("/")
    for arm, step in pairwise(parts):
        if step.startswith("iter-") and step[5:].isdigit():
            return arm, int(step[5:])
    return None
