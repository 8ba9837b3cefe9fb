"""Layouts."""

from leaderboards.layouts import LAYOUTS
from leaderboards.paper import published

PAPER_TABLES = tuple(dict.fromkeys(row["table"] for row in published()))


def test_every_paper_table_has_a_layout():
    claimed = {name for layout in LAYOUTS.values() for name in layout.paper}
    assert claimed == set(PAPER_TABLES)
