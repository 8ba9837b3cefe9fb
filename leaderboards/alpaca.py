"""Neighbours on the public AlpacaEval 2.0 leaderboard.

A few published reference points are shipped (``alpaca_reference_points.csv``: length-controlled win
rate, raw win rate, mean characters, as the leaderboard of alpaca_eval 0.6 lists them).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path

from groundwork.errors import UserError
from leaderboards.table import Cell, Group, Row, Table

POINTS = Path(__file__).with_name("alpaca_reference_points.csv")
TITLE = "Public AlpacaEval 2.0 leaderboard"


@dataclass(frozen=True)
class Entry:
    """One model of the leaderboard: percent, percent, characters."""

    model: str
    ae2_lc: float
    ae2_wr: float
    length: float


def leaderboard() -> list[Entry]:
    """The shipped entries, best length-controlled win rate first."""
    with POINTS.open(encoding="utf-8", newline="") as lines:
        entries = [
            Entry(row[""], float(row["ae2_lc"]), float(row["ae2_wr"]), float(row["length"]))
            for row in csv.DictReader(lines)
        ]
    return sorted(entries, key=lambda entry: -entry.ae2_lc)


def neighbours(value: float, entries: list[Entry], each_side: int = 1) -> list[Entry]:
    """The nearest entries at or above ``value`` and below it."""
    above = [entry for entry in entries if entry.ae2_lc >= value]
    below = [entry for entry in entries if entry.ae2_lc < value]
    return above[-each_side:] + below[:each_side]


def with_neighbours(table: Table) -> Table:
    """Add a group with the leaderboard neighbours of every checkpoint's length-controlled win rate."""
    if "ae2_lc" not in table.keys:
        raise UserError("there is no AlpacaEval 2.0 column to compare with its leaderboard")
    column, entries = table.keys.index("ae2_lc"), leaderboard()
    values = [row.cells[column].value for group in table.groups for row in group.rows]
    wanted = {
        entry for value in values if value is not None for entry in neighbours(value, entries)
    }
    rows = tuple(_row(entry, table) for entry in entries if entry in wanted)
    remark = "Leaderboard rows: 805 instructions judged by gpt-4-1106-preview, as published."
    return replace(
        table, groups=(*table.groups, Group(TITLE, rows)), remarks=(*table.remarks, remark)
    )


def _row(entry: Entry, table: Table) -> Row:
    figures = {
        "ae2_lc": (entry.ae2_lc, 1),
        "ae2_wr": (entry.ae2_wr, 1),
        "length": (entry.length, 0),
    }
    cells = (
        Cell(figures[key][0], decimals=figures[key][1]) if key in figures else Cell()
        for key in table.keys
    )
    labels = tuple(entry.model if head == "Method" else "" for head in table.stub)
    return Row(labels, tuple(cells), kind="reference")
