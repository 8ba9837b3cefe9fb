"""One call from run folders to the text of a table."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from groundwork.errors import UserError, did_you_mean
from leaderboards.alpaca import with_neighbours
from leaderboards.build_table import build_table
from leaderboards.formats import format_named
from leaderboards.layouts import layout_named
from leaderboards.paper import Version, paper_table, table_names, with_published_values
from leaderboards.score_frame import load_runs
from leaderboards.table import Table, printable_table

AGAINST = ("paper", "paper:v1", "paper:v2", "alpaca")
VERSIONS: dict[str, Version] = {"v1": "v1", "v2": "v2"}
ENDINGS = {".md": "md", ".tex": "latex", ".html": "html", ".csv": "csv", ".txt": "terminal"}


def render_table(
    runs: Sequence[Path | str],
    layout: str = "iterations",
    format: str = "terminal",
    against: str | None = None,
    paper_model: str | None = None,
    color: bool | None = None,
) -> str:
    """The table ``layout`` over ``runs`` (or one published table, ``v1:table1``) as text.

    ``format`` is terminal, md, latex, html or csv. ``against`` "paper" adds the published value and
    the difference to each cell ("paper:v1" and "paper:v2" choose the version with which base, pbaa
    and ultrafeedback are compared), "alpaca" adds neighbours of the public AlpacaEval leaderboard.
    ``paper_model`` is the paper's model to compare with runs that start from another one. ``color``
    None means: in a terminal, unless NO_COLOR is set.

    Raises:
        UserError: an unknown name, or runs that can't be read.
    """
    chosen = layout_named(layout)
    format_named(format)
    if against is not None and against not in AGAINST:
        raise UserError(f"can't compare against {against!r} ({did_you_mean(against, AGAINST)})")
    paper = against is not None and against.startswith("paper")
    if paper_model is not None and not paper:
        raise UserError("--paper-model goes with --against paper")
    if len(runs) == 1 and str(runs[0]) in table_names():
        return _drawn(paper_table(str(runs[0])), format, color)
    frame = load_runs(runs)
    table = build_table(frame, chosen)
    if paper:
        presets = dict(zip(frame["group"], frame["preset"], strict=True))
        version = VERSIONS.get(str(against).partition(":")[2])
        table = with_published_values(table, chosen, paper_model, version, presets)
    elif against == "alpaca":
        table = with_neighbours(table)
    return _drawn(table, format, color)


def draw(table: Table, format: str = "terminal") -> str:
    """A table that is already built as text (see ``render_table``)."""
    format_named(format)
    return _drawn(table, format, None)


def _drawn(table: Table, format: str, color: bool | None) -> str:
    table = printable_table(table)
    if format != "terminal":
        return format_named(format)(table)
    from leaderboards.formats.terminal import render as draw_terminal

    wanted = _wants_color() if color is None else color
    return draw_terminal(table, color=wanted, width=terminal_width())


def format_of(path: Path) -> str:
    """The table format that a file's ending stands for.

    Raises:
        UserError: an ending that stands for none.
    """
    if path.suffix.lower() not in ENDINGS:
        raise UserError(
            f"{path}: the ending stands for no table format ({', '.join(ENDINGS)}); "
            "give one with --format"
        )
    return ENDINGS[path.suffix.lower()]


def terminal_width() -> int | None:
    """The width of the terminal that is printed to; None for a file or a pipe."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _wants_color() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ
