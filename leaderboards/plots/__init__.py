"""Paper-ready plots, drawn without a display; every function returns a matplotlib figure.

save(iterations_figure(load_runs(["runs/first"])), Path("scores.pdf"))
"""

from __future__ import annotations

from leaderboards.plots.categories import radar_figure, subjects_figure
from leaderboards.plots.pair_quality import pair_quality_figure
from leaderboards.plots.scores import history_figure, iterations_figure, length_figure
from leaderboards.plots.style import save, svg
from leaderboards.plots.training import (
    cost_figure,
    curves_figure,
    lengths_figure,
    policyness_figure,
    probability_figure,
)

__all__ = [
    "cost_figure",
    "curves_figure",
    "history_figure",
    "iterations_figure",
    "length_figure",
    "lengths_figure",
    "pair_quality_figure",
    "policyness_figure",
    "probability_figure",
    "radar_figure",
    "save",
    "subjects_figure",
    "svg",
]
