"""CSV with full precision: a value, a standard error and a note column for each table column."""

from __future__ import annotations

import csv
import io

from groundwork.printable import printable
from leaderboards.table import Cell, Table

FORMULA = ("=", "+", "-", "@", "\t")
"""Beginnings of a cell that spreadsheets run."""


def render(table: Table) -> str:
    """One line per row (no foot-note text is lost: notes are written out in full)."""
    texts = dict(table.notes)
    with_reference = any(
        cell.reference is not None
        for group in table.groups
        for row in group.rows
        for cell in row.cells
    )
    head = ["model", *(label.strip(".").lower() for label in table.stub)]
    for key in table.keys:
        head += [key, f"{key}_stderr", f"{key}_notes"]
        head += [f"{key}_published", f"{key}_difference"] if with_reference else []
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(head)
    for group in table.groups:
        for row in group.rows:
            line = [safe_cell(text) for text in (group.title, *row.labels)]
            for position, cell in enumerate(row.cells):
                keys = (*table.notes_of_column(position), *cell.notes)
                notes = [*table.shared_notes, *(texts[key] for key in keys)]
                line += _cells(cell, notes if cell.value is not None else [], with_reference)
            writer.writerow(line)
    return output.getvalue()


def _cells(cell: Cell, notes: list[str], with_reference: bool) -> list[str]:
    line = [_number(cell.value), _number(cell.stderr), safe_cell("; ".join(notes))]
    return line + ([_number(cell.reference), _number(cell.difference)] if with_reference else [])


def safe_cell(text: str) -> str:
    """A text that a spreadsheet shows and does not run: an apostrophe goes before what it would take as
    a formula, and control characters go."""
    shown = " ".join(printable(text.replace("\r\n", "\n").replace("\r", "\n")).split("\n"))
    return f"'{shown}" if shown.lstrip().startswith(FORMULA) else shown


def _number(value: float | None) -> str:
    return "" if value is None else repr(round(value, 6))
