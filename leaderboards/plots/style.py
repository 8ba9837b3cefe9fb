"""The look of every plot, and how figures become files and SVG elements.

Colours are the Okabe-Ito set, which stays apart for colour-blind readers and in grey; each line
keeps its colour and marker through all plots of a set of runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundwork.errors import UserError
from leaderboards.identity import Arms

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
RANGES = {"percent": (0.0, 100.0), "points": (1.0, 10.0)}
FORMATS = (".pdf", ".svg", ".png")

BASE_COLOR = "#555555"

Record = dict[str, Any]
Style = dict[str, Any]
Line = tuple[str, str, str]
"""What is drawn as one line: (group, arm, loss)."""


@dataclass(frozen=True)
class Look:
    """How a line is drawn: its name in the legend, colour and marker."""

    label: str
    style: Style


def line_of(record: Record) -> Line:
    """The line that a record of ``over_seeds`` belongs to."""
    return record["group"], record["arm"], record["loss"]


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


def one_legend(figure: Figure, axes: Sequence[Axes], columns: int = 4) -> None:
    """One legend above all panels, each name once; the figure grows by its height."""
    found: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(str(label), handle)
    if not found:
        return
    wide, high = figure.get_size_inches()
    longest = 0.5 + 0.065 * max(map(len, found))
    columns = max(1, min(columns, int((wide - 0.3) / longest), len(found)))
    taller = high + 0.1 + 0.19 * math.ceil(len(found) / columns)
    edges = figure.subplotpars
    figure.set_size_inches(wide, taller)
    figure.subplots_adjust(bottom=edges.bottom * high / taller, top=edges.top * high / taller)
    figure.legend(list(found.values()), list(found), loc="upper left", ncol=columns,
                  bbox_to_anchor=(0.3 / wide, 1.0), frameon=False, fontsize=7)  # fmt: skip


def literal(text: str) -> str:
    """Text that matplotlib does not read as a formula."""
    return text.replace("$", r"\$")


def looks(lines: Iterable[Line], names: Arms) -> dict[Line, Look]:
    """The look of every line but the bases, group by group and arm by arm in table order.

    The legend names the arm, with the group where there are several, and the loss where one arm
    was trained on several.
    """
    found = [line for line in dict.fromkeys(lines) if line[1] != "base"]
    groups = list(dict.fromkeys(group for group, _, _ in found))
    places = {arm: i for i, arm in enumerate(names.in_order({arm for _, arm, _ in found}))}
    ordered = sorted(found, key=lambda line: (groups.index(line[0]), places[line[1]], line[2]))
    shared = _shared_start(groups)
    looks = {}
    for i, line in enumerate(ordered):
        group, arm, loss = line
        label = names.title(arm)
        if sum(other[:2] == line[:2] for other in found) > 1 and loss:
            label += f" ({loss.upper()})"
        if len(groups) > 1:
            label = f"{group.removeprefix(shared)}: {label}"
        marker = MARKERS[(i + i // len(COLORS)) % len(MARKERS)]
        looks[line] = Look(literal(label), {"color": COLORS[i % len(COLORS)], "marker": marker})
    return looks


def _shared_start(groups: Sequence[str]) -> str:
    """``model · `` where all groups are of one model; empty else."""
    models = {group.partition(" · ")[0] for group in groups}
    plain = any(" · " not in group for group in groups)
    return "" if len(models) != 1 or plain else f"{models.pop()} · "


def band(axis: Axes, rows: Sequence[Record], look: Look) -> None:
    """A line over iterations with its 95 % band (a bar for a single point), inside the unit's range."""
    x = [row["iteration"] for row in rows]
    y = [row["value"] for row in rows]
    low, high = zip(*map(interval, rows), strict=True)
    axis.plot(x, y, label=look.label, linewidth=1.2, **look.style)
    axis.fill_between(x, low, high, color=look.style["color"], alpha=0.13, linewidth=0)
    if len(rows) == 1:  # a band of one point has no width
        axis.vlines(x, low, high, color=look.style["color"], linewidth=0.7, alpha=0.5)


def with_bars(axis: Axes, x: Sequence[float], rows: Sequence[Record], look: Look) -> None:
    """A line through the records' values at ``x``, with their 95 % intervals as bars."""
    y = [row["value"] for row in rows]
    ends = [interval(row) for row in rows]
    below = [max(0.0, value - low) for value, (low, _) in zip(y, ends, strict=True)]
    above = [max(0.0, high - value) for value, (_, high) in zip(y, ends, strict=True)]
    color = look.style["color"]
    axis.errorbar(x, y, yerr=[below, above], fmt="none", ecolor=color, elinewidth=0.7, alpha=0.5)
    axis.plot(x, y, label=look.label, linewidth=0.8, **look.style)


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
    """Limits the axis to the unit's range, and spans at least a tenth of it: no noise is magnified."""
    if unit not in RANGES:
        return
    floor, ceiling = RANGES[unit]
    low, high = axis.get_ylim()
    missing = max(0.0, (ceiling - floor) / 10 - (high - low)) / 2
    edge = 0.004 * (ceiling - floor)
    axis.set_ylim(max(low - missing, floor - edge), min(high + missing, ceiling + edge))


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
