"""One call from run folders to the text of a table."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from groundwork.errors import UserError
from leaderboards.alpaca import with_neighbours
from leaderboards.build_table import build_table
from leaderboards.formats import format_named
from leaderboards.layouts import layout_named
from leaderboards.paper import with_published_values
from leaderboards.score_frame import load_runs

AGAINST = ("paper", "alpaca")


def render_table(
    runs: Sequence[Path | str],
    layout: str = "iterations",
    format: str = "terminal",
    against: str | None = None,
    color: bool | None = None,
    paper_model: str | None = None,
    data: Path | None = None,
) -> str:
    """The table ``layout`` over ``runs`` as text.

    ``format`` is terminal, md, latex, html or csv. ``against`` "paper" puts the published value and
    the difference beside each cell, "alpaca" adds neighbours of the public AlpacaEval leaderboard.
    ``paper_model`` is the model of the paper to stand beside runs that start from another one;
    ``data`` a benchmark data folder with the whole AlpacaEval leaderboard. ``color`` None means: in a terminal, unless NO_COLOR is set.

    Raises UserError (one clear line) for unknown names and unreadable runs.
    """
    chosen, draw = layout_named(layout), format_named(format)
    if against is not None and against not in AGAINST:
        raise UserError(f"can't compare against {against!r}; known: {', '.join(AGAINST)}")
    frame = load_runs(runs)
    table = build_table(frame, chosen)
    if against == "paper":
        table = with_published_values(table, chosen, paper_model)
    elif against == "alpaca":
        table = with_neighbours(table, data)
    if format == "terminal":
        from leaderboards.formats.terminal import render as draw_terminal

        return draw_terminal(table, color=_wants_color() if color is None else color)
    return draw(table)


def _wants_color() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ
