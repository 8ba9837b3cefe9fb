"""The table itself: what every output format draws, with nothing of pandas in it."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, cast

from groundwork.printable import printable


@dataclass(frozen=True)
class Cell:
    """One figure. ``rank`` 1 is the best of its column and group (and what can't be told from it),
    2 the second of published figures, 0 neither.

    ``versus_base`` and ``versus_previous`` are +1 (significantly better), -1 (worse) or 0.
    ``notes`` are the keys of the foot-notes that mark it (while a table is built, their texts). A
    figure of another protocol than its column's is not ``comparable`` and takes part in no ranking.
    ``reference`` is the published value that
    stands beside it and ``difference`` value minus reference.
    """

    value: float | None = None
    stderr: float | None = None
    decimals: int = 1
    rank: int = 0
    versus_base: int = 0
    versus_previous: int = 0
    notes: tuple[str, ...] = ()
    comparable: bool = True
    reference: float | None = None
    difference: float | None = None

    @property
    def text(self) -> str:
        """The value as printed; '-' where there is none."""
        return "-" if self.value is None else f"{self.value:.{self.decimals}f}"

    @property
    def error_text(self) -> str:
        """The standard error as printed; empty where there is none."""
        return "" if self.stderr is None else f"{self.stderr:.{self.decimals}f}"

    @property
    def reference_text(self) -> str:
        """'published value (difference)'; empty where there is no published value."""
        if self.reference is None:
            return ""
        published = f"{self.reference:.{self.decimals}f}"
        if self.difference is None:
            return published
        return f"{published} ({self.difference:+.{self.decimals}f})"


@dataclass(frozen=True)
class Row:
    """A line of the table: its labels (one per stub column) and its cells.

    ``point`` is the checkpoint that it shows: (loss, arm, iteration); none in a reference row.
    """

    labels: tuple[str, ...]
    cells: tuple[Cell, ...]
    kind: str = "run"
    point: tuple[str, str, int] | None = None


@dataclass(frozen=True)
class Group:
    """Rows that are compared with each other (one starting model)."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    """A table of one layout. ``notes`` are (key, text) foot-notes; ``remarks`` unkeyed lines.

    ``shared_notes`` hold for every figure, ``column_notes`` are the keys of those that mark a whole
    column. ``detectable`` holds per column the smallest detectable difference as printed;
    ``reference`` is what the filled triangles compare with.
    """

    title: str
    stub: tuple[str, ...]
    columns: tuple[str, ...]
    keys: tuple[str, ...]
    groups: tuple[Group, ...]
    notes: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()
    column_notes: tuple[tuple[str, ...], ...] = ()
    detectable: tuple[str, ...] = ()
    shared_notes: tuple[str, ...] = ()
    reference: str = "base"

    def notes_of_column(self, position: int) -> tuple[str, ...]:
        """Note keys of the column at ``position``."""
        return self.column_notes[position] if self.column_notes else ()


def cell(table: Table, group: str, labels: tuple[str, ...], column: str) -> Cell:
    """The cell of a table by group title, row labels and column key (KeyError when absent)."""
    position = table.keys.index(column)
    for candidate in table.groups:
        for row in candidate.rows:
            if candidate.title == group and row.labels == labels:
                return row.cells[position]
    raise KeyError((group, labels, column))


def printable_table(table: Table) -> Table:
    """The table with every text in it printable and in one line: names come from runs and files."""
    return cast(Table, _printable(table))


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return " ".join(printable(value.replace("\r\n", "\n").replace("\r", "\n")).split("\n"))
    if isinstance(value, tuple):
        return tuple(map(_printable, value))
    if isinstance(value, dict):
        return {_printable(k): _printable(v) for k, v in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        changes = {f.name: _printable(getattr(value, f.name)) for f in fields(value) if f.init}
        return replace(value, **changes)
    return value
