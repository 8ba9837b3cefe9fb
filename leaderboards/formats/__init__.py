"""Table formats, one file each: a format is a function from ``Table`` to text."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from groundwork.errors import UserError
from leaderboards.table import Table

FORMATS: dict[str, str] = {
    "terminal": "leaderboards.formats.terminal",
    "md": "leaderboards.formats.markdown",
    "latex": "leaderboards.formats.latex",
    "html": "leaderboards.formats.html",
    "csv": "leaderboards.formats.csv_text",
}


def format_named(name: str) -> Callable[[Table], str]:
    """The ``render`` function of a format; an unknown name is an error that lists the known ones."""
    if name not in FORMATS:
        raise UserError(f"no table format {name!r}; known: {', '.join(FORMATS)}")
    render: Callable[[Table], str] = import_module(FORMATS[name]).render
    return render
