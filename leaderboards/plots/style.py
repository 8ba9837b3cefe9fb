"""The look of every plot, and how figures become files and SVG elements.

Colours are the Okabe-Ito set, which stays apart for colour-blind readers and in grey; each arm
keeps its colour and marker through all plots of a set of runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaderboards.errors import LeaderboardError
from leaderboards.layouts import Layout, ordered_arms
from leaderboards.marks import arm_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
FORMATS = (".pdf", ".svg", ".png")

Record = dict[str, Any]
Style = dict[str, Any]


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PDF, SVG or PNG (by the ending), with no date inside."""
    if path.suffix not in FORMATS:
        raise LeaderboardError(f"a plot is written as {', '.join(FORMATS)}, not as {path.name!r}")
    metadata = {"Date": None} if path.suffix == ".svg" else {"CreationDate": None}
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata=None if path.suffix == ".png" else metadata)
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
    """A line over iterations with a band of 1.96 standard errors."""
    x = [row["iteration"] for row in rows]
    y = [row["value"] for row in rows]
    half = [1.96 * row["stderr"] if row["stderr"] == row["stderr"] else 0.0 for row in rows]
    axis.plot(x, y, label=arm_text(arm), linewidth=1.2, **style)
    low, high = ([v - h for v, h in zip(y, half, strict=True)], [v + h for v, h in zip(y, half, strict=True)])  # fmt: skip
    axis.fill_between(x, low, high, color=style["color"], alpha=0.13, linewidth=0)


def whole_steps(axis: Axes) -> None:
    """Ticks at whole iterations only, also where there is just one."""
    import numpy as np

    steps = [int(x) for line in axis.get_lines() for x in np.asarray(line.get_xdata(), dtype=float)]
    if steps:
        axis.set_xticks(range(min(steps), max(steps) + 1))
        axis.set_xlim(min(steps) - 0.15, max(steps) + 0.15)


def stage_place(stage: str) -> tuple[str, int] | None:
    """(arm, iteration) of a stage's id, e.g. ``seed-1/sso/iter-2/policy``; None outside an arm."""
    parts = stage.split("/")
    for arm, step in pairwise(parts):
        if step.startswith("iter-") and step[5:].isdigit():
            return arm, int(step[5:])
    return None
