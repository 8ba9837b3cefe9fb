"""Table formats, one file per format: each is a function from ``Table`` to text."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from groundwork.errors import UserError, did_you_mean
from leaderboards.table import Table

FORMATS: dict[str, str] = {
    "terminal": "leaderboards.formats.terminal",
    "md": "leaderboards.formats.markdown",
    "latex": "leaderboards.formats.latex",
    "html": "leaderboards.formats.html",
    "csv": "leaderboards.formats.csv_text",
}


def format_named(name: str) -> Callable[[Table], str]:
    """The ``render`` function of a format; the nearest name is given for an unknown one."""
    if name not in FORMATS:
        raise UserError(f"no table format {name!r} ({did_you_mean(name, FORMATS)})")
    render: Callable[[Table], str] = import_module(FORMATS[name]).render
    return render
