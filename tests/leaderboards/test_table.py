"""Cells as printed."""

import pytest

from leaderboards.table import Cell, Group, Row, Table, cell


def test_cells_as_printed():
    full = Cell(61.04, 1.26, 1, reference=60.0, difference=1.04)
    assert (full.text, full.error_text, full.reference_text) == ("61.0", "1.3", "60.0 (+1.0)")
    empty = Cell()
    assert (empty.text, empty.error_text, empty.reference_text) == ("-", "", "")
    assert Cell(reference=60.0).reference_text == "60.0"


def test_a_cell_by_its_names():
    table = Table(
        "t", ("Method",), ("GSM8K",), ("gsm8k",), (Group("g", (Row(("SSO",), (Cell(1.0),)),)),)
    )
    assert cell(table, "g", ("SSO",), "gsm8k").value == 1.0
    with pytest.raises(KeyError):
        cell(table, "g", ("PBAA",), "gsm8k")
    assert table.notes_of_column(0) == ()
