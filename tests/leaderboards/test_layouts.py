"""Layouts."""

from collections import Counter

from leaderboards.layouts import LAYOUTS
from leaderboards.paper import table_names


def test_every_published_table_has_exactly_one_layout():
    claimed = Counter(name for layout in LAYOUTS.values() for name in layout.paper)
    assert claimed == Counter(table_names())
