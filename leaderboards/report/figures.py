"""The report's plots as inline SVG, by section; what the runs have no data for is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from groundwork.errors import UserError
from leaderboards import plots
from leaderboards.runs import Run

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Drawn = list[tuple[str, Markup]]


def figures(frame: pd.DataFrame | None, runs: Sequence[Run]) -> dict[str, Drawn]:
    """Section to (caption, SVG) of its plots."""
    scored: dict[str, list[tuple[str, Callable[[], Figure]]]] = {
        "trajectories": [],
        "categories": [],
    }
    training: list[tuple[str, Callable[[], Figure]]] = []
    if frame is not None:
        scored = {
            "trajectories": [
                ("Scores by iteration (bands: 95 %)", lambda: plots.iterations_figure(frame)),
                (
                    "Answer length against win rate (numbers: iteration; bars: 95 %)",
                    lambda: plots.length_figure(frame),
                ),
                ("Cost against quality", lambda: plots.cost_figure(frame, runs)),
            ],
            "categories": [
                ("Ratings by category, last iterations", lambda: plots.radar_figure(frame)),
                (
                    "Accuracy by subject, last iterations (bars: 95 %)",
                    lambda: plots.subjects_figure(frame),
                ),
            ],
        }
        training = [
            (
                "Pair accuracy and on-policyness by iteration (bands: 95 %)",
                lambda: plots.policyness_figure(frame, runs),
            ),
            (
                "Pair accuracy against average probability (numbers: iteration; bars: 95 %)",
                lambda: plots.probability_figure(frame, runs),
            ),
        ]
    training.append(
        ("Lengths of the pairs' answers by iteration", lambda: plots.lengths_figure(runs))
    )
    training.append(("Training curves (dashed: generator)", lambda: plots.curves_figure(runs)))
    return {name: _drawn(wanted) for name, wanted in {**scored, "training": training}.items()}


def _drawn(wanted: Sequence[tuple[str, Callable[[], Figure]]]) -> Drawn:
    found = []
    for title, draw in wanted:
        try:
            found.append((title, Markup(plots.svg(draw(), title))))
        except UserError:
            continue
    return found
