"""The table as one HTML fragment: no style of its own, every text escaped, values sortable."""

from __future__ import annotations

from leaderboards.formats.marking import footer, signs
from leaderboards.table import Table
from leaderboards.templating import render_template


def render(table: Table) -> str:
    """A ``figure`` with the table and its notes; numeric cells carry ``data-value`` to sort by."""
    return render_template("table.html", table=table, lines=footer(table), signs=signs) + "\n"
