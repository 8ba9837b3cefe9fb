"""Quality of the pairs as the paper draws it: accuracy against average probability, and both by iteration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from groundwork.errors import UserError
from leaderboards.identity import Arms
from leaderboards.method_figures import BENCHMARK
from leaderboards.plots.style import (
    Line,
    Record,
    band,
    grid,
    line_of,
    looks,
    one_legend,
    whole_steps,
    with_bars,
)
from leaderboards.score_frame import over_seeds

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

PROBABILITY = "average probability (percent)"
ACCURACY = "pair accuracy (percent)"
Points = dict[tuple[Line, int], Record]


def pair_quality_figure(
    frame: pd.DataFrame, arms: Arms, by: Literal["probability", "iteration"] = "probability"
) -> Figure:
    """Pair accuracy and average probability of the arms' pairs.

    ``probability``: accuracy against probability, the arms' iterations joined (v2, figure 3);
    ``iteration``: both by iteration, side by side (v1, figure 4).

    Raises:
        UserError: no checkpoint has both.
    """
    records = over_seeds(frame)
    accuracy = _points(r for r in records if r["info"].kind == "pairs")
    probability = _points(
        r for r in records if r["benchmark"] == BENCHMARK and r["metric"] == "p_avg"
    )
    shared = sorted(set(accuracy) & set(probability), key=lambda place: place[1])
    if not shared:
        raise UserError("no pair accuracy with average probability to plot")
    drawn = looks(dict.fromkeys(line for line, _ in shared), arms)
    figure, axes = grid(1, width=4.2) if by == "probability" else grid(2)
    for line, look in drawn.items():
        places = [place for place in shared if place[0] == line]
        rows = [accuracy[place] for place in places]
        if by == "probability":
            with_bars(axes[0], [probability[p]["value"] for p in places], rows, look)
            continue
        band(axes[0], rows, look)
        band(axes[1], [probability[place] for place in places], look)
    if by == "probability":
        axes[0].set_xlabel(PROBABILITY)
        axes[0].set_ylabel(ACCURACY)
    else:
        for axis, label in zip(axes, (ACCURACY, PROBABILITY), strict=True):
            axis.set_xlabel("iteration")
            axis.set_ylabel(label)
            whole_steps(axis)
    one_legend(figure, axes)
    return figure


def _points(records: object) -> Points:
    found: Points = {}
    for record in records:  # type: ignore[attr-defined]
        if record["value"] == record["value"]:
            found[line_of(record), record["iteration"]] = record
    return found
